"""Deployments as processes of this machine, which outlive the program that started them."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mnistkit.errors import ConflictError, DataFormatError, DeploymentError, NotFoundError, StorageError, UsageError
from mnistkit.registry.deployment import DeploymentRecord, DeploymentState, DeploymentTarget
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.folder.processes import end_processes
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import write_atomically
from mnistkit.utils.names import check_name
from mnistkit.utils.regular import open_regular, read_regular
from mnistkit.utils.serialization import read_json, to_json

if TYPE_CHECKING:
    import psutil

__all__ = ["LocalDeployments"]

_log = logging.getLogger(__name__)

_RECORD, _TOKEN, _ADDRESS, _LOG, _PACKAGE, _SCRIPT = (
    "deployment.json", "token", "address", "log.txt", "package", "serve.py",
)  # fmt: skip
_MAX_SMALL_BYTES = 1 << 12
_MAX_TAIL_BYTES = 1 << 20
_POLL_SECONDS = 0.05
_HEALTH_SECONDS = 2.0
_GRACE_SECONDS = 15.0
_ERROR_LINES = 15

_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process has started: they are waited for when they have ended, so that none stays a zombie."""


@frozen(kw_only=True)
class _Stored:
    """What a deployment's folder holds of it.

    Attributes:
        record: As it was deployed.
        host: The machine that its process is on.
    """

    record: DeploymentRecord
    host: str


