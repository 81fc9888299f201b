"""The record of a run, as values: states, metrics, attempts."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from attrs import field, frozen

from mnistkit.jobs.job import Job, RetryCause
from mnistkit.jobs.provenance import Provenance

__all__ = ["Attempt", "MetricPoint", "Phase", "RunRecord", "RunState", "Transition", "phases"]


class RunState(str, enum.Enum):
    """Where a run is on its way. The words are Azure ML's."""

    QUEUED = "Queued"
    PREPARING = "Preparing"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in {RunState.COMPLETED, RunState.FAILED, RunState.CANCELED}

    def __str__(self) -> str:
        return self.value


@frozen
class Transition:
    """The moment at which a run entered a state.

    Attributes:
        state: The state.
        at: When, UTC.
    """

    state: RunState
    at: datetime


@frozen
class MetricPoint:
    """One logged value.

    Attributes:
        name: Such as ``"accuracy"``.
        value: A float; may be NaN or infinite.
        step: The iteration, if the logger said.
        time: When, UTC.
    """

    name: str
    value: float
    step: int | None
    time: datetime


@frozen(kw_only=True)
class Attempt:
    """One try at a run's job, once it has ended.

    Attributes:
        started_at: When it left the queue, UTC.
        ended_at: When it was over, UTC.
        cause: How it ended badly; None if it didn't, or if it was canceled.
        error: Why, in one line.
        exit_code: Of its process, if it had one that exited.
        signal: What killed its process, such as ``"SIGSEGV"``.
    """

    started_at: datetime
    ended_at: datetime
    cause: RetryCause | None = None
    error: str | None = None
    exit_code: int | None = None
    signal: str | None = None


@frozen(kw_only=True)
class RunRecord:
    """A snapshot of one run.

    Attributes:
        id: Unique within its backend.
        job: What it runs.
        data: The uri of its data.
        transitions: The states it went through, with times, oldest first; at least one.
        points: All metrics logged so far, in order.
        files: What it has written, as paths for `Run.download`: ``outputs/...`` and ``logs/...``.
        tags: The job's tags, and those set while it ran.
        error: One line, if it failed.
        traceback: Where it failed, if that is known; else the last lines of its log.
        attempts: The tries at it that have ended, in order; more than one only if the job has ``retries``.
        url: Where a person can look at it: a folder or a web page.
        versions: Of Python and the libraries that ran it.
        provenance: Where it was submitted from; None if that wasn't kept.
    """

    id: str
    job: Job
    data: str
    transitions: tuple[Transition, ...]
    points: tuple[MetricPoint, ...] = ()
    files: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(factory=dict)
    error: str | None = None
    traceback: str | None = None
    attempts: tuple[Attempt, ...] = ()
    url: str = ""
    versions: Mapping[str, str] = field(factory=dict)
    provenance: Provenance | None = None

    @property
    def experiment(self) -> str:
        """The group that the run belongs to."""
        return self.job.experiment

    @property
    def state(self) -> RunState:
        """The last state."""
        return self.transitions[-1].state

    @property
    def created_at(self) -> datetime:
        """When it was submitted, UTC."""
        return self.transitions[0].at

    @property
    def started_at(self) -> datetime | None:
        """When its code began to run, UTC; None if it hasn't."""
        return next((t.at for t in self.transitions if t.state is RunState.RUNNING), None)

    @property
    def finished_at(self) -> datetime | None:
        """When it reached its terminal state, UTC; None if it hasn't."""
        return self.transitions[-1].at if self.state.is_terminal else None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """How long it was in each state, oldest first; a retried run has those of every attempt."""
        return phases(self.transitions)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return {point.name: point.value for point in self.points}

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from mnistkit.runs.views import run_html

        return run_html(self)


_WAY = ("Queued", "Preparing", "Running", "Finalizing")


@frozen(kw_only=True)
class Phase:
    """A stretch of a run in one state.

    Attributes:
        state: The state.
        started_at: When the run entered it, UTC.
        ended_at: When it left it, UTC; None if it is in it.
        attempt: Which try at the job it belongs to, from 1.
    """

    state: RunState
    started_at: datetime
    ended_at: datetime | None = None
    attempt: int = 1

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far; never below 0."""
        end = self.ended_at or datetime.now(timezone.utc)
        return max((end - self.started_at) / timedelta(seconds=1), 0.0)


def phases(transitions: Sequence[Transition]) -> tuple[Phase, ...]:
    """The stretches between transitions, oldest first; a terminal state is none.

    A state that comes no later on the way of a run than the one before it begins another attempt.
    """
    return tuple(_phases(transitions))


def _phases(transitions: Sequence[Transition]) -> Iterator[Phase]:
    attempt, reached = 1, -1
    ends = [transition.at for transition in transitions[1:]]
    for index, transition in enumerate(transitions):
        state = transition.state
        if state.is_terminal:
            continue
        if state.value in _WAY:
            position = _WAY.index(state.value)
            attempt += position <= reached
            reached = position
        end = ends[index] if index < len(ends) else None
        yield Phase(state=state, started_at=transition.at, ended_at=end, attempt=attempt)
