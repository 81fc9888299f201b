"""Deployments on managed online endpoints through the SDK v2."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.deployments import (
    ERROR_LINES,
    MODEL_TAG,
    check_service_name,
    input_properties,
    last_lines,
    record_of,
    tags_of,
    write_conda_file,
)
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import ConflictError, DeploymentError, MnistkitError, NotFoundError
from mnistkit.registry.deployment import DeploymentRecord, DeploymentState, DeploymentTarget
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.clock import utc_now

__all__ = ["ManagedEndpoints"]

_log = logging.getLogger(__name__)

_DEPLOYMENT = "model"
_DEPLOY_SECONDS = 3600.0
_ALL_PERCENT = 100
_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
_SERVER = "azureml-inference-server-http"  # runs the scoring script: without it a deployment of Azure doesn't come up
_STATES = {
    "Creating": DeploymentState.STARTING,
    "Updating": DeploymentState.STARTING,
    "Succeeded": DeploymentState.HEALTHY,
    "Scaling": DeploymentState.HEALTHY,
    "Deleting": DeploymentState.UNHEALTHY,
    "Failed": DeploymentState.FAILED,
    "Canceled": DeploymentState.FAILED,
}
"""By Azure's word for a deployment; an unknown one is unhealthy."""


class ManagedEndpoints(DeploymentTarget):
    """Runs each deployment as a managed online endpoint of its own, which costs money until it is deleted.

    An endpoint has one deployment here, which gets all traffic. Only endpoints that this class made are listed. Their
    clients need a key. A name is taken in its whole Azure region.

    Args:
        workspace: What `mnistkit.azureml.v2.connect` returns, or a ``Connection``; None to connect when needed, to what
            ``config.json`` names.
        instance_type: The type of machine.
        instance_count: How many machines.
    """

    def __init__(
        self, workspace: Any = None, *, instance_type: str = "Standard_DS3_v2", instance_count: int = 1
    ) -> None:
        self._connection = Connection.of(workspace)
        self._machines = {"instance_type": instance_type, "instance_count": instance_count}

    @classmethod
    def from_home(
        cls,
        home: str | os.PathLike[str],
        *,
        workspace: Any = None,
        instance_type: str = "Standard_DS3_v2",
        instance_count: int = 1,
    ) -> ManagedEndpoints:
        """Return the target ``"endpoint"``; ``home`` isn't used: the workspace keeps all."""
        del home
        return cls(workspace, instance_type=instance_type, instance_count=instance_count)

    def deploy(self, version: ModelVersion, name: str, package: Path) -> DeploymentRecord:
        """Make an endpoint and its deployment; see `DeploymentTarget.deploy`. It takes minutes in Azure."""
        check_service_name(name)
        with contextlib.suppress(NotFoundError):
            self._endpoint(name)
            raise ConflictError(f"There is an online endpoint {name!r}: delete it first, or use another name.")
        try:
            endpoint = self._made(version, name, package)
            endpoint.traffic = {_DEPLOYMENT: _ALL_PERCENT}
            self._finished(f"sending traffic to {name}", self._endpoints.begin_create_or_update, endpoint)
            return self.get(name)
        except BaseException as error:
            told = self._log_of(name, ERROR_LINES)
            with contextlib.suppress(NotFoundError):
                self._finished(f"deleting the endpoint {name}", self._endpoints.begin_delete, name)
            if isinstance(error, MnistkitError):
                raise DeploymentError(
                    f"The endpoint {name} didn't come up: {error} Its log ends with:\n{told}"
                ) from error
            raise

    def get(self, name: str) -> DeploymentRecord:
        """Return the record; see `DeploymentTarget.get`."""
        return self._record(self._endpoint(name))

    def deployments(self) -> tuple[DeploymentRecord, ...]:
        """Return all records; see `DeploymentTarget.deployments`."""
        found = call("listing the online endpoints", lambda: list(self._endpoints.list()))
        ours = [endpoint for endpoint in found if MODEL_TAG in (endpoint.tags or {})]
        return tuple(self._record(endpoint) for endpoint in sorted(ours, key=lambda endpoint: str(endpoint.name)))

    def logs(self, name: str, *, lines: int = 100) -> str:
        """Return the end of the container's log; see `DeploymentTarget.logs`."""
        self._endpoint(name)
        return self._log_of(name, lines)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return both keys; see `DeploymentTarget.keys`."""
        self._endpoint(name)
        found = call(f"getting the keys of {name}", self._endpoints.get_keys, name)
        return found.primary_key, found.secondary_key

    def delete(self, name: str) -> None:
        """Delete the endpoint with its deployment; see `DeploymentTarget.delete`."""
        self._endpoint(name)
        self._finished(f"deleting the endpoint {name}", self._endpoints.begin_delete, name)

    @property
    def _endpoints(self) -> Any:
        return self._connection.client.online_endpoints

    @property
    def _deployments(self) -> Any:
        return self._connection.client.online_deployments

    def _finished(self, what: str, begin: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what an operation of Azure ends with, within the deadline for a deployment."""
        return call(what, lambda: begin(*arguments, **options).result(), seconds=_DEPLOY_SECONDS)

    def _endpoint(self, name: str) -> Any:
        """Return the SDK's object for an endpoint.

        Raises:
            NotFoundError: There is none; lists those that exist.
        """
        try:
            return call(f"getting the endpoint {name}", self._endpoints.get, name)
        except NotFoundError as error:
            known = ", ".join(record.name for record in self.deployments()) or "none"
            raise NotFoundError(f"There is no online endpoint {name!r:.80}; mnistkit's are: {known}.") from error

    def _made(self, version: ModelVersion, name: str, package: Path) -> Any:
        entities = sdk("azure.ai.ml.entities")
        endpoint = entities.ManagedOnlineEndpoint(
            name=name,
            auth_mode="key",
            description=f"{version.id}, by mnistkit",
            tags=tags_of(version),
            properties=input_properties(version),
        )
        made = self._finished(f"making the endpoint {name}", self._endpoints.begin_create_or_update, endpoint)
        file = write_conda_file(package, _SERVER)
        deployment = entities.ManagedOnlineDeployment(
            name=_DEPLOYMENT,
            endpoint_name=name,
            code_configuration=entities.CodeConfiguration(code=str(package), scoring_script="score.py"),
            environment=entities.Environment(name=f"{name}-serving", image=_IMAGE, conda_file=str(file)),
            tags=tags_of(version),
            **self._machines,
        )
        begin = self._deployments.begin_create_or_update
        self._finished(f"deploying {version.id} as {name}", begin, deployment, skip_script_validation=True)
        return made

    def _record(self, endpoint: Any) -> DeploymentRecord:
        name = str(endpoint.name)
        try:
            found = call(f"getting {name}", self._deployments.get, _DEPLOYMENT, name).provisioning_state
            word = str(getattr(found, "value", found))  # an enumeration, or for words that the SDK lacks a text
        except NotFoundError:
            word = "Creating"
        state = _STATES.get(word)
        if state is None:
            _log.warning("The deployment of %s is %r, which is taken for unhealthy.", name, word)
        context = getattr(endpoint, "creation_context", None)
        return record_of(
            name,
            "endpoint",
            tags=endpoint.tags or {},
            properties=endpoint.properties or {},
            created_at=getattr(context, "created_at", None) or utc_now(),
            state=state or DeploymentState.UNHEALTHY,
            url=str(endpoint.scoring_uri or ""),
        )

    def _log_of(self, name: str, lines: int) -> str:
        try:
            what = f"getting the log of {name}"
            text = call(what, self._deployments.get_logs, name=_DEPLOYMENT, endpoint_name=name, lines=max(lines, 1))
        except MnistkitError as error:
            return f"(its log can't be had: {error})"
        return last_lines(str(text or ""), lines)
