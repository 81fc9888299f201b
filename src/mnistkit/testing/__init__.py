"""For tests: the contracts of the interfaces as classes to subclass, and synthetic data.

Each suite needs one fixture and proves one implementation; the docstring of each of its tests is the promise that
it proves, and a failure names it. The fixtures ``mnistkit_home`` and ``tiny_mnist`` come with the pytest plugin,
without an import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the suites import pytest, which only tests have
    from mnistkit.testing.compute_backend import ComputeBackendSuite
    from mnistkit.testing.data import write_tiny_mnist
    from mnistkit.testing.data_source import DataSourceSuite
    from mnistkit.testing.group_backend import GroupBackendSuite
    from mnistkit.testing.model_registry import ModelRegistrySuite

__all__ = ["ComputeBackendSuite", "DataSourceSuite", "GroupBackendSuite", "ModelRegistrySuite", "write_tiny_mnist"]

_MODULES = {
    "ComputeBackendSuite": "mnistkit.testing.compute_backend",
    "DataSourceSuite": "mnistkit.testing.data_source",
    "GroupBackendSuite": "mnistkit.testing.group_backend",
    "ModelRegistrySuite": "mnistkit.testing.model_registry",
    "write_tiny_mnist": "mnistkit.testing.data",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