class LocalDeployments(DeploymentTarget):
    """Runs each deployment as a server process that keeps running when the program ends, until it is deleted.

    It listens on 127.0.0.1, and its clients need its key. After a restart of the machine it has failed. A process is
    recognized by the path of its script, which is its deployment's alone: a number of a process that is used again by
    another one can't be mistaken for it.

    Args:
        home: The folder for runs and models; deployments are in its folder ``deployments``.
        port: Where a new deployment listens; 0 for a free port.
        start_seconds: How long it may take until it answers.
    """

    def __init__(self, home: str | os.PathLike[str], *, port: int = 0, start_seconds: float = 120.0) -> None:
        self._root = Path(home).absolute() / "deployments"
        self._port = port
        self._start_seconds = start_seconds

    def deploy(self, version: ModelVersion, name: str, package: Path) -> DeploymentRecord:
        """Start a server process; see `DeploymentTarget.deploy`."""
        record = DeploymentRecord(
            name=check_name(name, "deployment name"), target="local", model=version.id, digest=version.digest,
            created_at=utc_now(), input=version.input,
        )  # fmt: skip
        folder = self._claimed(record, package)
        try:
            process = self._start(folder)
            self._wait(record.name, folder, process)
            return self.get(record.name)
        except BaseException as error:
            told = self._tail(folder, _ERROR_LINES)
            self._remove(folder)
            if isinstance(error, DeploymentError):
                raise DeploymentError(f"{error} Its log ends with:\n{told}") from error
            raise

    def get(self, name: str) -> DeploymentRecord:
        """Return the record; see `DeploymentTarget.get`."""
        folder = self._folder(name)
        try:
            stored: _Stored = read_json(folder / _RECORD, _Stored)
        except (OSError, DataFormatError) as error:
            raise NotFoundError(f"The deployment {name} can't be read: {error}. Delete it.") from error
        if stored.host != socket.gethostname():
            return evolve(
                stored.record, state=DeploymentState.UNHEALTHY, error=f"It runs on {stored.host}: look for it there."
            )
        if not _processes(folder):
            return evolve(
                stored.record, state=DeploymentState.FAILED, error="Its process has ended: delete it and deploy again."
            )
        url = _small(folder / _ADDRESS)
        if not url:
            return stored.record
        state = DeploymentState.HEALTHY if _is_healthy(url) else DeploymentState.UNHEALTHY
        return evolve(stored.record, state=state, url=f"{url}/score")

    def deployments(self) -> tuple[DeploymentRecord, ...]:
        """Return all records; one that can't be read is left out; see `DeploymentTarget.deployments`."""
        found = []
        for name in self._names():
            try:
                found.append(self.get(name))
            except NotFoundError as error:  # deleted just now, or damaged
                _log.warning("left out a deployment: %s", error)
        return tuple(found)

    def logs(self, name: str, *, lines: int = 100) -> str:
        """Return the end of the log; see `DeploymentTarget.logs`."""
        return self._tail(self._folder(name), lines)

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the one key; see `DeploymentTarget.keys`."""
        return (_small(self._folder(name) / _TOKEN),)

    def delete(self, name: str) -> None:
        """End the process, and remove the folder; see `DeploymentTarget.delete`.

        Raises:
            UsageError: It runs on another machine.
        """
        folder = self._folder(name)
        stored: _Stored | None = None
        with contextlib.suppress(OSError, DataFormatError):  # one that is damaged can be deleted, too
            stored = read_json(folder / _RECORD, _Stored)
        if stored is not None and stored.host != socket.gethostname():
            raise UsageError(f"{name} runs on {stored.host}: delete it there, which ends its process.")
        self._remove(folder)

    def _names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self._root) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def _folder(self, name: str) -> Path:
        folder = self._root / check_name(name, "deployment name")
        if not folder.is_dir() or folder.is_symlink():
            known = ", ".join(self._names()) or "none"
            raise NotFoundError(f"There is no deployment {name!r} in {self._root}; there are: {known}.")
        return folder

    def _claimed(self, record: DeploymentRecord, package: Path) -> Path:
        """Write the deployment's folder under another name and rename it, so that two of one name can't be made."""
        staging, folder = self._root / f".{uuid.uuid4().hex}", self._root / record.name
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            staging.mkdir(mode=0o700)
            shutil.copytree(package, staging / _PACKAGE)
            write_atomically(staging / _RECORD, to_json(_Stored(record=record, host=socket.gethostname())))
            (staging / _TOKEN).write_text(secrets.token_urlsafe(24), encoding="ascii")  # the folder is private
            staging.rename(folder)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            if folder.exists():
                raise ConflictError(
                    f"There is a deployment {record.name!r}: delete it first, or use another name."
                ) from error
            raise StorageError(f"Can't write {self._root}: {error}. Use a home with room to write.") from error
        return folder

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MNISTKIT_")}
        environment["MNISTKIT_SERVE_TOKEN"] = _small(folder / _TOKEN)
        with (folder / _ADDRESS).open("wb") as address, (folder / _LOG).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, str(folder / _PACKAGE / _SCRIPT), str(self._port)],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=address, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        _children.append(process)
        return process

    def _wait(self, name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        """Return when the server has printed its address, which it does once it has answered its own probe.

        Raises:
            DeploymentError: It has ended, or takes too long.
        """
        end = time.monotonic() + self._start_seconds
        while not _small(folder / _ADDRESS):
            if process.poll() is not None:
                raise DeploymentError(f"The deployment {name} has ended before it could answer.")
            if time.monotonic() > end:
                raise DeploymentError(f"The deployment {name} doesn't answer after {self._start_seconds:g} s.")
            time.sleep(_POLL_SECONDS)

    def _remove(self, folder: Path) -> None:
        end_processes(lambda: _processes(folder), _GRACE_SECONDS)
        hidden = self._root / f".{uuid.uuid4().hex}"
        try:
            folder.rename(hidden)  # in one step: no reader finds half of it
        except OSError as error:
            raise StorageError(f"Can't remove {folder}: {error}. Remove the folder yourself.") from error
        shutil.rmtree(hidden, ignore_errors=True)

    def _tail(self, folder: Path, lines: int) -> str:
        try:
            with open_regular(folder / _LOG) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _MAX_TAIL_BYTES))
                text = file.read(_MAX_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
        return "".join(text.splitlines(keepends=True)[-lines:] if lines > 0 else [])


def _processes(folder: Path) -> list[psutil.Process]:
    """Return the running processes whose script is that of a deployment."""
    import psutil

    for child in [child for child in _children if child.poll() is not None]:
        _children.remove(child)
    script = str(folder / _PACKAGE / _SCRIPT)
    return [process for process in psutil.process_iter() if script in _command(process)]


def _command(process: psutil.Process) -> list[str]:
    import psutil

    try:
        return process.cmdline()
    except psutil.Error:  # it has ended, or is another user's
        return []


def _small(path: Path) -> str:
    try:
        return read_regular(path, _MAX_SMALL_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _is_healthy(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=_HEALTH_SECONDS) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - OK
    except (OSError, ValueError):
        return False
