"""A cluster of a workspace through the SDK v1."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.cluster import ClusterSettings, ClusterStatus, check_size, provisioning_error, wait_until_ready
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import NotFoundError, UsageError

__all__ = ["Cluster", "status_of"]

_log = logging.getLogger(__name__)


class Cluster:
    """One cluster of a workspace."""

    def __init__(self, connection: Connection, settings: ClusterSettings, seconds: float | None) -> None:
        self._connection = connection
        self.settings = settings
        self._seconds = seconds

    def target(self) -> Any:
        """Return the SDK's compute target, created if there is none of that name; doesn't wait.

        Raises:
            ServiceError: The cluster exists, and its state is Failed; the message has Azure's errors.
        """
        try:
            target = self._found()
        except NotFoundError:
            target = self._created()
        status = status_of(target)
        if status.state == "Failed":
            raise provisioning_error(status)
        return target

    def ensure(self, *, timeout: float, progress: Callable[[ClusterStatus], None] | None) -> ClusterStatus:
        """Create the cluster if need be, and wait; see `mnistkit.azureml.AmlCompute.ensure`."""
        target = self.target()
        return wait_until_ready(lambda: self._status(target), timeout=timeout, progress=progress)

    def status(self) -> ClusterStatus:
        """Return the cluster's status; see `mnistkit.azureml.AmlCompute.status`."""
        return self._status(self._found())

    def delete(self) -> None:
        """Delete the cluster; see `mnistkit.azureml.AmlCompute.delete`."""
        try:
            target = self._found()
            call(f"deleting the cluster {self.settings.name}", target.delete, seconds=self._seconds)
        except NotFoundError:
            return

    def _found(self) -> Any:
        compute = sdk("azureml.core.compute")
        workspace, name = self._connection.workspace, self.settings.name
        what = f"getting the cluster {name}"
        found = call(what, compute.ComputeTarget, workspace, name, seconds=self._seconds)
        if not isinstance(found, compute.AmlCompute):
            raise UsageError(
                f"{name!r} is a {type(found).__name__} in {workspace.name}, not a cluster of Azure ML: name another."
            )
        return found

    def _created(self) -> Any:
        settings, compute = self.settings, sdk("azureml.core.compute")
        workspace = self._connection.workspace
        self._check_size(workspace)
        how = compute.AmlCompute.provisioning_configuration(
            vm_size=settings.vm_size,
            min_nodes=settings.min_nodes,
            max_nodes=settings.max_nodes,
            idle_seconds_before_scaledown=settings.idle_seconds,
        )
        _log.info("creating the cluster %s", settings.name)
        what = f"creating the cluster {settings.name}"
        return call(what, compute.ComputeTarget.create, workspace, settings.name, how, seconds=self._seconds)

    def _check_size(self, workspace: Any) -> None:
        """Refuse a machine type that the region doesn't have, before anything is created."""
        sizes = sdk("azureml.core.compute").AmlCompute.supported_vmsizes
        known = [size["name"] for size in call("listing machine types", sizes, workspace, seconds=self._seconds)]
        check_size(self.settings.vm_size, known, workspace.location)

    def _status(self, target: Any) -> ClusterStatus:
        call(f"looking at the cluster {target.name}", target.refresh_state, seconds=self._seconds)
        return status_of(target)


def status_of(target: Any) -> ClusterStatus:
    """Return the status in the SDK's object, as of its last refresh."""
    told = target.status
    counts = getattr(told, "node_state_counts", None)
    scale = getattr(told, "scale_settings", None) or target.scale_settings
    errors = [*(getattr(told, "errors", None) or ()), *(target.provisioning_errors or ())]
    return ClusterStatus(
        name=target.name,
        state=(getattr(told, "provisioning_state", None) or target.provisioning_state or "").capitalize(),
        vm_size=getattr(told, "vm_size", None) or target.vm_size or "",
        nodes=getattr(told, "current_node_count", None) or 0,
        busy=getattr(counts, "running_node_count", None) or 0,
        min_nodes=scale.minimum_node_count,
        max_nodes=scale.maximum_node_count,
        errors=tuple(dict.fromkeys(map(_error, errors))),
    )


def _error(error: Any) -> str:
    """Return the message of one of Azure's errors, which come in three shapes."""
    error = getattr(error, "error", error)
    if isinstance(error, dict):
        error = error.get("error", error)
        return ": ".join(str(error[key]) for key in ("code", "message") if error.get(key)) or str(error)
    return str(getattr(error, "message", error))
