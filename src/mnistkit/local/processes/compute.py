"""Runs each job in processes of its own."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path

import attrs

from mnistkit.data.fetching import fetch_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, StorageError, UsageError
from mnistkit.jobs.job import Job
from mnistkit.local.scripts import job_environment
from mnistkit.runs.folder.backend import StoredRuns
from mnistkit.runs.folder.store import WORKER_LOG, Owner, RunStore
from mnistkit.runs.record import RunRecord, RunState

__all__ = ["ProcessCompute"]

_log = logging.getLogger(__name__)

_WORKER = "mnistkit.local.processes.worker"
_CANCEL_SECONDS = 5.0
_PAUSE = 0.01
_MANY = 1000


class ProcessCompute(StoredRuns):
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

    def start(self) -> None:
        """Start the process that jobs are forked from, if it isn't there: before a first submit that is to be quick.

        Idempotent; returns at once, while it imports what it needs.

        Raises:
            StorageError: The folder for the runs can't be written.
        """
        _Worker.shared(self._store.ensured())

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.GroupBackend.submit_group`.

        With ``detach`` it returns once the data is there.
        """
        worker = _Worker.shared(self._store.ensured())
        run_ids = self._create(jobs, data, worker.owner)
        waiting = [run_id for run_id in run_ids if not self._store.state(run_id).is_terminal]
        if waiting:
            self._order(worker, waiting, data, detach=detach)
        return tuple(self.get(run_id) for run_id in run_ids)

    def cancel(self, run_id: str) -> None:
        """End the run, whoever submitted it; see `ComputeBackend.cancel`."""
        state = self.get(run_id).state
        if state.is_terminal:
            return
        self._store.ask_to_stop(run_id)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._store.state(run_id) is RunState.QUEUED and time.monotonic() < deadline:
            if self.get(run_id).state.is_terminal:  # nobody is left to do it
                return
            time.sleep(_PAUSE)

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
                "path": _module_path(),
            }
        )
        if detach:
            self._fetch(worker, run_ids[0], data)
            return
        _remember(self._root, run_ids)
        threading.Thread(target=self._fetch, args=(worker, run_ids[0], data), name=run_ids[0], daemon=True).start()

    def _fetch(self, worker: _Worker, run_id: str, data: DataSource) -> None:
        """Fetch the data here, where the source is, and tell the worker."""
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
        """This process's worker, started if need be."""
        with cls._lock:
            if cls._shared is not None and not cls._shared.is_alive:
                cls._shared.close()
                cls._shared = None
            if cls._shared is None:
                cls._shared = cls(root)
            return cls._shared

    @classmethod
    def forget(cls) -> None:
        """For a forked process: the worker is its parent's."""
        if cls._shared is not None:
            os.close(cls._shared._orders.fileno())  # noqa: SLF001 - one of these
            cls._shared = None
        cls._lock = threading.Lock()

    def __init__(self, root: Path) -> None:
        variables = {**job_environment(os.environ), "PYTHONPATH": os.pathsep.join(_module_path())}
        with (root / WORKER_LOG).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._orders = self._process.stdin
        self._sending = threading.Lock()
        self._is_used = False
        self.owner = Owner.of(self._process.pid)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, **message: object) -> None:
        """Give an order.

        Raises:
            StorageError: The worker has gone.
        """
        try:
            with self._sending:
                self._is_used = True
                self._orders.write(json.dumps(message).encode() + b"\n")
                self._orders.flush()
        except OSError as error:
            raise StorageError(f"The process that runs jobs (pid {self._process.pid}) has ended: {error}.") from error

    def close(self) -> None:
        """Give no more orders; the worker ends with its last run."""
        if not self._is_used:  # it may be importing for a while yet
            self._process.terminate()
        with contextlib.suppress(OSError):
            self._orders.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.returncode = 0  # it outlives this process, as was asked for: no reason to warn


def _module_path() -> list[str]:
    """Where this process looks for modules, wherever the working directory is."""
    return [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is the working directory


_submitted: set[tuple[Path, str]] = set()
"""The runs that end with this program, by the folder that holds them; their backends may be gone."""


def _remember(root: Path, run_ids: Sequence[str]) -> None:
    if len(_submitted) > _MANY:
        _submitted.difference_update([each for each in _submitted if not _is_wanted(*each)])
    _submitted.update((root, run_id) for run_id in run_ids)


def _forget() -> None:
    """For a forked process: none of this is its own."""
    _submitted.clear()
    _Worker.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _finish() -> None:
    """Wait for what was submitted here, but not for what was asked to stop; Ctrl-C asks for that."""
    try:
        for root, run_id in tuple(_submitted):
            while _is_wanted(root, run_id):
                time.sleep(_PAUSE)
    except KeyboardInterrupt:
        _cancel_submitted()
    if _Worker._shared is not None:  # noqa: SLF001 - of this module
        with contextlib.suppress(KeyboardInterrupt):  # the worker ends by itself
            _Worker._shared.close()  # noqa: SLF001 - of this module


def _cancel_submitted() -> None:
    wanted = [(root, run_id) for root, run_id in _submitted if _is_wanted(root, run_id)]
    for root, run_id in wanted:
        with contextlib.suppress(MnistkitError, OSError):  # it has just gone
            RunStore(root).ask_to_stop(run_id)
    _log.warning("Interrupted: canceled %s.", ", ".join(sorted(run_id for _, run_id in wanted)) or "nothing")


def _is_wanted(root: Path, run_id: str) -> bool:
    """Whether it goes on, and nobody asked it to stop."""
    store = RunStore(root)
    try:
        return not store.read(run_id).state.is_terminal and not store.is_asked_to_stop(run_id)
    except MnistkitError:
        return False
