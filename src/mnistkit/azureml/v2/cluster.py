"""A cluster of a workspace through the SDK v2."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.cluster import ClusterSettings, ClusterStatus, check_size, provisioning_error, wait_until_ready
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import NotFoundError, UsageError

__all__ = ["Cluster", "status_of"]

_log = logging.getLogger(__name__)


class Cluster:
    """One cluster of a workspace."""

    def __init__(self, connection: Connection, settings: ClusterSettings, seconds: float | None) -> None:
        self._connection = connection
        self.settings = settings
        self._seconds = seconds

    def target(self) -> str:
        """Return the cluster's name, after creating it if there is none of that name; doesn't wait.

        Raises:
            ServiceError: The cluster exists, and its state is Failed; the message has Azure's errors.
        """
        try:
            found = self._found()
        except NotFoundError:
            self._create()
            return self.settings.name
        if found.provisioning_state == "Failed":
            raise provisioning_error(status_of(self._connection.client, found, self._seconds))
        return self.settings.name

    def ensure(self, *, timeout: float, progress: Callable[[ClusterStatus], None] | None) -> ClusterStatus:
        """Create the cluster if need be, and wait until it is ready; see `AmlCompute.ensure`."""
        self.target()
        return wait_until_ready(self.status, timeout=timeout, progress=progress)

    def status(self) -> ClusterStatus:
        """Return the cluster's status; see `AmlCompute.status`."""
        return status_of(self._connection.client, self._found(), self._seconds)

    def delete(self) -> None:
        """Delete the cluster; see `AmlCompute.delete`. Doesn't wait."""
        try:
            self._found()
            self._call("deleting", self._computes.begin_delete, self.settings.name)
        except NotFoundError:
            return

    @property
    def _computes(self) -> Any:
        return self._connection.client.compute

    def _call(self, verb: str, function: Callable[..., Any], *args: Any) -> Any:
        return call(f"{verb} the cluster {self.settings.name}", function, *args, seconds=self._seconds)

    def _found(self) -> Any:
        found = self._call("getting", self._computes.get, self.settings.name)
        if not isinstance(found, sdk("azure.ai.ml.entities").AmlCompute):
            raise UsageError(
                f"{self.settings.name!r} is a {type(found).__name__} in {self._connection.client.workspace_name}, not "
                "a cluster of Azure ML: name another."
            )
        return found

    def _create(self) -> None:
        settings = self.settings
        sizes = call("listing machine types", lambda: list(self._computes.list_sizes()), seconds=self._seconds)
        check_size(settings.vm_size, [size.name for size in sizes], self._connection.workspace.location)
        entity = sdk("azure.ai.ml.entities").AmlCompute(
            name=settings.name,
            size=settings.vm_size,
            min_instances=settings.min_nodes,
            max_instances=settings.max_nodes,
            idle_time_before_scale_down=settings.idle_seconds,
        )
        _log.info("creating the cluster %s", settings.name)
        self._call("creating", self._computes.begin_create_or_update, entity)  # the poller isn't waited for


def status_of(client: Any, found: Any, seconds: float | None) -> ClusterStatus:
    """Return the status of the SDK's description of a cluster, with one request for its nodes.

    Args:
        client: The workspace's.
        found: The description.
        seconds: The deadline.
    """
    what = f"listing the nodes of the cluster {found.name}"
    nodes = call(what, lambda: list(client.compute.list_nodes(found.name)), seconds=seconds)
    busy = sum(str(getattr(node, "node_state", "")).lower() == "running" for node in nodes)
    reasons = found.provisioning_errors or ()  # azure-ai-ml 1.35 keeps the code of the first alone, as a text
    errors = [reasons] if isinstance(reasons, str) else [str(getattr(each, "message", each)) for each in reasons]
    return ClusterStatus(
        name=found.name,
        state=(found.provisioning_state or "").capitalize(),
        vm_size=found.size or "",
        nodes=len(nodes),
        busy=busy,
        min_nodes=found.min_instances or 0,
        max_nodes=found.max_instances or 0,
        errors=tuple(dict.fromkeys(errors)),
    )
