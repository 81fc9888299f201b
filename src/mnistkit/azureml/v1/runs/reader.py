"""Looking at runs: what the workspace says of one, put together, and kept once it can't change any more."""

from __future__ import annotations

import codecs
import logging
import threading
import time
from collections import OrderedDict
from typing import Any

from attrs import evolve, frozen

from mnistkit.azureml.v1.runs.history import History
from mnistkit.azureml.v1.runs.records import Result, read, state_of
from mnistkit.errors import DataFormatError, MnistkitError, RunNotFoundError
from mnistkit.runs.record import MetricPoint, RunRecord, RunState

__all__ = ["RunReader"]

_LATE_SECONDS = 20.0
_FRESH_SECONDS = 1.0
_RECENT_SECONDS = 0.25  # who waits for a run looks more often than a service far away should be asked
_MANY, _LOGS = 1024, 16
_TAIL_LINES = 50
_log = logging.getLogger(__name__)


@frozen
class _Left:
    """What a run has left: its metrics and files, why it failed and the end of its log."""

    points: tuple[MetricPoint, ...] = ()
    files: tuple[str, ...] = ()
    error: str | None = None
    log: str = ""
    at: float = 0.0
    is_final: bool = False


class RunReader:
    """Puts records of runs together."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._left: OrderedDict[str, _Left] = OrderedDict()
        self._recent: dict[str, tuple[float, RunRecord]] = {}
        self._logs: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def record(self, run_id: str, *, patient: bool = True) -> RunRecord:
        """The present record of a run.

        Args:
            run_id: The run.
            patient: Whether to wait some seconds for metrics that a run that has ended must have logged.

        Raises:
            RunNotFoundError: There is none, or it isn't one of ours.
        """
        with self._lock:
            at, recent = self._recent.get(run_id, (0.0, None))
        if recent is not None and time.monotonic() - at < _RECENT_SECONDS:
            return recent
        record = self._read(self._history.look(run_id), patient=patient)
        with self._lock:
            self._recent.pop(run_id, None)
            if not record.state.is_terminal:
                self._recent[run_id] = (time.monotonic(), record)
        return record

    def forget(self, run_id: str) -> None:
        """Look anew at a run that was changed here, however recent the last look is."""
        with self._lock:
            self._recent.pop(run_id, None)

    def listed(self, dto: Any) -> RunRecord | None:
        """The record of a run whose data object is known; None if it can't be read."""
        try:
            return self._read(dto, patient=False)
        except (MnistkitError, ValueError, KeyError, TypeError) as error:
            _log.warning("Run %s is left out: %s", dto.run_id, error)
            return None

    def state(self, run_id: str) -> RunState:
        """The present state of a run.

        Raises:
            RunNotFoundError: There is none.
        """
        return state_of(self._history.look(run_id))

    def log(self, run_id: str) -> str:
        """What a run has written so far; odd bytes as backslash escapes, a character that has only begun not yet."""
        is_over = self.state(run_id).is_terminal
        decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        return decoder.decode(self._bytes(run_id), final=is_over)

    def _bytes(self, run_id: str) -> bytes:
        """The log so far: what is new is asked for, and added to what is known."""
        with self._lock:
            known = self._logs.get(run_id, b"")
        whole = known + self._history.log(run_id, len(known))
        with self._lock:
            if len(whole) >= len(self._logs.get(run_id, b"")):
                self._logs[run_id] = whole
                self._logs.move_to_end(run_id)
            while len(self._logs) > _LOGS:
                self._logs.popitem(last=False)
        return whole

    def _read(self, dto: Any, *, patient: bool) -> RunRecord:
        left = self._what_is_left(dto, patient=patient)
        url = self._history.handle(dto.run_id).get_portal_url()
        try:
            return read(dto, points=left.points, files=left.files, error=left.error, log=left.log, url=url)
        except DataFormatError as error:
            raise RunNotFoundError(
                f"Run {dto.run_id} is in the workspace, but not one of mnistkit's: {error}"
            ) from error

    def _what_is_left(self, dto: Any, *, patient: bool) -> _Left:
        with self._lock:
            known = self._left.get(dto.run_id)
        state = state_of(dto)
        if state in {RunState.QUEUED, RunState.PREPARING}:
            return _Left()
        if known and (known.is_final or (time.monotonic() - known.at < _FRESH_SECONDS and not state.is_terminal)):
            return known
        left = self._look(dto, state, patient=patient)
        with self._lock:
            self._left[dto.run_id] = left
            while len(self._left) > _MANY:
                self._left.popitem(last=False)
        return left

    def _look(self, dto: Any, state: RunState, *, patient: bool) -> _Left:
        run_id = dto.run_id
        result = Result.of(dto.properties or {}) if state.is_terminal else None
        expected = result.points if result else 0
        deadline = time.monotonic() + (_LATE_SECONDS if patient else 0)
        points = self._history.points(run_id)
        while len(points) < expected and time.monotonic() < deadline:
            time.sleep(0.3)
            points = self._history.points(run_id)
        if len(points) < expected:
            _log.warning("Run %s has logged %d metric points; Azure ML tells %d so far.", run_id, expected, len(points))
        left = _Left(tuple(points), tuple(self._history.files(run_id)), at=time.monotonic())
        if state is RunState.FAILED:
            left = evolve(left, error=self._error(run_id), log=self._tail(run_id))
        return evolve(left, is_final=state.is_terminal and len(points) >= expected)

    def _error(self, run_id: str) -> str | None:
        told = getattr(getattr(self._history.details(run_id).error, "error", None), "message", None)
        return " ".join(str(told).split()) if told else "Azure ML says that it failed, and not why; its log may."

    def _tail(self, run_id: str) -> str:
        text = self._bytes(run_id).decode("utf-8", errors="backslashreplace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
