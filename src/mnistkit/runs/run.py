"""The user's handle on a run of any backend."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, overload

import attrs

from mnistkit.errors import NotFoundError, RunFailedError, RunTimeoutError, UsageError
from mnistkit.runs.backend import ComputeBackend, SupportsAnnotations, SupportsSources, SupportsWaiting
from mnistkit.runs.following import progress_of
from mnistkit.runs.record import MetricPoint, RunRecord, RunState
from mnistkit.utils.arguments import check_path, check_type
from mnistkit.utils.markup import render

__all__ = ["Run", "best_run", "wait_for_change"]

_MAX_TRACEBACK_LINES = 10

_log = logging.getLogger(__name__)


class Run:
    """A handle on one run of any backend: a backend and the latest record. Nothing happens when it is collected.

    ``state``, ``metrics`` and the like are those of the latest record; `refresh`, `poll`, `wait` and `watch` read it
    again. It can be pickled and copied if its backend can.
    """

    __slots__ = ("_backend", "_record")

    def __init__(self, backend: ComputeBackend, record: RunRecord) -> None:
        self._backend = backend
        self._record = record

    @property
    def record(self) -> RunRecord:
        """The latest record that was read."""
        return self._record

    @property
    def id(self) -> str:
        """Unique within the backend."""
        return self._record.id

    @property
    def state(self) -> RunState:
        """The state in the latest record."""
        return self._record.state

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return self._record.metrics

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the run has written: ``outputs/...`` and ``logs/...``."""
        return self._record.files

    @property
    def error(self) -> str | None:
        """The reason of its failure, in one line; None if it has none."""
        return self._record.error

    def series(self, metric: str) -> tuple[MetricPoint, ...]:
        """Every value logged for ``metric``, in order.

        Raises:
            NotFoundError: The run hasn't logged it; lists what it has.
        """
        points = tuple(point for point in self._record.points if point.name == metric)
        if not points:
            raise NotFoundError(f"Run {self.id} has no metric {metric!r}; it has {_listing(self.metrics)}.")
        return points

    def refresh(self) -> Run:
        """Read the record again; return this handle."""
        self._record = self._backend.get(self.id)
        return self

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until the run has finished, in whatever state; return this handle.

        Interrupting the wait (Ctrl-C) leaves the run running, and logs how to cancel it.

        Args:
            timeout: Maximum number of seconds to wait; None for no maximum.

        Raises:
            RunTimeoutError: It hasn't finished by then; it keeps running.
        """
        with _hint_on_interrupt(self.id):
            for _ in self.poll(timeout):
                pass
        return self

    def poll(self, timeout: float | None = None) -> Iterator[Run]:
        """Read the record repeatedly, ever less often, until the run has finished; yield this handle each time.

        Args:
            timeout: Maximum number of seconds; None for no maximum.

        Raises:
            RunTimeoutError: It hasn't finished by then; it keeps running.
        """
        if timeout is not None:
            check_type(timeout, (int, float), "timeout", "a number of seconds, or None")
        start = time.monotonic()
        deadline = math.inf if timeout is None else start + timeout
        while True:
            yield self.refresh()
            if self.state.is_terminal:
                return
            now = time.monotonic()
            if now >= deadline:
                raise RunTimeoutError(f"Run {self.id} is still {self.state} after {timeout} s; it keeps running.")
            pause = min(max(0.01, 0.1 * (now - start)), 1.0)  # a tenth late at most
            wait_for_change(self, min(pause, deadline - now))

    def watch(self) -> Run:
        """Show the run's progress until it has finished, in whatever state; return this handle.

        A notebook shows it in one output cell that changes in place; elsewhere states and log lines are printed as
        they come. Interrupting it (Ctrl-C) stops the watching alone: the run keeps running, and how to cancel it is
        logged.
        """
        progress = progress_of(self._logs_from)
        with contextlib.suppress(KeyboardInterrupt), _hint_on_interrupt(self.id):
            for _ in self.poll():
                progress.update(self._record)
        return self

    def result(self, timeout: float | None = None) -> dict[str, float]:
        """Wait for the end, and return the metrics of the completed run.

        Raises:
            RunFailedError: It ended as Failed or Canceled.
            RunTimeoutError: It hasn't ended in time.
        """
        self.wait(timeout)
        self.raise_for_state()
        return self.metrics

    def raise_for_state(self) -> None:
        """Raise if the run, in its latest record, is Failed or Canceled.

        Raises:
            RunFailedError: It ended as Failed or Canceled; the message holds its error and the end of its traceback, or
                of a script's log.
        """
        if self.state in {RunState.FAILED, RunState.CANCELED}:
            detail = f": {self.error.rstrip('.')}" if self.error else ""
            last = (self.record.traceback or "").splitlines()[-_MAX_TRACEBACK_LINES:]
            raise RunFailedError(
                "\n".join([f"Run {self.id} is {self.state}{detail}. Its log tells more: run.logs().", *last])
            )

    @overload
    def logs(self, *, follow: Literal[False] = False, start: int = 0) -> str: ...
    @overload
    def logs(self, *, follow: Literal[True], start: int = 0) -> Iterator[str]: ...
    def logs(self, *, follow: bool = False, start: int = 0) -> str | Iterator[str]:
        """Return the log so far; with ``follow``, an iterator over new text until the run has finished.

        Interrupting the iteration (Ctrl-C) leaves the run running, and logs how to cancel it.

        Args:
            follow: Whether to continue until the run has finished.
            start: The character to begin at: the length of what was read before, to read only what is new.
        """
        return self._follow(start) if follow else self._logs_from(start)

    def _logs_from(self, start: int) -> str:
        return self._backend.logs(self.id, start=start)

    def cancel(self) -> None:
        """Request the end of the run; idempotent, and nothing happens if it has finished."""
        self._backend.cancel(self.id)
        self.refresh()

    def tag(self, key: str, value: str | None) -> None:
        """Set a tag on the run, in any state, also while it runs; None removes the tag.

        Args:
            key: Text.
            value: Text of at most 16,000 characters; numbers and bools are kept as their text.

        Raises:
            UsageError: One of them isn't that, or the backend's runs can't be tagged.
        """
        self._annotate({key: value})

    def note(self, text: str, *, replace: bool = False) -> None:
        """Add a note to the run, in any state, also while it runs.

        Args:
            text: At most 10,000 characters; comes on lines of its own below earlier notes.
            replace: Replace earlier notes; an empty text removes them.

        Raises:
            UsageError: It isn't text, or the backend's runs can't get notes.
        """
        self._annotate({}, text, replace=replace)

    def _annotate(self, tags: Mapping[str, str | None], note: str | None = None, *, replace: bool = False) -> None:
        if not isinstance(self._backend, SupportsAnnotations):
            raise UsageError(
                f"{type(self._backend).__name__} can't add tags and notes to a run afterwards: set tags when "
                "the run is submitted."
            )
        self._backend.annotate_run(self.id, tags, note, replace_note=replace)
        self.refresh()

    def download(self, file: str, into: str | Path = ".") -> Path:
        """Copy one of `files` into the folder ``into`` and return where it is.

        Raises:
            NotFoundError: The run has no such file; lists the ones it has.
        """
        check_path(into, "into")
        return self._backend.download(self.id, file, Path(into))

    def sources(self) -> dict[str, str]:
        """Return the source files that the run keeps, by their paths in the script's folder; empty if it keeps none."""
        return self._backend.sources(self.id) if isinstance(self._backend, SupportsSources) else {}

    def _follow(self, position: int) -> Iterator[str]:
        with _hint_on_interrupt(self.id):
            for _ in self.poll():
                while text := self._logs_from(position):
                    position += len(text)
                    yield text
                    if not self.state.is_terminal:  # else the rest of a long log is read, a piece at a time
                        break

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        note = "" if self.state.is_terminal else "As of the last poll."
        return render(attrs.evolve(self._record.describe(), note=note))

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())
        return f"Run({self.id!r}, {self.state}{', ' + metrics if metrics else ''})"


