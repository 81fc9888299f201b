"""Runs jobs in this process, on threads; scripts in an interpreter of their own."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from mnistkit.data.fetching import fetch_dataset, fetch_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.estimators.warm_start import new_warm_start
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.runs.capture import captured
from mnistkit.runs.context import FolderContext, Stopped, using_context
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.folder.scripts import appending_to_log, collect, run_script
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.training import train
from mnistkit.utils.clock import utc_now
from mnistkit.utils.lifetime import finish_at_exit
from mnistkit.utils.redaction import redacted

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import WarmStart

__all__ = ["InProcessCompute"]

_log = logging.getLogger(__name__)


class InProcessCompute(FolderBackend):
    """Runs training jobs on threads of this process, and scripts in an interpreter of their own.

    Light, and made for tests and short work: a training job that crashes the interpreter takes the process with
    it, and one that is canceled or late while fitting stops only when the fit has ended. When the program ends, it
    first waits for the runs that it submitted. Records are kept in folders, so that later processes find them.
    """

    def __init__(self, home: str | os.PathLike[str], *, parallel: int | None = None) -> None:
        """Make a backend that keeps its runs in ``home/runs``; nothing is created yet.

        Args:
            home: The folder.
            parallel: How many runs at a time, the rest being Queued; None for one per core.

        Raises:
            UsageError: ``parallel`` is below 1.
        """
        super().__init__(home, parallel)
        self._lock = threading.Lock()
        self._queue: deque[tuple[Sequence[str], DataSource]] = deque()
        self._waiting: set[str] = set()
        self._running: dict[threading.Thread, Sequence[str]] = {}
        self._ended: dict[str, str] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy keeps its runs in the same folder, but neither the queue nor the threads of this one.
        return type(self), (self._root.parent,), {"_parallel": self._parallel}

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.SupportsGroups.submit_group`."""
        if detach:
            raise UsageError("Runs in this process end with it, at the latest: detach=True needs ProcessCompute.")
        import joblib  # noqa: F401 - hooks into the end of the program at import, and can't once that has come

        run_ids = self._create(jobs, data)
        finish_at_exit(self, InProcessCompute._finish)
        with self._lock:
            self._waiting.update(run_id for run_id in run_ids if not self._store.state(run_id).is_terminal)
            self._queue.append((run_ids, data))
            self._start_waiting()
        return tuple(self.get(run_id) for run_id in run_ids)

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        record = super().get(run_id)
        error = self._ended.get(run_id)
        if error is None or record.state.is_terminal:
            return record
        return attrs.evolve(
            record, transitions=(*record.transitions, Transition(RunState.FAILED, utc_now())), error=redacted(error)
        )

    def cancel(self, run_id: str) -> None:
        """Cancel a queued run at once, and request the end of a running one; see `ComputeBackend.cancel`."""
        if self.get(run_id).state.is_terminal:
            return
        self._store.request_cancel(run_id)
        with self._lock:
            if run_id in self._waiting:
                self._waiting.remove(run_id)
                self._store.advance(run_id, RunState.CANCELED)

    def _start_waiting(self) -> None:
        """Start the queued groups that may run now; the caller holds the lock."""
        while self._queue and len(self._running) < self._parallel:
            run_ids, data = self._queue.popleft()
            if self._waiting.isdisjoint(run_ids):
                continue
            thread = threading.Thread(target=self._run, args=(run_ids, data), name=run_ids[0], daemon=True)
            self._running[thread] = run_ids
            thread.start()

    def _run(self, run_ids: Sequence[str], data: DataSource) -> None:
        path = new_warm_start(len(run_ids))
        try:
            for run_id in run_ids:
                with self._lock:
                    if run_id not in self._waiting:
                        continue
                    self._waiting.remove(run_id)
                self._run_one(run_id, data, path)
        finally:
            with self._lock:
                del self._running[threading.current_thread()]
                self._start_waiting()

    def _run_one(self, run_id: str, data: DataSource, path: WarmStart | None) -> None:
        """Run one to its end; keep in memory how it ended if that can't be recorded, as on a full disk."""
        try:
            log = appending_to_log(self._store.folder(run_id), self._store.log_file(run_id))
            with captured(log):
                self._run_to_its_end(run_id, data, path)
        except Exception as error:  # noqa: BLE001 - no caller is left to raise it to
            _log.exception("could not keep the record of run %s", run_id)
            self._ended[run_id] = f"Its record can't be written: {error}. Make room."
        self._record_ends()

    def _record_ends(self) -> None:
        """Record the ends that couldn't be recorded before, as far as that is possible now."""
        for run_id, error in list(self._ended.items()):
            with contextlib.suppress(OSError, MnistkitError):
                if not self._store.state(run_id).is_terminal:
                    self._store.advance(run_id, RunState.FAILED, error=error)
                self._ended.pop(run_id, None)

    def _run_to_its_end(self, run_id: str, data: DataSource, path: WarmStart | None) -> None:
        run = RunLifecycle(self._store, run_id)
        while not run.is_over:
            run.begin()
            context = _Context(run.folder, run.job.timeout)
            try:
                code = self._execute(run, data, context, path)
            except Stopped:
                self._stop(run)
            except BaseException as error:  # noqa: BLE001 - SystemExit in training is a failed run too
                text = redacted(traceback.format_exc())
                with contextlib.suppress(OSError), appending_to_log(run.folder, run.log_file) as log:
                    log.write(text.encode(errors="backslashreplace"))
                line = "".join(traceback.format_exception_only(error)).strip()
                run.fail(run.attempt(cause="error", error=line), traceback=text)
            else:
                if code == 0:
                    run.complete()
                elif code is None:  # not should_stop: it may be set by now for a script that failed before
                    self._stop(run)
                else:
                    run.fail(run.attempt_by_exit(code))

    def _stop(self, run: RunLifecycle) -> None:
        """Record that the run was stopped, which it is for two reasons alone."""
        if run.is_canceled:
            run.cancel()
        else:
            run.fail(run.attempt_by_timeout())

    def _execute(self, run: RunLifecycle, data: DataSource, context: _Context, path: WarmStart | None) -> int | None:
        """Make an attempt; return the exit code of a script, None if it was stopped, and 0 for a training job."""
        _stop_if(context.should_stop)
        if isinstance(run.job, TrainingJob):
            dataset = fetch_dataset(data)
            run.enter(RunState.RUNNING)
            with using_context(context):
                train(run.job, dataset, context, path)
            run.enter(RunState.FINALIZING)
            return 0
        assert isinstance(run.job, ScriptJob)  # noqa: S101 - `_create` takes no others
        data_folder = Path(fetch_folder(data).path)
        _stop_if(context.should_stop)
        run.enter(RunState.RUNNING)
        code = run_script(run.job, data_folder, run.folder, run.log_file, lambda: context.should_stop)
        run.enter(RunState.FINALIZING)
        collect(run.folder, run.log_file)
        return code

    def _finish(self) -> None:
        """Wait for queued and running runs, but not for those whose cancellation was requested."""
        while True:
            with self._lock:
                going = [t for t, ids in self._running.items() if not all(map(self._store.is_cancel_requested, ids))]
            threads = [thread for thread in going if thread.is_alive()]  # a forked process has none of its parent's
            if not threads:
                self._record_ends()
                return
            threads[0].join(0.2)


class _Context(FolderContext):
    """Is also to stop when the time of the attempt is over."""

    def __init__(self, folder: Path, timeout: float | None) -> None:
        super().__init__(folder)
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout

    @property
    def should_stop(self) -> bool:
        """True if the end of the run was requested, or its time is over."""
        return super().should_stop or time.monotonic() >= self._deadline


def _stop_if(asked: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if asked:
        raise Stopped
