"""The models of a workspace through the SDK v2, as a `ModelRegistry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnistkit.azureml.deployments import target_options
from mnistkit.azureml.models.registry import StoredRegistry
from mnistkit.azureml.v2.models import WorkspaceModels
from mnistkit.azureml.v2.workspace import Connection

__all__ = ["WorkspaceRegistry"]


class WorkspaceRegistry(StoredRegistry):
    """The models of an Azure ML workspace; see `mnistkit.azureml.models.registry.StoredRegistry`.

    Through the SDK v2 a deleted version is archived: it is gone for mnistkit, its number is never used again, and its
    files stay in the workspace's storage.

    Args:
        workspace: What `connect` returns, or a ``Connection``; None to connect when it is needed, to what
            ``config.json`` names.
    """

    __slots__ = ("_connection",)

    def __init__(self, workspace: Any = None) -> None:
        self._connection = Connection.of(workspace)
        super().__init__(WorkspaceModels(self._connection))

    def deployment_options(self, target: str) -> Mapping[str, Any]:
        """Return the options of a target in this workspace; see `mnistkit.registry.SupportsDeployment`."""
        return target_options(target, "v2", self._connection)
