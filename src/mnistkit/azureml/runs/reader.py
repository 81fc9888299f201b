"""Records of runs, assembled from several requests, and cached once they are final."""

from __future__ import annotations

import codecs
import logging
import threading
import time
from collections import OrderedDict

from attrs import evolve, frozen

from mnistkit.azureml.runs.history import History, StoredRun
from mnistkit.azureml.runs.records import Result, read_record, state_of
from mnistkit.errors import DataFormatError, MnistkitError, RunNotFoundError
from mnistkit.runs.record import MetricPoint, RunRecord, RunState

__all__ = ["RunReader"]

_LATE_METRICS_SECONDS = 20.0
_DETAILS_SECONDS = 1.0  # for which metrics and files of a running run are reused
_RECORD_SECONDS = 0.25  # for which a record is reused: `Run.wait` polls more often than is good for a remote service
_MAX_RUNS, _MAX_LOGS = 1024, 16
_TAIL_LINES = 50
_NO_REASON = "It failed, and Azure ML gives no reason; look at its log."
_log = logging.getLogger(__name__)


@frozen
class _Details:
    """The metrics and files of a run, the reason of a failure and the end of its log."""

    points: tuple[MetricPoint, ...] = ()
    files: tuple[str, ...] = ()
    error: str | None = None
    log: str = ""
    at: float = 0.0
    is_final: bool = False


class RunReader:
    """Assembles records of runs."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._details: OrderedDict[str, _Details] = OrderedDict()
        self._recent: dict[str, tuple[float, RunRecord]] = {}
        self._logs: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def record(self, run_id: str, *, patient: bool = True) -> RunRecord:
        """Return the present record of a run.

        Args:
            run_id: The run.
            patient: Wait some seconds for metrics that a finished run must have logged.

        Raises:
            RunNotFoundError: There is none, or mnistkit didn't submit it.
        """
        with self._lock:
            at, recent = self._recent.get(run_id, (0.0, None))
        if recent is not None and time.monotonic() - at < _RECORD_SECONDS:
            return recent
        record = self._read(self._history.get(run_id), patient=patient)
        with self._lock:
            self._recent.pop(run_id, None)
            if not record.state.is_terminal:
                self._recent[run_id] = (time.monotonic(), record)
        return record

    def forget(self, run_id: str) -> None:
        """Drop the cached record of a run that was changed here."""
        with self._lock:
            self._recent.pop(run_id, None)

    def listed(self, run: StoredRun) -> RunRecord | None:
        """Return the record of a run that was listed; None if it can't be read."""
        try:
            return self._read(run, patient=False)
        except (MnistkitError, ValueError, KeyError, TypeError) as error:
            _log.warning("Run %s is left out: %s", run.id, error)
            return None

    def state(self, run_id: str) -> RunState:
        """Return the present state of a run.

        Raises:
            RunNotFoundError: There is none.
        """
        return state_of(self._history.get(run_id))

    def log(self, run_id: str) -> str:
        """Return the log so far: invalid bytes as backslash escapes, without an incomplete last character."""
        is_final = self.state(run_id).is_terminal
        decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        return decoder.decode(self._bytes(run_id), final=is_final)

    def _bytes(self, run_id: str) -> bytes:
        """Return the log so far: only what is new is requested."""
        with self._lock:
            known = self._logs.get(run_id, b"")
        whole = known + self._history.log(run_id, len(known))
        with self._lock:
            if len(whole) >= len(self._logs.get(run_id, b"")):
                self._logs[run_id] = whole
                self._logs.move_to_end(run_id)
            while len(self._logs) > _MAX_LOGS:
                self._logs.popitem(last=False)
        return whole

    def _read(self, run: StoredRun, *, patient: bool) -> RunRecord:
        details = self._details_of(run, patient=patient)
        url = self._history.url(run.id)
        try:
            return read_record(
                run, points=details.points, files=details.files, error=details.error, log=details.log, url=url
            )
        except DataFormatError as error:
            raise RunNotFoundError(f"Run {run.id} is in the workspace, but not one of mnistkit's: {error}") from error

    def _details_of(self, run: StoredRun, *, patient: bool) -> _Details:
        with self._lock:
            known = self._details.get(run.id)
        state = state_of(run)
        if state in {RunState.QUEUED, RunState.PREPARING}:
            return _Details()
        if known and (known.is_final or (time.monotonic() - known.at < _DETAILS_SECONDS and not state.is_terminal)):
            return known
        details = self._look(run, state, patient=patient)
        with self._lock:
            self._details[run.id] = details
            while len(self._details) > _MAX_RUNS:
                self._details.popitem(last=False)
        return details

    def _look(self, run: StoredRun, state: RunState, *, patient: bool) -> _Details:
        run_id = run.id
        result = Result.of(run.properties, f"run {run_id}") if state.is_terminal else None
        expected = result.points if result else 0
        deadline = time.monotonic() + (_LATE_METRICS_SECONDS if patient else 0)
        points = self._history.points(run_id)
        while len(points) < expected and time.monotonic() < deadline:
            time.sleep(0.3)
            points = self._history.points(run_id)
        if len(points) < expected:
            _log.warning("Run %s has logged %d metric points; Azure ML returns %d.", run_id, expected, len(points))
        details = _Details(tuple(points), tuple(self._history.files(run_id)), at=time.monotonic())
        if state is RunState.FAILED:
            details = evolve(details, error=self._history.error(run_id) or _NO_REASON, log=self._tail(run_id))
        return evolve(details, is_final=state.is_terminal and len(points) >= expected)

    def _tail(self, run_id: str) -> str:
        text = self._bytes(run_id).decode("utf-8", errors="backslashreplace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
