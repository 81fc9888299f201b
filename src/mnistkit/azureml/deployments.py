"""Names, tags and records of deployments, and the environment of a scoring script, for both SDKs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from attrs import asdict

from mnistkit.errors import InvalidNameError, MnistkitError, UsageError
from mnistkit.models.input import InputSpec
from mnistkit.registry.deployment import DeploymentRecord, DeploymentState
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.documents import parse_json

__all__ = ["ERROR_LINES", "MODEL_TAG", "TARGETS", "check_service_name", "input_properties", "last_lines", "record_of",
           "tags_of", "target_options", "write_conda_file"]  # fmt: skip

TARGETS: Final[Mapping[str, tuple[str, str]]] = {
    "aci": ("v1", "AciDeployments"),
    "endpoint": ("v2", "ManagedEndpoints"),
}
"""By a target's name the version of the SDK that it needs, and its class."""

ERROR_LINES: Final = 15
"""How many lines of a log an error ends with."""

MODEL_TAG: Final = "mnistkit.model"
"""The tag that holds the deployed version; services without it aren't mnistkit's."""

_DIGEST_TAG = "mnistkit.digest"
_INPUT_PROPERTY = "mnistkit.input"
_NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


def check_service_name(name: str) -> None:
    """Refuse a name that Azure would refuse, of a web service as of an endpoint.

    Raises:
        InvalidNameError: It isn't one.
    """
    if not isinstance(name, str) or not _NAME_PATTERN.fullmatch(name):
        raise InvalidNameError(
            f"{name!r:.80} isn't a valid name of a web service: use 3 to 32 small letters, digits or '-', from a "
            "letter to a letter or digit."
        )


def target_options(target: str, sdk: str, connection: Any) -> dict[str, Any]:
    """Return the options by which a target is in the workspace of a connection; see `SupportsDeployment`.

    Args:
        target: Its name.
        sdk: The version of the SDK that the connection is of.
        connection: Passed on.

    Raises:
        UsageError: The target needs the other version: it would connect to what ``config.json`` names, which may be
            another workspace.
    """
    if target not in TARGETS:
        return {}
    needed, kind = TARGETS[target]
    if needed != sdk:
        other = next(name for name, (version, _) in TARGETS.items() if version == sdk)
        raise UsageError(
            f"target={target!r} needs Azure ML's SDK {needed}, and this workspace is connected to through {sdk}: use "
            f"target={other!r}, or give a target of the workspace that you mean, {kind}(workspace)."
        )
    return {"workspace": connection}


def tags_of(version: ModelVersion) -> dict[str, str]:
    """Return the tags that say what is deployed."""
    return {MODEL_TAG: version.id, _DIGEST_TAG: version.digest}


def input_properties(version: ModelVersion) -> dict[str, str]:
    """Return the properties that say how images are prepared; none if that is unknown."""
    return {} if version.input is None else {_INPUT_PROPERTY: json.dumps(asdict(version.input))}


def record_of(
    name: str,
    target: str,
    *,
    tags: Mapping[str, str],
    properties: Mapping[str, str],
    created_at: datetime,
    state: DeploymentState,
    url: str,
    error: str = "",
) -> DeploymentRecord:
    """Return a record from what Azure keeps of a deployment."""
    return DeploymentRecord(
        name=name,
        target=target,
        model=str(tags.get(MODEL_TAG, "")),
        digest=str(tags.get(_DIGEST_TAG, "")),
        created_at=created_at,
        state=state,
        url=url,
        error=error,
        input=_input_of(properties),
    )


def last_lines(text: str, lines: int) -> str:
    """Return the last lines of a text."""
    return "".join(text.splitlines(keepends=True)[-lines:] if lines > 0 else [])


def write_conda_file(package: Path, server: str) -> Path:
    """Write the environment of a package's scoring script with the server that Azure runs it in; return the file.

    Args:
        package: What `mnistkit.serving.package_model` wrote.
        server: The requirement of the server, such as ``"azureml-defaults"``.
    """
    file = package / "conda-azure.yaml"
    file.write_text(f"{(package / 'conda.yaml').read_text(encoding='utf-8').rstrip()}\n      - {server}\n", "utf-8")
    return file


def _input_of(properties: Mapping[str, str]) -> InputSpec | None:
    try:
        found = parse_json(properties[_INPUT_PROPERTY], _INPUT_PROPERTY)
        return InputSpec(**{**found, "class_names": tuple(found.get("class_names", ()))})
    except (KeyError, ValueError, TypeError, AttributeError, MnistkitError):
        return None
