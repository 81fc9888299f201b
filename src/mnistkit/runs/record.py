"""The record of a run, as values: states, metrics, attempts."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import zip_longest

from attrs import field, frozen

from mnistkit.jobs.job import Job, RetryCause
from mnistkit.jobs.provenance import Provenance
from mnistkit.runs.points import MetricPoint
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Cell, Span, Summary, SummaryTable, Text
from mnistkit.utils.text import duration, local_time

__all__ = ["Attempt", "MetricPoint", "Phase", "RunRecord", "RunState", "Transition", "phases"]

_MAX_TRACEBACK_CHARS = 20_000
_DIGEST_CHARS = 12


class RunState(str, enum.Enum):
    """The state of a run, in Azure ML's words."""

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
        """True if no other state can follow."""
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
        tags: The job's tags, those set while it ran, and those set afterwards.
        note: Text that was added afterwards; empty without one.
        error: One line, if it failed.
        traceback: Where it failed, if that is known; else the last lines of its log.
        attempts: The tries at it that have ended, in order; more than one only if the job has ``retries``.
        url: Where a person can look at it: a folder or a web page.
        versions: Of Python and the libraries that ran it.
        provenance: Where it was submitted from; None if that wasn't kept.
        host: The machine that runs it, as its backend names it; empty if that isn't known.
        waits_for: What a Queued run waits for, in a sentence, where the backend can tell.
    """

    id: str
    job: Job
    data: str
    transitions: tuple[Transition, ...]
    points: tuple[MetricPoint, ...] = ()
    files: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(factory=dict)
    note: str = ""
    error: str | None = None
    traceback: str | None = None
    attempts: tuple[Attempt, ...] = ()
    url: str = ""
    versions: Mapping[str, str] = field(factory=dict)
    provenance: Provenance | None = None
    host: str = ""
    waits_for: str = ""

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
        """The stretches of time in each state, oldest first; a retried run has those of every attempt."""
        return phases(self.transitions)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return {point.name: point.value for point in self.points}

    def describe(self) -> Summary:
        """Return its state, what it runs, its times, metrics, attempts and files."""
        ended = self.finished_at
        return Summary(
            title=f"Run {self.id}",
            state=str(self.state),
            facts={
                "Error": self.error,
                "Waits for": self.waits_for or None,
                **self.job.describe().facts,
                "Data": self.data,
                "Experiment": self.experiment,
                "Created": local_time(self.created_at),
                "Took": duration((ended - self.created_at).total_seconds()) if ended else None,
                "Tags": "\n".join(f"{key}={value}" for key, value in self.tags.items()),
                "Note": self.note,
                "Ran on": self.host or None,
                "Kept in": self.url,
            },
            timeline=tuple(Span(_label(phase), phase.seconds, str(phase.state)) for phase in self.phases),
            tables=_tables(self),
            texts=(
                Text(title="Traceback", text=(self.traceback or "").strip()[-_MAX_TRACEBACK_CHARS:]),
                Text(
                    title=f"Files ({len(self.files):,})",
                    text="\n".join(name.replace("\n", "\\n") for name in self.files),
                ),
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())


_STATE_ORDER = ("Queued", "Preparing", "Running", "Finalizing")


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
        """The time that it took, or has taken so far; never below 0."""
        end = self.ended_at or datetime.now(timezone.utc)
        return max((end - self.started_at) / timedelta(seconds=1), 0.0)


def phases(transitions: Sequence[Transition]) -> tuple[Phase, ...]:
    """Return the stretches between transitions, oldest first; a terminal state is none.

    A state that comes no later on the way of a run than the one before it begins another attempt.
    """
    found: list[Phase] = []
    attempt, reached = 1, -1
    ends = [transition.at for transition in transitions[1:]]
    for index, transition in enumerate(transitions):
        state = transition.state
        if state.is_terminal:
            continue
        if state.value in _STATE_ORDER:
            position = _STATE_ORDER.index(state.value)
            attempt += position <= reached
            reached = position
        end = ends[index] if index < len(ends) else None
        found.append(Phase(state=state, started_at=transition.at, ended_at=end, attempt=attempt))
    return tuple(found)


def _label(phase: Phase) -> str:
    return str(phase.state) if phase.attempt == 1 else f"{phase.state} (attempt {phase.attempt})"


def _tables(record: RunRecord) -> tuple[SummaryTable, ...]:
    states = [
        (
            _label(phase) if phase else str(entered.state),
            local_time(entered.at),
            duration(phase.seconds) if phase else "",
        )
        for entered, phase in zip_longest(record.transitions, record.phases)
    ]
    known = record.job.fingerprint
    digests = {**known.digests, "whole": known.digest} if known else {}
    tables: tuple[tuple[str, tuple[str, ...], Iterable[tuple[Cell, ...]], bool], ...] = (
        ("Metrics", ("metric", "value#"), record.metrics.items(), False),
        ("Attempts", ("attempt#", "ended by", "took#", "process", "error"), _attempts(record), False),
        ("States", ("state", "entered", "took#"), states, True),
        ("Submitted from", ("what", "value"), _origin(record.provenance), True),
        ("Versions", ("library", "version"), record.versions.items(), True),
        ("Fingerprint", ("part", "sha256"), [(part, digest[:_DIGEST_CHARS]) for part, digest in digests.items()], True),
    )
    return tuple(
        SummaryTable(title=title, columns=columns, rows=rows, is_folded=is_folded)
        for title, columns, rows, is_folded in tables
    )


def _attempts(record: RunRecord) -> list[tuple[str, ...]]:
    """Return a row per attempt; none for a single one, which the run's own state and error describe."""
    if len(record.attempts) + (not record.state.is_terminal) < 2:  # noqa: PLR2004 - several
        return []
    return [
        (
            str(index),
            attempt.cause or "its end",
            duration((attempt.ended_at - attempt.started_at).total_seconds()),
            attempt.signal or ("" if attempt.exit_code is None else f"exit code {attempt.exit_code}"),
            attempt.error or "",
        )
        for index, attempt in enumerate(record.attempts, start=1)
    ]


def _origin(origin: Provenance | None) -> list[tuple[str, str]]:
    if origin is None:
        return []
    changes = ", with changes that aren't in it" if origin.is_dirty else ""
    lines = {
        "commit": f"{origin.commit}{changes}" if origin.commit else "",
        "command": shlex.join(origin.command),
        "platform": origin.platform,
        "seed": "" if origin.seed is None else str(origin.seed),
    }
    return [(name, value) for name, value in lines.items() if value]
