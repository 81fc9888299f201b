"""Runs jobs in this process, on threads; scripts in an interpreter of their own."""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnistkit.data.fetching import fetch_dataset, fetch_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import UsageError
from mnistkit.estimators.warm_start import new_path
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.local.capture import captured
from mnistkit.local.scripts import collect, run_script
from mnistkit.runs.context import FolderContext, Stopped, using_context
from mnistkit.runs.folder.backend import StoredRuns
from mnistkit.runs.folder.lifecycle import Course
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.training import train
from mnistkit.utils.redaction import redacted

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import RegularizationPath

__all__ = ["InProcessCompute"]

_log = logging.getLogger(__name__)


class InProcessCompute(StoredRuns):
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
        _backends.add(self)

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.GroupBackend.submit_group`."""
        if detach:
            raise UsageError("Runs in this process end with it, at the latest: detach=True needs ProcessCompute.")
        import joblib  # noqa: F401 - hooks into the end of the program at import, and can't once that has come

        run_ids = self._create(jobs, data)
        with self._lock:
            self._waiting.update(run_id for run_id in run_ids if not self._store.state(run_id).is_terminal)
            self._queue.append((run_ids, data))
            self._start_waiting()
        return tuple(self.get(run_id) for run_id in run_ids)

    def cancel(self, run_id: str) -> None:
        """Cancel at once what is queued here; ask what runs to stop; see `ComputeBackend.cancel`."""
        if self.get(run_id).state.is_terminal:
            return
        self._store.ask_to_stop(run_id)
        with self._lock:
            if run_id in self._waiting:
                self._waiting.remove(run_id)
                self._store.advance(run_id, RunState.CANCELED)

    def _start_waiting(self) -> None:
        """Start what may start; the caller holds the lock."""
        while self._queue and len(self._running) < self._parallel:
            run_ids, data = self._queue.popleft()
            if self._waiting.isdisjoint(run_ids):
                continue
            thread = threading.Thread(target=self._run, args=(run_ids, data), name=run_ids[0], daemon=True)
            self._running[thread] = run_ids
            thread.start()

    def _run(self, run_ids: Sequence[str], data: DataSource) -> None:
        path = new_path(len(run_ids))
        try:
            for run_id in run_ids:
                with self._lock:
                    if run_id not in self._waiting:
                        continue
                    self._waiting.remove(run_id)
                with captured(self._store.log_file(run_id)):
                    self._run_to_its_end(run_id, data, path)
        except Exception:  # noqa: BLE001 - nobody is left to raise it to
            _log.exception("could not keep the record of a run among %s", ", ".join(run_ids))
        finally:
            with self._lock:
                del self._running[threading.current_thread()]
                self._start_waiting()

    def _run_to_its_end(self, run_id: str, data: DataSource, path: RegularizationPath | None) -> None:
        course = Course(self._store, run_id)
        while not course.is_over:
            course.begin()
            context = _Context(course.folder, course.job.timeout)
            try:
                code = self._execute(course, data, context, path)
            except Stopped:
                self._stop(course)
            except BaseException as error:  # noqa: BLE001 - SystemExit in training is a failed run too
                text = redacted(traceback.format_exc())
                with contextlib.suppress(OSError), course.log_file.open("a", encoding="utf-8") as log:
                    log.write(text)
                line = "".join(traceback.format_exception_only(error)).strip()
                course.fail(course.attempt(cause="error", error=line), traceback=text)
            else:
                if code == 0:
                    course.complete()
                elif context.should_stop:
                    self._stop(course)
                else:
                    course.fail(course.attempt_by_exit(code))

    def _stop(self, course: Course) -> None:
        if course.is_canceled:
            course.cancel()
        else:
            course.fail(course.attempt_by_timeout())

    def _execute(self, course: Course, data: DataSource, context: _Context, path: RegularizationPath | None) -> int:
        """Make an attempt; returns the exit code of a script, 0 for a training job."""
        _stop_if(context.should_stop)
        if isinstance(course.job, TrainingJob):
            dataset = fetch_dataset(data)
            course.enter(RunState.RUNNING)
            with using_context(context):
                train(course.job, dataset, context, path)
            course.enter(RunState.FINALIZING)
            return 0
        data_folder = Path(fetch_folder(data).path)
        _stop_if(context.should_stop)
        course.enter(RunState.RUNNING)
        code = run_script(course.job, data_folder, course.folder, course.log_file, lambda: context.should_stop)
        course.enter(RunState.FINALIZING)
        collect(course.folder, course.log_file)
        return code

    def _finish(self) -> None:
        """Wait for what is queued and running, but not for what was asked to stop."""
        while True:
            with self._lock:
                threads = [t for t, ids in self._running.items() if not all(map(self._store.is_asked_to_stop, ids))]
            if not threads:
                return
            threads[0].join(0.2)


class _Context(FolderContext):
    """Asks to stop also when the time of the attempt is over."""

    def __init__(self, folder: Path, timeout: float | None) -> None:
        super().__init__(folder)
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout

    @property
    def should_stop(self) -> bool:
        """Whether the run's cancellation was asked for, or its time is over."""
        return super().should_stop or time.monotonic() >= self._deadline


_backends: weakref.WeakSet[InProcessCompute] = weakref.WeakSet()


@atexit.register
def _finish_all() -> None:
    for backend in tuple(_backends):
        backend._finish()  # noqa: SLF001 - of this module


def _stop_if(asked: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if asked:
        raise Stopped
