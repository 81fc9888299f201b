"""Azure Machine Learning, through version 1 of its SDK: data, compute and models in a workspace. Extra ``azure``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnistkit.azureml.v1.compute import AmlCompute
    from mnistkit.azureml.v1.data import OpenDatasetsMnist
    from mnistkit.azureml.v1.registry import WorkspaceRegistry
    from mnistkit.azureml.v1.workspace import connect

__all__ = ["AmlCompute", "OpenDatasetsMnist", "WorkspaceRegistry", "connect"]

_HOMES = {
    "AmlCompute": "mnistkit.azureml.v1.compute",
    "OpenDatasetsMnist": "mnistkit.azureml.v1.data",
    "WorkspaceRegistry": "mnistkit.azureml.v1.registry",
    "connect": "mnistkit.azureml.v1.workspace",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
