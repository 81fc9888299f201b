"""Run folders: one folder a run, readable without mnistkit, safe to copy while it is written.

::

    runs/<id>/job.json            what to run
              record.json         states, error, owner; replaced atomically, by the owner alone
              metrics.jsonl       appended to
              tags.jsonl          appended to
              cancel              there once somebody asked the run to stop
              logs/std_log.txt    what it wrote
              outputs/            what it leaves behind
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import secrets
import shutil
import socket
from functools import cache
from pathlib import Path

import attrs
from attrs import field, frozen

from mnistkit.codec import from_json, to_json
from mnistkit.context import CANCEL_FILE, read_points, read_tags
from mnistkit.errors import DataFormatError, InvalidNameError, NotFoundError, RunNotFoundError
from mnistkit.files import ensure_folder, regular_files, write_atomically
from mnistkit.jobs import Job, library_versions
from mnistkit.names import check_file, check_name
from mnistkit.runs import RunRecord, RunState, Transition, utc_now

__all__ = ["RunStore"]

_log = logging.getLogger(__name__)

_JOB = "job.json"
_RECORD = "record.json"
_LOG = "logs/std_log.txt"


@frozen(kw_only=True)
class _Owner:
    """The process that runs a run: only it changes the record."""

    host: str
    pid: int
    started: float

    @classmethod
    def me(cls) -> _Owner:
        import psutil

        return cls(host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time())

    def is_gone(self) -> bool:
        """Whether the process has surely ended; of another host nobody can tell."""
        if self.host != socket.gethostname():
            return False
        import psutil

        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True


@frozen(kw_only=True)
class _Status:
    """What ``record.json`` holds; the rest of a `RunRecord` is in the files next to it."""

    data: str
    transitions: tuple[Transition, ...]
    owner: _Owner
    error: str | None = None
    traceback: str | None = None
    versions: dict[str, str] = field(factory=dict)


class RunStore:
    """The run folders below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, job: Job, data: str) -> str:
        """Make the folder of a new, Queued run and return its id.

        Raises:
            StorageError: It can't be written.
        """
        ensure_folder(self._root, "MNISTKIT_HOME")
        now = utc_now()
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        status = _Status(
            data=data,
            transitions=(Transition(RunState.QUEUED, now),),
            owner=_me(),
            versions=library_versions(),
        )
        staged = self._root / f".{run_id}"
        (staged / "logs").mkdir(parents=True)
        (staged / "outputs").mkdir()
        (staged / _JOB).write_bytes(to_json(job))
        (staged / _RECORD).write_bytes(to_json(status))
        staged.rename(self._root / run_id)
        return run_id

    def folder(self, run_id: str) -> Path:
        """The folder of a run.

        Raises:
            RunNotFoundError: There is none.
        """
        try:
            folder = self._root / check_name(run_id, "run id")
        except InvalidNameError as error:
            raise RunNotFoundError(str(error)) from error
        if not (folder / _RECORD).is_file():
            raise RunNotFoundError(f"{self._root} holds no run {run_id!r}: 'mnistkit runs list' shows those it holds.")
        return folder

    def log_file(self, run_id: str) -> Path:
        """Where a run's output goes."""
        return self.folder(run_id) / _LOG

    def advance(self, run_id: str, state: RunState, *, error: str | None = None, traceback: str | None = None) -> None:
        """Write that a run entered ``state``. For the owner alone."""
        folder = self.folder(run_id)
        status = _read_status(folder)
        write_atomically(
            folder / _RECORD,
            to_json(
                attrs.evolve(
                    status,
                    transitions=(*status.transitions, Transition(state, utc_now())),
                    error=error,
                    traceback=traceback,
                )
            ),
        )

    def ask_to_stop(self, run_id: str) -> None:
        """Leave the sign that a run should stop."""
        (self.folder(run_id) / CANCEL_FILE).touch()

    def is_asked_to_stop(self, run_id: str) -> bool:
        """Whether the sign is there."""
        return (self.folder(run_id) / CANCEL_FILE).exists()

    def read(self, run_id: str) -> RunRecord:
        """The present record of a run.

        Raises:
            RunNotFoundError: No run has that id.
            DataFormatError: Its files can't be understood.
        """
        folder = self.folder(run_id)
        status = _observed(_read_status(folder), (folder / CANCEL_FILE).exists())
        job: Job = from_json((folder / _JOB).read_bytes(), Job, folder / _JOB)
        return RunRecord(
            id=run_id,
            job=job,
            data=status.data,
            transitions=status.transitions,
            points=read_points(folder),
            files=tuple(f"{part}/{file}" for part in ("outputs", "logs") for file, _ in regular_files(folder / part)),
            tags={**job.tags, **read_tags(folder)},
            error=status.error,
            traceback=status.traceback,
            url=str(folder),
            versions=status.versions,
        )

    def read_all(self) -> tuple[RunRecord, ...]:
        """All records, newest first; one that can't be understood is left out, with a warning."""
        records = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._root):
                if entry.name.startswith("."):
                    continue
                try:
                    records.append(self.read(entry.name))
                except (RunNotFoundError, DataFormatError, OSError) as error:
                    _log.warning("left out the run in %s: %s", entry.path, error)
        return tuple(sorted(records, key=lambda record: (record.created_at, record.id), reverse=True))

    def read_log(self, run_id: str, start: int) -> str:
        """The log from character ``start`` on. What isn't UTF-8 comes as backslash escapes."""
        try:
            data = self.log_file(run_id).read_bytes()
        except FileNotFoundError:
            return ""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        # The last bytes may be the beginning of a character that is still being written.
        return decoder.decode(data, final=self.read(run_id).state.is_terminal)[start:]

    def copy_file(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one of the run's files into a folder.

        Raises:
            NotFoundError: The run has no such file.
        """
        folder = self.folder(run_id)
        check_file(file)
        if file not in (files := self.read(run_id).files):
            raise NotFoundError(f"Run {run_id} has no file {file!r}; it has {', '.join(files) or 'none'}.")
        into.mkdir(parents=True, exist_ok=True)
        target = into / Path(file).name
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        try:
            shutil.copyfile(folder / file, partial, follow_symlinks=False)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def delete(self, run_id: str) -> None:
        """Remove a run's folder: it disappears at once, its files soon after."""
        folder = self.folder(run_id)
        doomed = folder.with_name(f".{folder.name}.deleted")
        folder.rename(doomed)
        shutil.rmtree(doomed)


@cache
def _me() -> _Owner:
    return _Owner.me()


def _read_status(folder: Path) -> _Status:
    status: _Status = from_json((folder / _RECORD).read_bytes(), _Status, folder / _RECORD)
    return status


def _observed(status: _Status, asked_to_stop: bool) -> _Status:  # noqa: FBT001 - private, named at its one call
    """The status as it is now, seen from outside: owners may die, and people may ask for a stop."""
    last = status.transitions[-1]
    if last.state.is_terminal:
        return status
    if status.owner.is_gone():
        if asked_to_stop:
            return attrs.evolve(status, transitions=(*status.transitions, Transition(RunState.CANCELED, last.at)))
        return attrs.evolve(
            status,
            transitions=(*status.transitions, Transition(RunState.FAILED, last.at)),
            error=f"The process that ran it (pid {status.owner.pid}) ended before the run did, in state {last.state}.",
        )
    if asked_to_stop:
        return attrs.evolve(status, transitions=(*status.transitions, Transition(RunState.CANCEL_REQUESTED, utc_now())))
    return status
