"""A cluster's settings, checked before any call, its status, and the wait until it is ready."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence

from attrs import frozen

from mnistkit.azureml.failures import failure
from mnistkit.errors import ConfigError, InvalidNameError, QuotaError, ServiceError, ServiceTimeoutError, UsageError

__all__ = ["ClusterSettings", "ClusterStatus", "check_size", "provisioning_error", "wait_until_ready"]

_NAME_RULE = (
    "2 to 32 letters, digits and '-', beginning with a letter and not ending with '-', and none of its own names"
)

_NAME_PATTERN = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])")
_RESERVED_NAMES = {"amlcompute", "local", "containerinstance"}
_SIZE_PATTERN = re.compile(r"(?:standard|basic)_[a-z0-9_]+", re.IGNORECASE)
_VARIABLES = {
    "name": "AML_COMPUTE_CLUSTER_NAME",
    "vm_size": "AML_COMPUTE_CLUSTER_SKU",
    "min_nodes": "AML_COMPUTE_CLUSTER_MIN_NODES",
    "max_nodes": "AML_COMPUTE_CLUSTER_MAX_NODES",
}
_DEFAULTS = {"name": "cpu-cluster", "vm_size": "STANDARD_D2_V2", "min_nodes": "0", "max_nodes": "4"}

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.2, 5.0
_MAX_SIZES = 8  # of machine types in a message
_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class ClusterSettings:
    """The settings of a cluster.

    Attributes:
        name: Within the workspace.
        vm_size: Azure's name of the machine type.
        min_nodes: Machines that always exist, and always cost.
        max_nodes: The largest number of machines.
        idle_seconds: Seconds without work after which a machine is released.
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
        """Return settings as given, else from ``AML_COMPUTE_CLUSTER_*``, else the tutorial's; checked.

        Raises:
            InvalidNameError: Azure doesn't take the name.
            ConfigError: A variable isn't a whole number.
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
        if not _NAME_PATTERN.fullmatch(self.name) or self.name.lower() in _RESERVED_NAMES:
            raise InvalidNameError(f"{self.name!r} can't be a cluster's name: Azure takes {_NAME_RULE}.")
        if not _SIZE_PATTERN.fullmatch(self.vm_size):
            raise UsageError(f"vm_size={self.vm_size!r}: name a machine type of Azure, such as STANDARD_D2_V2.")
        if self.min_nodes < 0 or self.max_nodes < 1:
            raise UsageError(f"min_nodes={self.min_nodes}, max_nodes={self.max_nodes}: use at least 0 and at least 1.")
        if self.min_nodes > self.max_nodes:
            raise UsageError(f"min_nodes={self.min_nodes} is above max_nodes={self.max_nodes}.")
        if self.idle_seconds < 0:
            raise UsageError(f"idle_seconds={self.idle_seconds}: use 0 or more seconds.")


@frozen(kw_only=True)
class ClusterStatus:
    """The state of a cluster.

    Attributes:
        name: Within the workspace.
        state: ``"Succeeded"``, ``"Creating"``, ``"Failed"``, ``"Deleting"`` and so on.
        vm_size: The machine type.
        nodes: Machines that exist: they cost.
        busy: Those that run a job.
        min_nodes: Machines that always exist.
        max_nodes: The largest number of machines.
        errors: Azure's messages if provisioning failed.
    """

    name: str
    state: str
    vm_size: str
    nodes: int
    busy: int
    min_nodes: int
    max_nodes: int
    errors: tuple[str, ...] = ()


def wait_until_ready(
    read_status: Callable[[], ClusterStatus], *, timeout: float, progress: Callable[[ClusterStatus], None] | None
) -> ClusterStatus:
    """Poll a cluster until it is provisioned and has its minimum of nodes.

    Args:
        read_status: Returns the present status.
        timeout: Maximum number of seconds to wait.
        progress: Called with the status whenever it changes; it is logged as well.

    Raises:
        ServiceError: Provisioning failed; `QuotaError` if the subscription has too little quota.
        ServiceTimeoutError: It isn't ready in time; Azure continues.
    """
    deadline, shown, pause = time.monotonic() + timeout, None, _FIRST_PAUSE_SECONDS
    while True:
        status = read_status()
        if status != shown:
            shown = status
            _log.info("cluster %s: %s, %d nodes", status.name, status.state, status.nodes)
            if progress is not None:
                progress(status)
        if status.state == "Failed" or status.errors:
            raise provisioning_error(status)
        if status.state == "Succeeded" and status.nodes >= status.min_nodes:
            return status
        if time.monotonic() >= deadline:
            raise ServiceTimeoutError(
                f"The cluster {status.name} is still {status.state}, with {status.nodes} of {status.min_nodes} "
                f"nodes after {timeout:g} s. Azure continues: wait longer, or look at it in the Azure portal."
            )
        time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)


def provisioning_error(status: ClusterStatus) -> ServiceError:
    """Return the error for a cluster whose provisioning failed, with Azure's reasons."""
    told = "; ".join(status.errors).rstrip(".") or "Azure gives no reason"
    error = failure(RuntimeError(told), f"provisioning the cluster {status.name}")
    kind = type(error) if isinstance(error, QuotaError) else ServiceError
    return kind(
        f"The cluster {status.name} is {status.state}: {told}. Delete it (AmlCompute.delete), and create another."
    )


def check_size(vm_size: str, known: Sequence[str], location: str) -> None:
    """Refuse a machine type that the region doesn't have, before anything is created.

    Raises:
        UsageError: It isn't among the known ones.
    """
    if known and vm_size.lower() not in {name.lower() for name in known}:
        some = ", ".join(sorted(known)[:_MAX_SIZES])
        raise UsageError(f"vm_size={vm_size!r}: {location} has no such machine type; it has {some} and others.")


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
