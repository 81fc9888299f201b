"""The workspace and its compute targets through the SDK v2, for the doctor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.cluster import ClusterStatus
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.cluster import status_of
from mnistkit.azureml.v2.workspace import Connection, connect

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
    client = connect(**options, seconds=seconds)
    return client.workspace_name, str(Connection(client).workspace.location), _clusters(client, seconds)


def _clusters(client: Any, seconds: float) -> Iterator[ClusterStatus | tuple[str, bool, str]]:
    kind = sdk("azure.ai.ml.entities").AmlCompute
    for found in call("listing clusters", lambda: list(client.compute.list()), seconds=seconds):
        if isinstance(found, kind):
            yield status_of(client, found, seconds)
        else:
            state = str(found.provisioning_state or "unknown")
            yield f"cluster {found.name}", state != "Failed", f"{type(found).__name__}, {state}"
