"""Deployments on Azure Container Instances through the SDK v1."""

from __future__ import annotations

import contextlib
import logging
import os
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
from mnistkit.azureml.v1._sdk import sdk, silence
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import (
    ConflictError,
    DeploymentError,
    MnistkitError,
    NotFoundError,
)
from mnistkit.registry.deployment import DeploymentRecord, DeploymentState, DeploymentTarget
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.clock import utc_now

__all__ = ["AciDeployments"]

_log = logging.getLogger(__name__)

_DEPLOY_SECONDS = 1800.0
_SERVER = "azureml-defaults"  # as Azure's images for web services of the SDK v1 need it
_STATES = {
    "Transitioning": DeploymentState.STARTING,
    "Healthy": DeploymentState.HEALTHY,
    "Unhealthy": DeploymentState.UNHEALTHY,
    "Failed": DeploymentState.FAILED,
    "Unschedulable": DeploymentState.FAILED,
}
"""By Azure's word; an unknown one is unhealthy."""


class AciDeployments(DeploymentTarget):
    """Runs each deployment as a web service in a container of Azure, which costs money until it is deleted.

    Only services that this class deployed are listed. Their clients need a key.

    Args:
        workspace: What `mnistkit.azureml.connect` returns, or a ``Connection``; None to connect when needed, to what
            ``config.json`` names.
        cpu_cores: Of a container.
        memory_gb: Of a container.
    """

    def __init__(self, workspace: Any = None, *, cpu_cores: float = 1.0, memory_gb: float = 1.0) -> None:
        self._connection = Connection.of(workspace)
        self._size = {"cpu_cores": cpu_cores, "memory_gb": memory_gb}

    @classmethod
    def from_home(
        cls, home: str | os.PathLike[str], *, workspace: Any = None, cpu_cores: float = 1.0, memory_gb: float = 1.0
    ) -> AciDeployments:
        """Return the target ``"aci"``; ``home`` isn't used: the workspace keeps all."""
        del home
        return cls(workspace, cpu_cores=cpu_cores, memory_gb=memory_gb)

    def deploy(self, version: ModelVersion, name: str, package: Path) -> DeploymentRecord:
        """Deploy a web service; see `DeploymentTarget.deploy`. It takes minutes in Azure, where it builds an image."""
        check_service_name(name)
        with contextlib.suppress(NotFoundError):
            self._service(name)
            raise ConflictError(f"There is a web service {name!r}: delete it first, or use another name.")
        service = self._submit(version, name, package)
        try:
            call(f"deploying {name}", service.wait_for_deployment, show_output=False, seconds=_DEPLOY_SECONDS)
            return self._record(call(f"getting the web service {name}", self._service, name))
        except BaseException as error:
            told = self._log_of(service, ERROR_LINES)
            call(f"deleting the web service {name}", service.delete)
            if isinstance(error, MnistkitError):
                raise DeploymentError(
                    f"The web service {name} didn't come up: {error} Its log ends with:\n{told}"
                ) from error
            raise

    def get(self, name: str) -> DeploymentRecord:
        """Return the record; see `DeploymentTarget.get`."""
        return self._record(self._service(name))

    def deployments(self) -> tuple[DeploymentRecord, ...]:
        """Return all records; see `DeploymentTarget.deployments`."""
        services = call("listing the web services", sdk("azureml.core.webservice").Webservice.list, self._workspace)
        ours = [service for service in services if MODEL_TAG in (service.tags or {})]
        return tuple(self._record(service) for service in sorted(ours, key=lambda service: str(service.name)))

    def logs(self, name: str, *, lines: int = 100) -> str:
        """Return the end of the container's log; see `DeploymentTarget.logs`."""
        return self._log_of(self._service(name), lines)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return both keys; see `DeploymentTarget.keys`."""
        return tuple(call(f"getting the keys of {name}", self._service(name).get_keys))

    def delete(self, name: str) -> None:
        """Delete the web service; see `DeploymentTarget.delete`."""
        call(f"deleting the web service {name}", self._service(name).delete)

    @property
    def _workspace(self) -> Any:
        silence("azureml.core.webservice.webservice")
        return self._connection.workspace

    def _service(self, name: str) -> Any:
        """Return the SDK's object for a service.

        Raises:
            NotFoundError: There is none.
        """
        module = sdk("azureml.core.webservice")
        found = call("listing the web services", module.Webservice.list, self._workspace)
        for service in found:
            if service.name == name:
                return service
        known = ", ".join(sorted(str(service.name) for service in found)) or "none"
        raise NotFoundError(f"There is no web service {name!r:.80} in the workspace; there are: {known}.")

    def _submit(self, version: ModelVersion, name: str, package: Path) -> Any:
        core, model, webservice = sdk(), sdk("azureml.core.model"), sdk("azureml.core.webservice")
        file = write_conda_file(package, _SERVER)
        environment = core.Environment.from_conda_specification(f"{name}-serving", str(file))
        configuration = webservice.AciWebservice.deploy_configuration(
            **self._size,
            auth_enabled=True,
            tags=tags_of(version),
            properties=input_properties(version),
            description=f"{version.id}, by mnistkit",
        )
        inference = model.InferenceConfig(
            entry_script="score.py", source_directory=str(package), environment=environment
        )
        return call(
            f"deploying {name}",
            model.Model.deploy,
            self._workspace,
            name,
            [],
            inference,
            configuration,
            seconds=_DEPLOY_SECONDS,
        )

    def _record(self, service: Any) -> DeploymentRecord:
        state = _STATES.get(service.state)
        if state is None:
            _log.warning(
                "Azure says %r of the web service %s, which is taken for unhealthy.", service.state, service.name
            )
        return record_of(
            str(service.name),
            "aci",
            tags=service.tags or {},
            properties=service.properties or {},
            created_at=service.created_time or utc_now(),
            state=state or DeploymentState.UNHEALTHY,
            url=str(service.scoring_uri or ""),
            error=_error_of(service),
        )

    def _log_of(self, service: Any, lines: int) -> str:
        try:
            text = call(f"getting the log of {service.name}", service.get_logs, num_lines=max(lines, 1)) or ""
        except MnistkitError as error:
            return f"(its log can't be had: {error})"
        return last_lines(str(text), lines)


def _error_of(service: Any) -> str:
    error = getattr(service, "error", None) or {}
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)
