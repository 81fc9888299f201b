"""Runs each job in processes of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
import time
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import attrs

from mnistkit.data.fetching import fetch_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, StorageError, UsageError
from mnistkit.jobs.job import Job
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.scripts import job_environment
from mnistkit.runs.folder.store import WORKER_LOG, RunStore
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.interpreter import library_path, module_command, search_path
from mnistkit.utils.lifetime import finish_at_exit
from mnistkit.utils.redaction import redacted
from mnistkit.utils.regular import open_below

__all__ = ["ProcessCompute"]

_log = logging.getLogger(__name__)

_WORKER = "mnistkit.local.processes.worker"
_CANCEL_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_MAX_REMEMBERED = 1000
_MAX_REPORT_BYTES = 1 << 20


class ProcessCompute(FolderBackend):
    """Runs each job in a process of its own, with a deadline, a capped log, and nothing left of it at its end.

    A job that crashes, hangs or runs out of memory is a Failed run, and no more. Canceling ends a job at once: its
    processes get SIGTERM and, after a while, SIGKILL; that goes for whatever they started too (on Linux also for what
    hides in a session of its own). When the program ends, it first waits for the runs that it submitted; when it is
    killed, so are they, unless they were submitted with ``detach``.

    The first submit starts a process that has imported what training needs, and from which the jobs are forked:
    later ones start at once. Jobs get the environment variables that they need (PATH, HOME, the locale, those of
    Python's and numeric libraries and of mnistkit), not the others, which may hold secrets. For systems with ``fork``.
    """

    def __init__(
        self,
        home: str | os.PathLike[str],
        *,
        parallel: int | None = None,
        grace: float = 3.0,
        memory_limit: int | None = None,
    ) -> None:
        """Make a backend that keeps its runs in ``home/runs``; nothing is created or started yet.

        Args:
            home: The folder.
            parallel: How many runs at a time, the rest being Queued; None for one per core. They share the cores:
                each gets as many threads as keep them busy.
            grace: Seconds that a job which is canceled or too late has between SIGTERM and SIGKILL.
            memory_limit: Bytes of address space that each process of a job may have; None for no limit.

        Raises:
            UsageError: ``parallel`` is below 1, or this system has no ``fork``.
        """
        if not hasattr(os, "fork"):
            raise UsageError("ProcessCompute needs a system with fork: use the backend 'in-process' here.")
        super().__init__(home, parallel)
        self._group = uuid.uuid4().hex
        self._grace = grace
        self._memory_limit = memory_limit
        self._fetching = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_fetching"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _fetching=threading.Lock())

    def start(self) -> None:
        """Start the process that jobs are forked from, if it isn't there: before a first submit that is to be quick.

        Idempotent; returns at once, while it imports what it needs.

        Raises:
            StorageError: The folder for the runs can't be written.
        """
        _Worker.shared(self._store.ensured())

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.SupportsGroups.submit_group`.

        With ``detach`` it returns once the data is there.
        """
        worker = _Worker.shared(self._store.ensured())
        run_ids = self._create(jobs, data, worker.owner)
        waiting = [run_id for run_id in run_ids if not self._store.state(run_id).is_terminal]
        if waiting:
            self._order(worker, waiting, data, detach=detach)
        return tuple(self.get(run_id) for run_id in run_ids)

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        record = super().get(run_id)
        return record if record.state.is_terminal else _Worker.completed(record)

    def cancel(self, run_id: str) -> None:
        """End the run, whichever process submitted it; see `ComputeBackend.cancel`."""
        state = self.get(run_id).state
        if state.is_terminal:
            return
        self._store.request_cancel(run_id)
        self._store.wake_owner(run_id)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._store.state(run_id) is RunState.QUEUED and time.monotonic() < deadline:
            if self.get(run_id).state.is_terminal:  # its owner is gone
                return
            time.sleep(_PAUSE_SECONDS)

    def _order(self, worker: _Worker, run_ids: Sequence[str], data: DataSource, *, detach: bool) -> None:
        worker.send(
            submit={
                "runs": run_ids,
                "root": str(self._root),
                "group": self._group,
                "parallel": self._parallel,
                "detach": detach,
                "grace": self._grace,
                "memory": self._memory_limit,
                "variables": job_environment(os.environ),
                "path": search_path(),
            }
        )
        if detach:
            self._fetch(worker, run_ids[0], data)
            return
        _submissions.add(self._root, run_ids)
        threading.Thread(target=self._fetch, args=(worker, run_ids[0], data), name=run_ids[0], daemon=True).start()

    def _fetch(self, worker: _Worker, run_id: str, data: DataSource) -> None:
        """Fetch the data here, where the source is, and send the worker its folder."""
        try:
            with self._fetching:
                folder = fetch_folder(data)
        except Exception as error:  # noqa: BLE001 - whatever a source raises is why the run failed
            line = "".join(traceback.format_exception_only(error)).strip()
            message: dict[str, object] = {"fail": {"run": run_id, "error": line, "traceback": traceback.format_exc()}}
        else:
            message = {"data": {"run": run_id, "folder": attrs.asdict(folder)}}
        with contextlib.suppress(StorageError):  # with the worker the run has ended as well
            worker.send(**message)


class _Worker:
    """The process that runs what this one submits; see `mnistkit.local.processes.dispatcher`."""

    _shared: _Worker | None = None
    _lock = threading.Lock()

    @classmethod
    def shared(cls, root: Path) -> _Worker:
        """Return this process's worker, started if need be."""
        with cls._lock:
            if cls._shared is not None and not cls._shared.is_alive:
                cls._shared.close()
                cls._shared = None
            if cls._shared is None:
                cls._shared = cls(root)
                finish_at_exit(_submissions, _Submissions.finish)
            return cls._shared

    @classmethod
    def close_shared(cls) -> None:
        """Close this process's worker, if it has one."""
        if cls._shared is not None:
            cls._shared.close()

    @classmethod
    def forget(cls) -> None:
        """Forget the worker, in a forked process: it is its parent's."""
        if cls._shared is not None:
            os.close(cls._shared._stdin.fileno())  # noqa: SLF001 - one of these
            cls._shared._reports.close()  # noqa: SLF001 - the same
            cls._shared = None
        cls._lock = threading.Lock()

    @classmethod
    def completed(cls, record: RunRecord) -> RunRecord:
        """Return the record of an unfinished run, with its end if the worker reports one that it can't record."""
        worker = cls._shared
        if worker is None:
            return record
        worker.read_reports()
        error = worker.ended.get(record.id)
        if error is None:
            return record
        return attrs.evolve(
            record, transitions=(*record.transitions, Transition(RunState.FAILED, utc_now())), error=redacted(error)
        )

    def __init__(self, root: Path) -> None:
        self.ended: dict[str, str] = {}
        variables = {**job_environment(os.environ), "PYTHONPATH": os.pathsep.join(library_path())}
        self._log = root / WORKER_LOG
        with _opened_log(self._log) as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                module_command(_WORKER),  # the runs get the whole path: see "path" in an order
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        assert self._process.stdout is not None  # noqa: S101 - the same
        self._stdin = self._process.stdin
        self._reports = self._process.stdout
        self._unparsed = b""
        self._reading = threading.Lock()
        os.set_blocking(self._reports.fileno(), False)
        self._sending = threading.Lock()
        self._is_used = False
        self.owner = Owner.of(self._process.pid)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def read_reports(self) -> None:
        """Read which runs ended without a record of that; also wake the worker, which a job may have stopped."""
        if self._process.returncode is None:
            processes.wake(self._process.pid)
        with self._reading:
            try:
                data = os.read(self._reports.fileno(), _MAX_REPORT_BYTES)
            except (OSError, ValueError):  # nothing has come, or it is closed
                return
            *lines, self._unparsed = (self._unparsed + data).split(b"\n")
            self.ended.update((report["run"], report["error"]) for report in map(json.loads, lines))

    def send(self, **message: object) -> None:
        """Send an order.

        Raises:
            StorageError: The worker has gone.
        """
        try:
            with self._sending:
                self._is_used = True
                self._stdin.write(json.dumps(message).encode() + b"\n")
                self._stdin.flush()
        except OSError as error:
            raise StorageError(f"The process that runs jobs (pid {self._process.pid}) has ended: {error}.") from error

    def close(self) -> None:
        """Send no more orders; the worker exits after its last run."""
        if not self._is_used:  # it may be importing for a while yet
            self._process.terminate()
        with contextlib.suppress(OSError):
            self._stdin.close()
        processes.wake(self._process.pid)
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.returncode = 0  # it outlives this process, as was asked for: no reason to warn
            return
        self.read_reports()  # the last ones: none can follow
        with self._reading:
            self._reports.close()
        with contextlib.suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()


class _Submissions:
    """The runs that end with this program, by the folder that holds them; their backends may be gone."""

    def __init__(self) -> None:
        self._runs: set[tuple[Path, str]] = set()

    def add(self, root: Path, run_ids: Sequence[str]) -> None:
        if len(self._runs) > _MAX_REMEMBERED:
            self._runs.difference_update([each for each in self._runs if not _is_wanted(*each)])
        self._runs.update((root, run_id) for run_id in run_ids)

    def forget(self) -> None:
        """Forget all of them, in a forked process: they are its parent's."""
        self._runs.clear()

    def finish(self) -> None:
        """Wait for the runs whose cancellation wasn't requested; on Ctrl-C request it for them."""
        try:
            for root, run_id in tuple(self._runs):
                while _is_wanted(root, run_id):
                    time.sleep(_PAUSE_SECONDS)
        except KeyboardInterrupt:
            self._cancel()
        with contextlib.suppress(KeyboardInterrupt):  # the worker ends by itself
            _Worker.close_shared()

    def _cancel(self) -> None:
        wanted = [(root, run_id) for root, run_id in self._runs if _is_wanted(root, run_id)]
        for root, run_id in wanted:
            with contextlib.suppress(MnistkitError, OSError):  # it has just gone
                RunStore(root).request_cancel(run_id)
        _log.warning("Interrupted: canceled %s.", ", ".join(sorted(run_id for _, run_id in wanted)) or "nothing")


def _is_wanted(root: Path, run_id: str) -> bool:
    """Return True if the run hasn't finished, and its cancellation wasn't requested."""
    store = RunStore(root)
    try:
        record = _Worker.completed(store.read(run_id))
        return not record.state.is_terminal and not store.is_cancel_requested(run_id)
    except MnistkitError:
        return False


def _opened_log(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(open_below(path.parent, path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
    except OSError as error:
        raise StorageError(
            f"Can't write to {path}: {error.strerror or error}. Make room or make it writable."
        ) from error


def _forget() -> None:
    """Forget, in a forked process, what is its parent's."""
    _submissions.forget()
    _Worker.forget()


_submissions = _Submissions()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
