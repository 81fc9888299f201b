"""Observers of runs: called when a run is submitted, changes its state, logs metrics and finishes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError
from mnistkit.jobs.job import Job, TrackedJob
from mnistkit.runs.backend import ComputeBackend, SupportsPoints
from mnistkit.runs.delegation import DelegatingCompute
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.record import MetricPoint, RunRecord, RunState

__all__ = ["ObservedCompute", "RunObserver"]

_log = logging.getLogger(__name__)


class RunObserver:
    """Base of observers; override the methods of interest, as the others do nothing.

    For each run, calls come one at a time and in order: `submitted` first, `finished` once and last. They come from the
    thread that submits a run or reads its record, so they should return soon. What they raise is logged as a warning:
    an observer's trouble never fails a run.
    """

    def observing(self, backend: ComputeBackend) -> None:
        """Handle the backend whose runs will be observed; called once, before any other method.

        Read records and files from it as needed, from any thread: that calls no observer.
        """

    def prepared(self, job: Job) -> Job:
        """Return the job to submit in place of ``job``, such as one with more environment variables.

        What it raises is logged, and ``job`` is submitted as it is.
        """
        return job

    def logged_elsewhere(self, record: RunRecord) -> Sequence[MetricPoint]:  # noqa: ARG002 - for those that override it
        """Return metric points that the code of a finished run logged elsewhere than to its context.

        Called once, before the other methods are called for the end of the run. They become part of its record if the
        backend is a `SupportsPoints`.
        """
        return ()

    def submitted(self, record: RunRecord) -> None:
        """Handle a run that was just submitted."""

    def state_changed(self, record: RunRecord) -> None:
        """Handle a run that entered one or several states since the last call; also its terminal state."""

    def metrics_logged(self, record: RunRecord, points: Sequence[MetricPoint]) -> None:
        """Handle the metric points that were added since the last call; after a retry they begin anew."""

    def finished(self, record: RunRecord) -> None:
        """Handle a run that reached its terminal state; its files are there."""


class ObservedCompute(DelegatingCompute):
    """A backend whose submitted runs are observed: observers are called for what each read of a record shows as new.

    Waiting for a run, following its log or listing runs reads records. Runs that others submitted aren't observed.
    """

    def __init__(self, backend: ComputeBackend, observers: Sequence[RunObserver]) -> None:
        """Wrap a backend.

        Args:
            backend: Runs the jobs.
            observers: Called in this order.
        """
        super().__init__(backend)
        self._observers = tuple(observers)
        self._seen: dict[str, RunRecord] = {}
        self._lock = threading.RLock()  # an observer may read a record itself
        self._call(lambda observer: observer.observing(backend))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Submit, and call `RunObserver.submitted`."""
        record = super().submit(self._prepared(job), data, detach=detach)
        self._begin(record)
        return record

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Submit, and call `RunObserver.submitted` for each run."""
        records = super().submit_group([self._prepared(job) for job in jobs], data, detach=detach)
        for record in records:
            self._begin(record)
        return records

    def track(self, job: TrackedJob, data: str) -> RunLifecycle:
        """Begin a run of this process, and call `RunObserver.submitted`."""
        lifecycle = super().track(job, data)
        self._begin(super().get(lifecycle.id))
        return lifecycle

    def get(self, run_id: str) -> RunRecord:
        """Return the record, and call the observers for what is new in it."""
        return self._update(super().get(run_id))

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return the records, and call the observers for what is new in them."""
        return tuple(self._update(record) for record in super().runs(experiment))

    def _prepared(self, job: Job) -> Job:
        for observer in self._observers:
            try:
                job = observer.prepared(job)
            except Exception:  # noqa: BLE001 - a run isn't the observer's
                _log.warning("%s failed, and the job is submitted as it was.", type(observer).__name__, exc_info=True)
        return job

    def _begin(self, record: RunRecord) -> None:
        with self._lock:
            first = record.transitions[:1]
            self._seen[record.id] = RunRecord(id=record.id, job=record.job, data=record.data, transitions=first)
            self._call(lambda observer: observer.submitted(record))
        self._update(record)

    def _update(self, record: RunRecord) -> RunRecord:
        """Call the observers for what is new in a record; return it with what was logged elsewhere."""
        with self._lock:
            seen = self._seen.get(record.id)
            # A thread may have read its record before another one that was here first: what is older is no news.
            is_older = seen is not None and len(record.transitions) < len(seen.transitions)
            if seen is None or (is_older and not record.state.is_terminal):
                return record
            if record.state.is_terminal:
                record = self._with_points(record)
            self._seen[record.id] = record
            if record.state.is_terminal:
                del self._seen[record.id]
            if points := _new_points(seen, record):
                self._call(lambda observer: observer.metrics_logged(record, points))
            if _states(record) != _states(seen):  # not their times: that of CancelRequested is the reader's
                self._call(lambda observer: observer.state_changed(record))
            if record.state.is_terminal:
                self._call(lambda observer: observer.finished(record))
            return record

    def _with_points(self, record: RunRecord) -> RunRecord:
        """Return the record of a finished run with the metrics that were logged elsewhere, which the backend keeps."""
        points: list[MetricPoint] = []
        self._call(lambda observer: points.extend(observer.logged_elsewhere(record)))
        if not points or not isinstance(self.backend, SupportsPoints):
            return record
        try:
            self.backend.add_points(record.id, points)
            return self.backend.get(record.id)
        except (MnistkitError, OSError) as error:
            _log.warning("The metrics that run %s logged elsewhere aren't kept: %s", record.id, error)
            return record

    def _call(self, tell: Callable[[RunObserver], None]) -> None:
        for observer in self._observers:
            try:
                tell(observer)
            except Exception:  # noqa: BLE001 - a run isn't the observer's
                _log.warning("%s failed, and is left out of this event.", type(observer).__name__, exc_info=True)


def _states(record: RunRecord) -> list[RunState]:
    return [transition.state for transition in record.transitions]


def _new_points(seen: RunRecord, record: RunRecord) -> tuple[MetricPoint, ...]:
    """Return the points that ``seen`` lacks: all of them if those that it has belong to an earlier attempt."""
    known = len(seen.points)
    is_continued = known <= len(record.points) and seen.points[-1:] == record.points[:known][-1:]
    return record.points[known:] if is_continued else record.points
