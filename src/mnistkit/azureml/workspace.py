"""The full name of a workspace, given or read from its ``config.json``."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from mnistkit.errors import ConfigError, DataFormatError, NotFoundError, UsageError
from mnistkit.utils.documents import parse_json, read_text

__all__ = ["WorkspaceName", "config_places", "find_config", "select_workspace"]

_FOLDERS = (".azureml", "aml_config", "")
_MAX_FILE_BYTES = 1 << 20
_FILES = ("config.json", "project.json")


@frozen
class WorkspaceName:
    """A workspace's full name.

    Attributes:
        subscription_id: The subscription.
        resource_group: The resource group in it.
        name: The workspace in that.
        found_in: The file that it was read from; None if a caller gave it.
    """

    subscription_id: str
    resource_group: str
    name: str
    found_in: Path | None = None


def config_places(start: str | os.PathLike[str] = ".") -> list[Path]:
    """Return where a workspace's file is looked for, as by the SDKs: ``.azureml``, ``aml_config`` or none; upwards."""
    folder = Path(start).expanduser().absolute()
    return [Path(parent, below, file) for below in _FOLDERS for file in _FILES for parent in (folder, *folder.parents)]


def find_config(start: str | os.PathLike[str] = ".") -> WorkspaceName:
    """Find and read the file that names the workspace.

    Args:
        start: The file, or the folder to start from.

    Raises:
        NotFoundError: There is no ``start``, or no file; lists where it was looked for.
        ConfigError: It can't be understood.
    """
    path = Path(start).expanduser().absolute()
    if not path.exists():  # looking above it instead could find another workspace
        raise NotFoundError(f"There is no {path}: name the workspace's config.json, or a folder to look for it from.")
    found = path if path.is_file() else next((each for each in config_places(path) if each.is_file()), None)
    if found is None:
        folders = ", ".join(str(Path(path, below) if below else path) for below in _FOLDERS)
        raise NotFoundError(
            f"There is no config.json of a workspace in {folders}, nor in the folders above them: download it from the "
            "workspace's page in the Azure portal, name the file, or give name, resource_group and subscription_id."
        )
    return _read(found)


def select_workspace(
    config: str | os.PathLike[str] | None, name: str | None, resource_group: str | None, subscription_id: str | None
) -> WorkspaceName:
    """Return the workspace that the names say, or, without any name, the one of a ``config.json``.

    Args:
        config: The file, or the folder to look for it from upwards; None for the working directory.
        name: The workspace, with ``resource_group`` and ``subscription_id``: then no file is looked for.
        resource_group: Its resource group.
        subscription_id: Its subscription.

    Raises:
        UsageError: Only some of the names are given.
        NotFoundError: There is no file; lists where it was looked for.
        ConfigError: The file can't be understood.
    """
    given = {"name": name, "resource_group": resource_group, "subscription_id": subscription_id}
    if name and resource_group and subscription_id:
        return WorkspaceName(subscription_id, resource_group, name)
    if any(given.values()):
        missing = ", ".join(each for each, value in given.items() if not value)
        raise UsageError(
            f"A workspace without its config.json needs name, resource_group and subscription_id: {missing} missing."
        )
    return find_config("." if config is None else config)


def _read(path: Path) -> WorkspaceName:
    try:
        values = parse_json(read_text(path, max_bytes=_MAX_FILE_BYTES, follow=True), path)
        if scope := values.get("Scope"):
            parts = str(scope).split("/")
            named = [parts[2], parts[4], parts[8]]
        else:
            named = [values[key] for key in ("subscription_id", "resource_group", "workspace_name")]
    except (OSError, DataFormatError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} doesn't name a workspace ({type(error).__name__}: {error}): it needs subscription_id, "
            "resource_group and workspace_name. Download it again from the workspace's page in the Azure portal."
        ) from error
    if not all(isinstance(value, str) and value for value in named):
        raise ConfigError(f"{path}: subscription_id, resource_group and workspace_name must be texts.")
    subscription_id, resource_group, name = named
    return WorkspaceName(subscription_id, resource_group, name, path)
