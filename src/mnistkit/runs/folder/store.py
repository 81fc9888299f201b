"""Run folders: one folder a run, readable without mnistkit, safe to copy while it is written.

::

    runs/<id>/job.json            what to run
              record.json         states, error, owner; replaced atomically, by the owner alone
              metrics.jsonl       appended to
              tags.jsonl          appended to
              annotations.jsonl   tags and notes that were added afterwards; appended to, by any process
              cancel              there once somebody asked the run to stop
              logs/std_log.txt    what it wrote
              outputs/            what it leaves behind
              attempts/<n>/       metrics, tags and outputs of attempts that ended badly
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import attrs

from mnistkit.errors import DataFormatError, InvalidNameError, NotFoundError, RunNotFoundError, StorageError
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import Job
from mnistkit.jobs.provenance import Provenance
from mnistkit.runs.annotations import annotated_tags, read_annotations
from mnistkit.runs.context import CANCEL_FILE, METRICS_FILE, TAGS_FILE, read_points, read_tags
from mnistkit.runs.folder.owner import ELSEWHERE, Owner
from mnistkit.runs.folder.processes import wake
from mnistkit.runs.folder.status import RECORD, Status, observed_status, read_document, read_status
from mnistkit.runs.record import Attempt, RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import ensure_folder, write_atomically
from mnistkit.utils.folders import regular_names, remove_tree
from mnistkit.utils.names import check_file, check_name
from mnistkit.utils.redaction import redacted
from mnistkit.utils.regular import copy_below, open_below, open_regular
from mnistkit.utils.serialization import to_json

__all__ = ["RunStore"]

_log = logging.getLogger(__name__)

_JOB = "job.json"
_LOG = "logs/std_log.txt"
_MAX_LOG_BYTES = 65 << 20  # a little more than a `CappedLog` holds; a job may put a sparse file of any size there


class RunStore:
    """The run folders below one folder."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._root = root
        self._now = now
        self._marks: dict[str, tuple[int, int]] = {}
        """How many characters of a run's log were read, and in how many bytes: a follower continues there."""

    def ensured(self) -> Path:
        """Return the folder that holds the run folders, created if need be.

        Raises:
            StorageError: It can't be written.
        """
        ensure_folder(self._root, "MNISTKIT_HOME")
        return self._root

    def create(self, job: Job, data: str, owner: Owner | None = None) -> str:
        """Make the folder of a new, Queued run and return its id.

        Args:
            job: What to run.
            data: The uri of its data.
            owner: The process that will run it; None for this one.

        Raises:
            StorageError: It can't be written.
        """
        self.ensured()
        now = utc_now()
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        status = Status(
            data=data,
            transitions=(Transition(RunState.QUEUED, now),),
            owner=owner or _me(os.getpid()),
            versions=library_versions(),
            provenance=Provenance.of(job),
        )
        job_json, status_json = to_json(job), to_json(status)
        staged = self._root / f".{run_id}"
        try:
            (staged / "logs").mkdir(parents=True)
            (staged / "outputs").mkdir()
            (staged / _JOB).write_bytes(job_json)
            (staged / RECORD).write_bytes(status_json)
            staged.rename(self._root / run_id)
        except OSError as error:
            with contextlib.suppress(OSError):
                remove_tree(staged)
            raise StorageError(
                f"Can't keep a new run in {self._root}: {error.strerror or error}. "
                "Make room or make it writable, or set MNISTKIT_HOME to a folder that is."
            ) from error
        return run_id

    def folder(self, run_id: str) -> Path:
        """Return the folder of a run.

        Raises:
            RunNotFoundError: There is none.
        """
        try:
            folder = self._root / check_name(run_id, "run id")
        except InvalidNameError as error:
            raise RunNotFoundError(str(error)) from error
        if not (folder / RECORD).is_file():
            raise RunNotFoundError(f"{self._root} holds no run {run_id!r}: 'mnistkit runs list' shows those it holds.")
        return folder

    def job(self, run_id: str) -> Job:
        """Return the job of a run.

        Raises:
            DataFormatError: It can't be understood.
        """
        job: Job = read_document(self.folder(run_id) / _JOB, Job)
        return job

    def log_file(self, run_id: str) -> Path:
        """Return the file of a run's output."""
        return self.folder(run_id) / _LOG

    def adopt(self, run_id: str) -> None:
        """Write that this process owns a run from now on, and what it runs it with. For the owner's child alone."""
        folder, me = self.folder(run_id), _me(os.getpid())
        status = read_status(folder)
        changed = attrs.evolve(status, owner=me, versions=library_versions())
        if changed != status:
            write_atomically(folder / RECORD, to_json(changed))

    def hand_over(self, run_id: str, owner: Owner, *, host: str = "") -> None:
        """Write who owns a run from now on, and the host that is to run it. For the present owner alone."""
        folder = self.folder(run_id)
        status = read_status(folder)
        write_atomically(folder / RECORD, to_json(attrs.evolve(status, owner=owner, host=host or status.host)))

    def exported(self, run_id: str) -> bytes:
        """Return ``record.json`` for a copy on another machine, where no process is its owner."""
        return to_json(attrs.evolve(read_status(self.folder(run_id)), owner=Owner.elsewhere()))

    def advance(
        self,
        run_id: str,
        state: RunState,
        *,
        error: str | None = None,
        traceback: str | None = None,
        attempt: Attempt | None = None,
    ) -> None:
        """Write that a run entered ``state``, not before the last one, and that an attempt has ended. For the owner."""
        if attempt is not None and attempt.error:
            attempt = attrs.evolve(attempt, error=redacted(attempt.error))
        folder = self.folder(run_id)
        status = read_status(folder)
        write_atomically(
            folder / RECORD,
            to_json(
                attrs.evolve(
                    status,
                    transitions=(*status.transitions, Transition(state, max(self._now(), status.transitions[-1].at))),
                    error=error and redacted(error),
                    traceback=traceback and redacted(traceback),
                    attempts=(*status.attempts, *([attempt] if attempt else [])),
                )
            ),
        )

    def set_attempt_aside(self, run_id: str, number: int) -> None:
        """Move what an attempt that ended badly has left out of the way of the next one. For the owner alone."""
        folder = self.folder(run_id)
        aside = folder / "attempts" / str(number)
        for place in (aside.parent, aside):
            if place.is_symlink():  # the job's: it would lead out of the run
                place.unlink()
            place.mkdir(exist_ok=True)
        for name in (METRICS_FILE, TAGS_FILE, "outputs"):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).rename(aside / name)
        (folder / "outputs").mkdir(exist_ok=True)

    def request_cancel(self, run_id: str) -> None:
        """Request the end of a run: leave the file that says so.

        Raises:
            StorageError: It can't be written.
        """
        folder = self.folder(run_id)
        path = folder / CANCEL_FILE
        if os.path.lexists(path):
            return
        try:
            os.close(open_below(folder, CANCEL_FILE, os.O_WRONLY | os.O_CREAT))  # follows no link that a job puts there
        except OSError as error:
            raise StorageError(
                f"Can't write {path}, which requests the end of the run: {error.strerror or error}. Make room, or make "
                "its folder writable."
            ) from error

    def wake_owner(self, run_id: str) -> None:
        """Continue the process that owns a run, in case the run's job has stopped it."""
        owner = read_status(self.folder(run_id)).owner
        if owner.pid > 0 and owner.host == socket.gethostname() and not owner.is_gone():
            wake(owner.pid)

    def state(self, run_id: str) -> RunState:
        """Return the recorded state. For the owner; others call `read`."""
        return read_status(self.folder(run_id)).transitions[-1].state

    def clear_outputs(self, run_id: str) -> None:
        """Remove what a run that didn't complete has left in ``outputs``. For the owner alone."""
        outputs = self.folder(run_id) / "outputs"
        with contextlib.suppress(OSError):
            remove_tree(outputs)
        outputs.mkdir(exist_ok=True)

    def may_be_running(self, run_id: str) -> bool:
        """Return True if a run hasn't finished, and False if its record is damaged: no process will finish that."""
        try:
            return not observed_status(self.folder(run_id)).transitions[-1].state.is_terminal
        except DataFormatError:
            return False

    def is_cancel_requested(self, run_id: str) -> bool:
        """Return True if the end of a run was requested."""
        return os.path.lexists(self.folder(run_id) / CANCEL_FILE)

    def read(self, run_id: str) -> RunRecord:
        """Return the present record of a run.

        Raises:
            RunNotFoundError: No run has that id.
            DataFormatError: Its files can't be understood.
        """
        folder = self.folder(run_id)
        status = observed_status(folder)
        job = self.job(run_id)
        added, note = read_annotations(folder)
        return RunRecord(
            id=run_id,
            job=job,
            data=status.data,
            transitions=status.transitions,
            points=read_points(folder),
            files=tuple(f"{part}/{file}" for part in ("outputs", "logs") for file in regular_names(folder / part)),
            tags=annotated_tags({**job.tags, **read_tags(folder)}, added),
            note=note,
            error=status.error,
            traceback=status.traceback,
            attempts=status.attempts,
            url=str(folder),
            versions=status.versions,
            provenance=status.provenance,
            host=status.host or ("" if status.owner.host == ELSEWHERE else status.owner.host),
        )

    def ids(self) -> list[str]:
        """Return the names of the folders that should be runs, in no order."""
        try:
            return [name for name in os.listdir(self._root) if not name.startswith(".")]  # noqa: PTH208 - names alone
        except FileNotFoundError:
            return []

    def read_or_warn(self, run_id: str) -> RunRecord | None:
        """Return the present record of a run; None, with a warning, if it can't be understood."""
        try:
            return self.read(run_id)
        except RunNotFoundError:
            _log.warning("Left out %s: it is no run, as it holds no %s.", self._root / run_id, RECORD)
        except (DataFormatError, OSError) as error:
            hint = f"If it can't be restored: mnistkit runs delete {run_id}"
            _log.warning("Left out run %s, which can't be read: %s %s", run_id, error, hint)
        return None

    def read_all(self) -> tuple[RunRecord, ...]:
        """Return all records, newest first; one that can't be understood is left out, with a warning."""
        records = [record for run_id in self.ids() if (record := self.read_or_warn(run_id)) is not None]
        return tuple(sorted(records, key=lambda record: (record.created_at, record.id), reverse=True))

    def read_log(self, run_id: str, start: int) -> str:
        """Return the log from character ``start`` on, at most 65 MiB of it: what a run writes without retries.

        What isn't UTF-8 comes as backslash escapes.
        """
        folder = self.folder(run_id)
        # Read first: what comes later may be the end.
        is_whole = observed_status(folder).transitions[-1].state.is_terminal
        characters, position = self._marks.get(run_id, (0, 0))
        if characters > start:
            characters = position = 0
        while True:
            try:
                with open_regular(folder / _LOG, within=folder) as stream:
                    stream.seek(position)
                    data = stream.read(_MAX_LOG_BYTES)
            except FileNotFoundError:
                return ""
            decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
            # The last bytes may be the beginning of a character that is still being written, or read.
            is_last = len(data) < _MAX_LOG_BYTES
            text = decoder.decode(data, final=is_whole and is_last)
            wanted = text[max(start - characters, 0) :]
            characters, position = characters + len(text), position + len(data) - len(decoder.getstate()[0])
            self._marks[run_id] = (characters, position)
            if wanted or is_last:
                return wanted

    def copy_file(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one of the run's files into a folder.

        Raises:
            NotFoundError: The run has no such file.
            StorageError: ``into`` can't be written.
        """
        folder = self.folder(run_id)
        check_file(file)
        if file not in (files := self.read(run_id).files):
            raise NotFoundError(f"Run {run_id} has no file {file!r}; it has {', '.join(files) or 'none'}.")
        target = into / Path(file).name
        partial = into / f".{secrets.token_hex(8)}.part"  # of a length of its own: the file's name may be the longest
        try:
            into.mkdir(parents=True, exist_ok=True)
            copy_below(folder, file, partial)
            partial.replace(target)
        except FileNotFoundError as error:
            raise NotFoundError(f"Run {run_id} has no file {file!r} any more: {error.strerror}.") from error
        except OSError as error:
            raise StorageError(
                f"Can't copy {file!r} of run {run_id} to {into}: {error.strerror or error}. Make room, or make it "
                "writable."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return target

    def delete(self, run_id: str) -> None:
        """Remove a run's folder: it disappears at once, its files soon after.

        Raises:
            StorageError: It can't be removed.
        """
        folder = self.folder(run_id)
        to_delete = folder.with_name(f".{folder.name}.deleted")
        try:
            folder.rename(to_delete)
            remove_tree(to_delete)
        except OSError as error:
            raise StorageError(
                f"Can't delete run {run_id} in {self._root}: {error.strerror or error}. Make the folder writable."
            ) from error


@cache
def _me(pid: int) -> Owner:
    return Owner.of(pid)
