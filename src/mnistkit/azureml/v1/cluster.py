"""A cluster of the workspace: what it should be, checked before any call, and what it is."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any

from attrs import frozen

from mnistkit.azureml.v1._sdk import call, sdk
from mnistkit.azureml.v1.failures import failure
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.errors import (
    ConfigError,
    InvalidNameError,
    NotFoundError,
    QuotaError,
    ServiceError,
    ServiceTimeoutError,
    UsageError,
)

__all__ = ["Cluster", "ClusterSettings", "ClusterStatus", "status_of"]

NAME_RULE = (
    "2 to 32 letters, digits and '-', beginning with a letter and not ending with '-', and none of its own names"
)

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])")
_RESERVED = {"amlcompute", "local", "containerinstance"}
_SIZE = re.compile(r"(?:standard|basic)_[a-z0-9_]+", re.IGNORECASE)
_VARIABLES = {
    "name": "AML_COMPUTE_CLUSTER_NAME",
    "vm_size": "AML_COMPUTE_CLUSTER_SKU",
    "min_nodes": "AML_COMPUTE_CLUSTER_MIN_NODES",
    "max_nodes": "AML_COMPUTE_CLUSTER_MAX_NODES",
}
_DEFAULTS = {"name": "cpu-cluster", "vm_size": "STANDARD_D2_V2", "min_nodes": "0", "max_nodes": "4"}
_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class ClusterSettings:
    """What a cluster should be.

    Attributes:
        name: Within the workspace.
        vm_size: Azure's name of the machine type.
        min_nodes: Machines that are always there, and always cost.
        max_nodes: Machines at most.
        idle_seconds: Seconds without work after which a machine goes.
    """

    name: str
    vm_size: str
    min_nodes: int
    max_nodes: int
    idle_seconds: int

    @classmethod
    def of(
        cls,
        *,
        name: str | None = None,
        vm_size: str | None = None,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds: int = 120,
    ) -> ClusterSettings:
        """What is given, else what ``AML_COMPUTE_CLUSTER_*`` says, else what the tutorial does; checked.

        Raises:
            InvalidNameError: Azure doesn't take the name.
            ConfigError: A variable isn't what it should be.
            UsageError: A number or the size can't be right.
        """
        lowest, highest = _number("min_nodes", min_nodes), _number("max_nodes", max_nodes)
        settings = cls(
            name=name or _variable("name"),
            vm_size=vm_size or _variable("vm_size"),
            min_nodes=lowest,
            max_nodes=highest,
            idle_seconds=idle_seconds,
        )
        settings._check()
        return settings

    def _check(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.lower() in _RESERVED:
            raise InvalidNameError(f"{self.name!r} can't be a cluster's name: Azure takes {NAME_RULE}.")
        if not _SIZE.fullmatch(self.vm_size):
            raise UsageError(f"vm_size={self.vm_size!r}: name a machine type of Azure, such as STANDARD_D2_V2.")
        if self.min_nodes < 0 or self.max_nodes < 1:
            raise UsageError(f"min_nodes={self.min_nodes}, max_nodes={self.max_nodes}: use at least 0 and at least 1.")
        if self.min_nodes > self.max_nodes:
            raise UsageError(f"min_nodes={self.min_nodes} is above max_nodes={self.max_nodes}.")
        if self.idle_seconds < 0:
            raise UsageError(f"idle_seconds={self.idle_seconds}: use 0 or more seconds.")


@frozen(kw_only=True)
class ClusterStatus:
    """What a cluster is.

    Attributes:
        name: Within the workspace.
        state: ``"Succeeded"``, ``"Creating"``, ``"Failed"``, ``"Deleting"`` and so on.
        vm_size: The machine type.
        nodes: Machines that are there: they cost.
        busy: Those that run something.
        min_nodes: Machines that are always there.
        max_nodes: Machines at most.
        errors: What went wrong with it.
    """

    name: str
    state: str
    vm_size: str
    nodes: int
    busy: int
    min_nodes: int
    max_nodes: int
    errors: tuple[str, ...] = ()


class Cluster:
    """One cluster of a workspace."""

    def __init__(self, connection: Connection, settings: ClusterSettings, seconds: float | None) -> None:
        self._connection = connection
        self.settings = settings
        self._seconds = seconds

    def target(self) -> Any:
        """The SDK's compute target, created if there is none of that name; nothing is waited for.

        Raises:
            ServiceError: The cluster is there, and its state is Failed; the message has Azure's errors.
        """
        try:
            target = self._found()
        except NotFoundError:
            target = self._created()
        status = status_of(target)
        if status.state == "Failed":
            raise _provisioning_failed(status)
        return target

    def ensure(self, *, timeout: float, progress: Callable[[ClusterStatus], None] | None) -> ClusterStatus:
        """See `mnistkit.azureml.AmlCompute.ensure`."""
        deadline = time.monotonic() + timeout
        target, shown = self.target(), None
        pause = 0.2
        while True:
            status = self._status(target)
            if status != shown:
                shown = status
                _log.info("cluster %s: %s, %d nodes", status.name, status.state, status.nodes)
                if progress is not None:
                    progress(status)
            if status.state == "Failed" or status.errors:
                raise _provisioning_failed(status)
            if status.state == "Succeeded" and status.nodes >= status.min_nodes:
                return status
            if time.monotonic() >= deadline:
                raise ServiceTimeoutError(
                    f"The cluster {status.name} is still {status.state}, with {status.nodes} of {status.min_nodes} "
                    f"nodes after {timeout:g} s. It goes on: wait longer, or look at it in the Azure portal."
                )
            time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 1.5, 5.0)

    def status(self) -> ClusterStatus:
        """See `mnistkit.azureml.AmlCompute.status`."""
        return self._status(self._found())

    def delete(self) -> None:
        """See `mnistkit.azureml.AmlCompute.delete`."""
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
        if known and self.settings.vm_size.lower() not in {name.lower() for name in known}:
            close = ", ".join(sorted(known)[:8])
            raise UsageError(
                f"vm_size={self.settings.vm_size!r}: {workspace.location} has no such machine type; "
                f"it has {close} and others."
            )

    def _status(self, target: Any) -> ClusterStatus:
        call(f"looking at the cluster {target.name}", target.refresh_state, seconds=self._seconds)
        return status_of(target)


def status_of(target: Any) -> ClusterStatus:
    """What the SDK's object says, as of when it was last refreshed."""
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


def _variable(setting: str) -> str:
    return os.environ.get(_VARIABLES[setting], "").strip() or _DEFAULTS[setting]


def _number(setting: str, given: int | None) -> int:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int):
            raise UsageError(f"{setting}={given!r}: use a whole number.")
        return given
    text = _variable(setting)
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{_VARIABLES[setting]} is {text!r}: set it to a whole number.") from None


def _error(error: Any) -> str:
    """What one of Azure's errors says, in whichever of its shapes."""
    error = getattr(error, "error", error)
    if isinstance(error, dict):
        error = error.get("error", error)
        return ": ".join(str(error[key]) for key in ("code", "message") if error.get(key)) or str(error)
    return str(getattr(error, "message", error))


def _provisioning_failed(status: ClusterStatus) -> ServiceError:
    told = "; ".join(status.errors).rstrip(".") or "Azure says no more"
    error = failure(RuntimeError(told), f"provisioning the cluster {status.name}")
    kind = type(error) if isinstance(error, QuotaError) else ServiceError
    return kind(
        f"The cluster {status.name} is {status.state}: {told}. Delete it (AmlCompute.delete), and create another."
    )