def best_run(runs: Iterable[Run], metric: str, *, mode: Literal["max", "min"] = "max") -> Run:
    """Return the completed run with the best last value of ``metric``.

    NaN and infinite values never win; ties go to the run that was submitted first.

    Args:
        runs: Of any backend.
        metric: Such as ``"accuracy"``.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.

    Raises:
        NotFoundError: No completed run has a finite value of it.
        UsageError: ``mode`` is neither.
    """
    if mode not in {"max", "min"}:
        raise UsageError(f"mode={mode!r}: use 'max' or 'min'.")
    check_type(metric, str, "metric", "the name of a logged one, such as 'accuracy'")
    check_type(runs, Iterable, "runs", "a list of runs, a tuple, or a sweep")
    runs = tuple(runs)
    for run in runs:
        check_type(run, Run, "One of the runs", "runs, such as those of trainer.runs()")
    sign = 1 if mode == "max" else -1
    candidates = [
        run for run in runs if run.state is RunState.COMPLETED and math.isfinite(run.metrics.get(metric, math.nan))
    ]
    if not candidates:
        states = ", ".join(f"{run.id} is {run.state} with {_listing(run.metrics)}" for run in runs) or "there are none"
        raise NotFoundError(f"No completed run has a finite {metric!r}: {states}.")
    candidates.sort(key=lambda run: run.record.created_at)
    return max(candidates, key=lambda run: sign * run.metrics[metric])


def wait_for_change(run: Run, seconds: float) -> None:
    """Return after so many seconds, or as soon as its backend reports that a run may have finished."""
    backend = run._backend  # noqa: SLF001 - of this module
    if isinstance(backend, SupportsWaiting):
        backend.wait_for_change(seconds)
    else:
        time.sleep(seconds)


@contextlib.contextmanager
def _hint_on_interrupt(run_id: str) -> Iterator[None]:
    """Log, on Ctrl-C, that the run keeps running and how to cancel it."""
    try:
        yield
    except KeyboardInterrupt:
        _log.warning("Run %s keeps running; cancel it with run.cancel() or 'mnistkit runs cancel %s'.", run_id, run_id)
        raise


def _listing(metrics: Mapping[str, float]) -> str:
    return ", ".join(metrics) or "no metrics"
