"""The models of a workspace through the SDK v1, as a `ModelRegistry`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mnistkit.azureml.deployments import target_options
from mnistkit.azureml.models.registry import StoredRegistry
from mnistkit.azureml.v1.models import WorkspaceModels
from mnistkit.azureml.v1.workspace import Connection

__all__ = ["WorkspaceRegistry"]


class WorkspaceRegistry(StoredRegistry):
    """The models of an Azure ML workspace; see `mnistkit.azureml.models.registry.StoredRegistry`.

    Args:
        workspace: What `mnistkit.azureml.connect` returns, or a ``Connection``; None to connect when needed, to what
            ``config.json`` names.
    """

    __slots__ = ("_connection",)

    def __init__(self, workspace: Any = None) -> None:
        self._connection = Connection.of(workspace)
        super().__init__(WorkspaceModels(self._connection))

    @classmethod
    def from_home(
        cls,
        home: str | os.PathLike[str],
        *,
        config: str | None = None,
        workspace: Any = None,
        resource_group: str | None = None,
        subscription_id: str | None = None,
        credentials: str | None = None,
    ) -> WorkspaceRegistry:
        """Return the registry of a configuration file; ``home`` isn't used: the workspace keeps all.

        Args:
            home: The folder for files on this machine; unused.
            config: As in `mnistkit.azureml.connect`.
            workspace: The name there; or what it returns.
            resource_group: As there.
            subscription_id: As there.
            credentials: As there.
        """
        del home
        if workspace is not None and not isinstance(workspace, str):
            return cls(workspace)
        return cls(
            Connection(
                config=config,
                name=workspace,
                resource_group=resource_group,
                subscription_id=subscription_id,
                credentials=credentials,
            )
        )

    def deployment_options(self, target: str) -> Mapping[str, Any]:
        """Return the options of a target in this workspace; see `mnistkit.registry.SupportsDeployment`."""
        return target_options(target, "v1", self._connection)
