"""The files of a web service, where Azure's containers have them."""

from __future__ import annotations

import posixpath
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.models import Models

__all__ = ["fill"]

_VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARTIFACT_PREFIX = "aml://artifact/"


def fill(app: Path, asked: Mapping[str, Any], models: Models, artifacts: Artifacts) -> tuple[str, dict[str, str]]:
    """Write a service's scripts and models into its folder.

    Models are at ``azureml-models/<name>/<version>/``; ``AZUREML_MODEL_DIR`` is that of the only one, or else the one
    of all of them.

    Args:
        app: The folder.
        asked: The ``environmentImageRequest`` of the service.
        models: Where models are looked up.
        artifacts: What both are made of.

    Returns:
        The path of the entry script below the folder, and the variables of the script's environment.

    Raises:
        Refusal: 400: it can't be served; 404: a model or file isn't there.
    """
    check_types(asked, assets=list, modelIds=list, environment=dict)
    for asset in asked.get("assets") or []:
        origin, container, path = _artifact(asset)
        file = artifacts.file(origin, container, path)
        if asset.get("unpack"):
            _unpack(file, app)
        else:
            shutil.copyfile(file, _place(app, str(asset.get("id"))))
    all_models = folder = app / "azureml-models"
    for model_id in asked.get("modelIds") or []:
        model = models.get(model_id)
        folder = all_models / model["name"] / str(model["version"])
        files = list(_files(model_id, models, artifacts))
        if not files or model["unpack"]:
            raise Refusal(400, f"Model {model_id!r} has no files that can be served as they are.")
        for path, file in files:
            shutil.copyfile(file, _place(folder, path))
    if len(asked.get("modelIds") or []) != 1:
        folder = all_models
    variables = _variables(asked)
    entry = variables.get("AZUREML_ENTRY_SCRIPT", "")
    return entry, {**variables, "AZUREML_MODEL_DIR": str(folder)}


def _variables(asked: Mapping[str, Any]) -> dict[str, str]:
    environment = asked.get("environment") or {}
    check_types(environment, environmentVariables=dict)
    variables = environment.get("environmentVariables") or {}
    wrong = [name for name, value in variables.items() if not _VARIABLE_PATTERN.fullmatch(name) or "\0" in str(value)]
    if wrong:
        raise Refusal(400, f"{wrong} can't be environment variables.")
    if not variables.get("AZUREML_ENTRY_SCRIPT"):
        raise Refusal(400, "The inference configuration needs an environment and an entry script.")
    return {name: str(value) for name, value in variables.items()}


def _files(model_id: str, models: Models, artifacts: Artifacts) -> Iterator[tuple[str, Path]]:
    """Return a model's files, and their paths as a download of it has them."""
    for origin, container, prefix in models.artifacts(model_id):
        for path in artifacts.paths(origin, container, prefix):
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                below = posixpath.relpath(path, posixpath.dirname(prefix) or ".")
                yield below, artifacts.file(origin, container, path)


def _artifact(asset: object) -> tuple[str, str, str]:
    url = asset.get("url") if isinstance(asset, dict) else None
    parts = (
        url.removeprefix(_ARTIFACT_PREFIX).split("/", 2)
        if isinstance(url, str) and url.startswith(_ARTIFACT_PREFIX)
        else []
    )
    if len(parts) != 3:  # noqa: PLR2004 - origin, container, path
        raise Refusal(400, f"{url!r} isn't an artifact: {_ARTIFACT_PREFIX}origin/container/path.")
    return parts[0], parts[1], parts[2]


def _place(folder: Path, name: str) -> Path:
    """Return a path in a folder; make the folders above it."""
    place = _inside(folder, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _unpack(archive: Path, into: Path) -> None:
    """Unpack a tar file: folders and plain files, none of them outside of ``into``.

    Raises:
        Refusal: 400: it isn't a tar file, or holds anything else.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = _place(into, member.name)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise Refusal(400, f"{member.name!r} in the archive is neither a file nor a folder.")
                with content, place.open("wb") as out:
                    shutil.copyfileobj(content, out)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refusal(400, f"An archive of the service can't be unpacked: {error}.") from None


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise Refusal(400, f"{name!r} isn't a path inside of the service's folder.")
    return folder / path
