"""Runs each job in processes of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from mnistkit.data.fetching import fetch_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, StorageError, UsageError
from mnistkit.jobs.job import Job
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.variables import job_environment
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.folder.worker_start import TRAIN
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.interpreter import search_path
from mnistkit.utils.lifetime import finish_at_exit

__all__ = ["ProcessCompute"]

_log = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_MAX_REMEMBERED = 1000


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
        _started_worker(self._store)

    def wait_for_change(self, seconds: float) -> None:
        """Return then, or as soon as a run has finished; see `mnistkit.interfaces.SupportsWaiting.wait_for_change`."""
        Worker.wait_for_shared(seconds)

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.SupportsGroups.submit_group`.

        With ``detach`` it returns once the data is there.
        """
        worker = _started_worker(self._store)
        run_ids = self._create(jobs, data, worker.owner)
        waiting = [run_id for run_id in run_ids if not self._store.state(run_id).is_terminal]
        if waiting:
            self._order(worker, waiting, data, detach=detach)
        return tuple(self.get(run_id) for run_id in run_ids)

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        record = super().get(run_id)
        return record if record.state.is_terminal else Worker.completed(record)

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

    def _order(self, worker: Worker, run_ids: Sequence[str], data: DataSource, *, detach: bool) -> None:
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
                "train": TRAIN,
            }
        )
        if detach:
            self._fetch(worker, run_ids[0], data)
            return
        _submissions.add(self._root, run_ids)
        threading.Thread(target=self._fetch, args=(worker, run_ids[0], data), name=run_ids[0], daemon=True).start()

    def _fetch(self, worker: Worker, run_id: str, data: DataSource) -> None:
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
            Worker.close_shared()

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
        record = Worker.completed(store.read(run_id))
        return not record.state.is_terminal and not store.is_cancel_requested(run_id)
    except MnistkitError:
        return False


def _started_worker(store: RunStore) -> Worker:
    """Return this process's worker, whose runs this process waits for when it exits."""
    worker = Worker.shared(store.ensured())
    finish_at_exit(_submissions, _Submissions.finish)
    return worker


_submissions = _Submissions()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_submissions.forget)
