"""Checks of both SDKs, of the workspace's file, of credentials, of the workspace and its clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnistkit import config
from mnistkit.azureml.backends import MODULES, Sdk, select_sdk
from mnistkit.azureml.cluster import ClusterStatus
from mnistkit.azureml.credentials import credential_kind
from mnistkit.azureml.pins import configured_pins
from mnistkit.azureml.v1 import diagnosis as v1
from mnistkit.azureml.v1._sdk import sdk_versions as versions_of_v1
from mnistkit.azureml.v2 import diagnosis as v2
from mnistkit.azureml.v2._sdk import sdk_versions as versions_of_v2
from mnistkit.azureml.workspace import find_config
from mnistkit.errors import MissingExtraError, MnistkitError, NotFoundError

__all__ = ["diagnose"]

_EXTRAS: Mapping[Sdk, str] = {"v2": "azure", "v1": "azure-v1"}
_HINTS: Mapping[Sdk, str] = {"v2": "", "v1": ", with Python 3.10 or 3.11"}
_CALL_SECONDS = 20.0
_MAIN_PACKAGES: Mapping[Sdk, str] = {"v2": "azure-ai-ml", "v1": "azureml-core"}

Check = tuple[str, bool, str]
"""A check's name, its success, and a detail or a way out."""


def diagnose(options: Mapping[str, Any] | None) -> Iterator[Check]:
    """Yield the checks. Never raises.

    Requests are sent only if an SDK, a workspace and credentials are there, each with a deadline of 20 seconds.

    Args:
        options: Arguments of `connect` and ``sdk``, if the project uses a workspace; None if it doesn't: then nothing
            is broken.
    """
    is_used = options is not None
    given = dict(options or {})
    versions = {"v2": versions_of_v2(), "v1": versions_of_v1()}
    try:
        chosen: Sdk | None = select_sdk(given.pop("sdk", None))
    except MissingExtraError:
        chosen = None
    except MnistkitError as error:
        yield "azure", False, str(error)
        return
    for sdk in MODULES:
        found = ", ".join(f"{name} {version}" for name, version in versions[sdk].items())
        is_missing = _MAIN_PACKAGES[sdk] not in versions[sdk]
        is_needed = is_used and chosen in {sdk, None}
        missing = f"not installed: python -m pip install 'mnistkit[{_EXTRAS[sdk]}]'{_HINTS[sdk]}"
        yield f"extra {_EXTRAS[sdk]}", not (is_missing and is_needed), missing if is_missing else found
    if chosen is None or _MAIN_PACKAGES[chosen] not in versions[chosen]:
        return
    try:
        yield from _workspace(chosen, given)
    except NotFoundError as error:
        yield "azure", not is_used, str(error) if is_used else "no config.json of a workspace here or above"
    except MnistkitError as error:
        yield "azure", not is_used, str(error)


def _workspace(sdk: Sdk, options: dict[str, Any]) -> Iterator[Check]:
    if not options.get("name"):
        which = find_config(options.get("config") or ".")
        yield "azure config", True, f"{which.found_in}: {which.name} in {which.resource_group}"
    kind = options.get("credentials") or credential_kind()
    yield "azure login", True, str(kind)
    if config.is_offline():
        return
    name, location, clusters = (v2 if sdk == "v2" else v1).look(options, _CALL_SECONDS)
    yield "azure", True, f"connected to {name} in {location}, with the SDK {sdk}"
    if pins := configured_pins():
        yield "azure data", True, f"{pins.name} is expected in place of MNIST ({config.PINS_VARIABLE})"
    count = 0
    for cluster in clusters:
        count += 1
        yield _checked(cluster) if isinstance(cluster, ClusterStatus) else cluster
    if not count:
        yield "clusters", True, "none yet: the first run creates one"


def _checked(status: ClusterStatus) -> Check:
    check = f"cluster {status.name}"
    if status.state == "Failed" or status.errors:
        told = "; ".join(status.errors) or "Azure gives no reason"
        return (
            check,
            False,
            f"{status.state}: {told.rstrip('.')}. Delete it (AmlCompute.delete): the next run creates another",
        )
    cost = "; running nodes cost money" if status.nodes else ""
    bounds = f"{status.min_nodes} to {status.max_nodes}"
    return check, True, f"{status.state}, {status.nodes} of {bounds} nodes of {status.vm_size}{cost}"
