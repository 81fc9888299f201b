"""The workspace and its compute targets through the SDK v1, for the doctor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.cluster import ClusterStatus
from mnistkit.azureml.v1.cluster import status_of
from mnistkit.azureml.v1.workspace import connect

__all__ = ["look"]


def look(
    options: Mapping[str, Any], seconds: float
) -> tuple[str, str, Iterator[ClusterStatus | tuple[str, bool, str]]]:
    """Return the workspace's name and location, and an iterator over its compute targets.

    Args:
        options: Arguments of `connect`.
        seconds: The deadline of each call.

    Raises:
        MnistkitError: It can't be connected to.
    """
    workspace = connect(**options, seconds=seconds)
    return workspace.name, workspace.location, _clusters(workspace, seconds)


def _clusters(workspace: Any, seconds: float) -> Iterator[ClusterStatus | tuple[str, bool, str]]:
    targets = call("listing clusters", lambda: workspace.compute_targets, seconds=seconds)
    for name, target in targets.items():
        if target.type != "AmlCompute":
            state = str(getattr(target, "provisioning_state", None) or "unknown")
            yield f"cluster {name}", state != "Failed", f"{target.type}, {state}"
            continue
        call("looking at a cluster", target.refresh_state, seconds=seconds)  # get_status prints, on standard output
        yield status_of(target)
