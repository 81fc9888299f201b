"""Checks of the SDK v1, the workspace's file, credentials, the workspace and its clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnistkit import config
from mnistkit.azureml.calls import call
from mnistkit.azureml.credentials import credential_kind
from mnistkit.azureml.pins import configured_pins
from mnistkit.azureml.v1._sdk import sdk_versions
from mnistkit.azureml.v1.cluster import status_of
from mnistkit.azureml.v1.workspace import connect
from mnistkit.azureml.workspace import find_config
from mnistkit.errors import MnistkitError, NotFoundError

__all__ = ["diagnose"]

_CALL_SECONDS = 20.0


def diagnose(options: Mapping[str, Any] | None) -> Iterator[tuple[str, bool, str]]:
    """Yield each check's name, its success, and a detail or a way out. Never raises.

    Requests are sent only if the SDK, a workspace and credentials are there, each with a deadline of 20 seconds.

    Args:
        options: Arguments of `connect`, if the project uses a workspace; None if it doesn't: then nothing is broken.
    """
    is_used = options is not None
    if not (versions := sdk_versions()):
        detail = "not installed: python -m pip install 'mnistkit[azure-v1]', with Python 3.10 or 3.11"
        yield "extra azure-v1", not is_used, detail
        return
    yield "extra azure-v1", True, ", ".join(f"{name} {version}" for name, version in versions.items())
    try:
        yield from _workspace(dict(options or {}))
    except NotFoundError as error:
        yield "azure", not is_used, str(error) if is_used else "no config.json of a workspace here or above"
    except MnistkitError as error:
        yield "azure", not is_used, str(error)


def _workspace(options: dict[str, Any]) -> Iterator[tuple[str, bool, str]]:
    if not options.get("name"):
        which = find_config(options.get("config") or ".")
        yield "azure config", True, f"{which.found_in}: {which.name} in {which.resource_group}"
    kind = options.get("credentials") or credential_kind()
    yield "azure login", True, str(kind)
    if config.is_offline():
        return
    workspace = connect(**options, seconds=_CALL_SECONDS)
    yield "azure", True, f"connected to {workspace.name} in {workspace.location}"
    if pins := configured_pins():
        yield "azure data", True, f"{pins.name} is expected in place of MNIST ({config.PINS_VARIABLE})"
    targets = call("listing clusters", lambda: workspace.compute_targets, seconds=_CALL_SECONDS)
    for name, target in targets.items():
        yield f"cluster {name}", *_cluster(target)
    if not targets:
        yield "clusters", True, "none yet: the first run creates one"


def _cluster(target: Any) -> tuple[bool, str]:
    if target.type != "AmlCompute":
        state = str(getattr(target, "provisioning_state", None) or "unknown")
        return state != "Failed", f"{target.type}, {state}"
    call("looking at a cluster", target.refresh_state, seconds=_CALL_SECONDS)  # get_status prints, on standard output
    status = status_of(target)
    if status.state == "Failed" or status.errors:
        told = "; ".join(status.errors) or "Azure gives no reason"
        return False, f"{status.state}: {told.rstrip('.')}. Delete it (AmlCompute.delete): the next run creates another"
    cost = "; running nodes cost money" if status.nodes else ""
    bounds = f"{status.min_nodes} to {status.max_nodes}"
    return True, f"{status.state}, {status.nodes} of {bounds} nodes of {status.vm_size}{cost}"
