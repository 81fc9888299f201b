"""Runs jobs in this process, on threads; scripts in an interpreter of their own."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import traceback
import weakref
from collections import deque
from pathlib import Path

from mnistkit.context import FolderContext, using_context
from mnistkit.errors import MnistkitError, RunFailedError, RunStateError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs import Job, ScriptJob, TrainingJob
from mnistkit.local.capture import captured
from mnistkit.local.run_store import RunStore
from mnistkit.local.scripts import collect, describe_exit, run_script, snapshot
from mnistkit.runs import RunRecord, RunState
from mnistkit.training import Stopped, check_classifier, dataset_folder, fetch_dataset, train

__all__ = ["InProcessCompute"]

_log = logging.getLogger(__name__)
_TAIL = 50


class InProcessCompute(ComputeBackend):
    """Runs training jobs on threads of this process, and scripts in an interpreter of their own.

    Light, and made for tests and short work: a training job that crashes the interpreter takes the process with
    it, and one that is fitting stops only when the fit has ended. When the program ends, it first waits for the
    runs that it submitted. Records are kept in folders, so that later processes find them.
    """

    def __init__(self, home: str | os.PathLike[str], *, parallel: int | None = None) -> None:
        """Make a backend that keeps its runs in ``home/runs``; nothing is created yet.

        Args:
            home: The folder.
            parallel: How many runs at a time, the rest being Queued; None for one per core.

        Raises:
            UsageError: ``parallel`` is below 1.
        """
        if parallel is not None and parallel < 1:
            raise UsageError(f"parallel={parallel}: run at least one job at a time.")
        self._parallel = parallel or os.cpu_count() or 1
        self._store = RunStore(Path(home) / "runs")
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, Job, DataSource]] = deque()
        self._running: dict[str, threading.Thread] = {}
        _backends.add(self)

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Queue the job and return its record; see `ComputeBackend.submit`."""
        if detach:
            raise UsageError("Runs in this process end with it, at the latest: detach=True needs ProcessCompute.")
        import joblib  # noqa: F401 - hooks into the end of the program at import, and can't once that has come

        if isinstance(job, TrainingJob):
            check_classifier(job.model.build())
        else:
            job.check()
        run_id = self._store.create(job, data.uri)
        try:
            if isinstance(job, ScriptJob):
                snapshot(job, self._store.folder(run_id))
        except (MnistkitError, OSError) as error:
            self._store.advance(run_id, RunState.FAILED, error=f"{type(error).__name__}: {error}")
            return self.get(run_id)
        with self._lock:
            self._queue.append((run_id, job, data))
            self._start_waiting()
        return self.get(run_id)

    def get(self, run_id: str) -> RunRecord:
        """The present record; see `ComputeBackend.get`."""
        return self._store.read(run_id)

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """All records, newest first; see `ComputeBackend.runs`."""
        records = self._store.read_all()
        return tuple(r for r in records if r.experiment == experiment) if experiment else records

    def cancel(self, run_id: str) -> None:
        """Cancel at once what is queued here; ask what runs to stop; see `ComputeBackend.cancel`."""
        if self.get(run_id).state.is_terminal:
            return
        self._store.ask_to_stop(run_id)
        with self._lock:
            waiting = [entry for entry in self._queue if entry[0] == run_id]
            for entry in waiting:
                self._queue.remove(entry)
                self._store.advance(run_id, RunState.CANCELED)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """What the run has written; see `ComputeBackend.logs`."""
        return self._store.read_log(run_id, start)

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one file of a run; see `ComputeBackend.download`."""
        return self._store.copy_file(run_id, file, into)

    def delete(self, run_id: str) -> None:
        """Remove a run and all its files.

        Raises:
            RunNotFoundError: No run has that id.
            RunStateError: It hasn't ended.
        """
        state = self.get(run_id).state
        if not state.is_terminal:
            raise RunStateError(f"Run {run_id} is {state}: cancel it, and delete it once it has ended.")
        self._store.delete(run_id)

    def _start_waiting(self) -> None:
        """Start what may start; the caller holds the lock."""
        while self._queue and len(self._running) < self._parallel:
            run_id, job, data = self._queue.popleft()
            thread = threading.Thread(target=self._run, args=(run_id, job, data), name=run_id, daemon=True)
            self._running[run_id] = thread
            thread.start()

    def _run(self, run_id: str, job: Job, data: DataSource) -> None:
        try:
            with captured(self._store.log_file(run_id)):
                self._run_to_its_end(run_id, job, data)
        except Exception:  # noqa: BLE001 - nobody is left to raise it to
            _log.exception("could not keep the record of run %s", run_id)
        finally:
            with self._lock:
                del self._running[run_id]
                self._start_waiting()

    def _run_to_its_end(self, run_id: str, job: Job, data: DataSource) -> None:
        try:
            self._execute(run_id, job, data)
        except Stopped:
            self._store.advance(run_id, RunState.CANCELED)
        except BaseException as error:  # noqa: BLE001 - SystemExit in training is a failed run too
            text = traceback.format_exc()
            if isinstance(error, RunFailedError):
                line, text = str(error), _tail(self._store.read_log(run_id, 0))
            else:
                line = "".join(traceback.format_exception_only(error)).strip()
                with contextlib.suppress(OSError), self._store.log_file(run_id).open("a", encoding="utf-8") as log:
                    log.write(text)
            self._store.advance(run_id, RunState.FAILED, error=line, traceback=text)
        else:
            self._store.advance(run_id, RunState.COMPLETED)

    def _execute(self, run_id: str, job: Job, data: DataSource) -> None:
        folder = self._store.folder(run_id)
        context = FolderContext(folder)
        self._store.advance(run_id, RunState.PREPARING)
        _stop_if(context.should_stop)
        if isinstance(job, TrainingJob):
            dataset = fetch_dataset(data)
            self._store.advance(run_id, RunState.RUNNING)
            with using_context(context):
                train(job, dataset, context)
            self._store.advance(run_id, RunState.FINALIZING)
            return
        data_folder = data.fetch(dataset_folder(data))
        _stop_if(context.should_stop)
        self._store.advance(run_id, RunState.RUNNING)
        log = self._store.log_file(run_id)
        code = run_script(job, data_folder, folder, log, lambda: context.should_stop)
        self._store.advance(run_id, RunState.FINALIZING)
        collect(folder)
        _stop_if(context.should_stop and code != 0)
        if code != 0:
            raise RunFailedError(describe_exit(job, code))

    def _finish(self) -> None:
        """Wait for what is queued and running, but not for what was asked to stop."""
        while True:
            with self._lock:
                threads = [t for run_id, t in self._running.items() if not self._store.is_asked_to_stop(run_id)]
            if not threads:
                return
            threads[0].join(0.2)


_backends: weakref.WeakSet[InProcessCompute] = weakref.WeakSet()


@atexit.register
def _finish_all() -> None:
    for backend in tuple(_backends):
        backend._finish()  # noqa: SLF001 - of this module


def _stop_if(asked: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if asked:
        raise Stopped


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_TAIL:])
