"""The folder of a workspace's state: its owner, its lock, the workspace's names."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace
from mnistkit.errors import ConfigError, StorageError

__all__ = ["kept_port", "open_folder", "read_config", "workspace_of"]

_NAME_KEYS = ("subscription_id", "resource_group", "workspace_name")
_DEFAULT_NAMES = ("00000000-0000-0000-0000-000000000000", "emulator", "emulator")
_STORAGE_ACCOUNT = "mnistkitemulator"
_DEFAULT_LOCATION = "westeurope"
_RECORD_KEY = "it"
_MAX_CONFIG_CHARS = 1 << 20
_LOCK_FILE = "lock.sqlite"
_FOLDER_PREFIX = "mnistkit-emulator-"
_TEMPORARY_FILE = "temporary"  # the file that marks a folder that nobody asked to keep
_MIN_AGE_SECONDS = 60.0  # the process that made such a folder may not hold it yet


@contextlib.contextmanager
def open_folder(given: Path | None) -> Iterator[Path]:
    """Yield a folder for this emulator alone: the given one, or a temporary one.

    Raises:
        StorageError: It can't be used, or another emulator has it.
    """
    if given is None:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX)).resolve()
        (folder / _TEMPORARY_FILE).touch()
    else:
        folder = given.resolve()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(folder)
            folder.chmod(0o700)
            (folder / _TEMPORARY_FILE).unlink(missing_ok=True)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"The state {folder} can't be used: {error.strerror}. Name another folder.") from error
    try:
        with _held(folder):
            yield folder
    finally:
        if given is None:
            shutil.rmtree(folder, ignore_errors=True)


def read_config(file: Path) -> dict[str, str]:
    """Return the names in a ``config.json``, as the SDK's ``Workspace.from_config`` reads them.

    Raises:
        ConfigError: It isn't one.
    """
    try:
        values = json.loads(_regular_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file} can't be read: {error}.") from error
    if not isinstance(values, dict) or any(not isinstance(values.get(name), str) for name in _NAME_KEYS):
        raise ConfigError(f"{file} isn't the config.json of a workspace: it needs {', '.join(_NAME_KEYS)}.")
    return {name: values[name] for name in _NAME_KEYS}


def _regular_text(file: Path) -> str:
    """Return the text of a small regular file; a pipe or a device would never end."""
    with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), encoding="utf-8") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(file))
        text = stream.read(_MAX_CONFIG_CHARS + 1)
    if len(text) > _MAX_CONFIG_CHARS:
        raise OSError(errno.EFBIG, f"Larger than {_MAX_CONFIG_CHARS} characters", str(file))
    return text


def kept_port(store: Store) -> int:
    """Return the port that this state's emulator listened on last; 0 if there was none."""
    return int(store.table("workspace").get(_RECORD_KEY, {}).get("port", 0))


def workspace_of(store: Store, port: int, names: Mapping[str, str] | None) -> Workspace:
    """Return the workspace of a state. A new one has a new id, under which the SDK caches uploads.

    Args:
        store: The state.
        port: Where it listens now.
        names: As `read_config` gives them; None for what the state says, or else the defaults.
    """
    table = store.table("workspace")
    known = {
        "id": str(uuid.uuid4()),
        **dict(zip(_NAME_KEYS, _DEFAULT_NAMES, strict=True)),
        **table.get(_RECORD_KEY, {}),
    }
    known |= {"port": port, **(names or {})}
    table[_RECORD_KEY] = known
    return Workspace(
        subscription_id=known["subscription_id"],
        resource_group=known["resource_group"],
        name=known["workspace_name"],
        id=known["id"],
        location=_DEFAULT_LOCATION,
        storage_account=_STORAGE_ACCOUNT,
        url=f"http://127.0.0.1:{port}",
    )


def _check_owner(folder: Path) -> None:
    """Check that a folder is the user's own: it holds secrets, data and logs.

    Raises:
        StorageError: It is somebody else's.
    """
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():  # Windows has access lists instead
        text = f"The state {folder} belongs to another user, who could read what is kept there. Name another folder."
        raise StorageError(text)


def _remove_abandoned() -> None:
    """Remove the folders of emulators that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError, StorageError):
            if (folder / _TEMPORARY_FILE).exists() and (
                folder / _LOCK_FILE
            ).stat().st_mtime < time.time() - _MIN_AGE_SECONDS:
                with _held(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder; the system releases the lock when the process ends, however that ends."""
    with contextlib.ExitStack() as undo:
        try:
            database = sqlite3.connect(folder / _LOCK_FILE, timeout=0, isolation_level=None, check_same_thread=False)
            undo.callback(database.close)
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            text = f"The state {folder} can't be used: {error}. Does another emulator run with it?"
            raise StorageError(text) from error
        yield
