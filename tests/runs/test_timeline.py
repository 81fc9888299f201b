"""How long a run was in each state."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunRecord, RunState, Transition

START = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


def record(*states: tuple[str, float]) -> RunRecord:
    """A run that entered each state so many seconds after the start."""
    transitions = tuple(Transition(RunState(name), START + timedelta(seconds=at)) for name, at in states)
    return RunRecord(
        id="run", job=TrainingJob(model=ModelSpec("sklearn.svm.SVC")), data="digits", transitions=transitions
    )


def told(run: RunRecord) -> list[tuple[str, float, int]]:
    """Each phase's state, seconds and attempt."""
    return [(str(phase.state), phase.seconds, phase.attempt) for phase in run.phases]


def test_each_state_lasts_until_the_next() -> None:
    """A completed run has a phase per state but the last one; they add up to how long it took."""
    run = record(("Queued", 0), ("Preparing", 1), ("Running", 3), ("Finalizing", 13), ("Completed", 13.5))
    assert told(run) == [("Queued", 1, 1), ("Preparing", 2, 1), ("Running", 10, 1), ("Finalizing", 0.5, 1)]
    assert sum(phase.seconds for phase in run.phases) == 13.5


def test_the_phase_that_goes_on_has_no_end() -> None:
    """Of a run that goes on the last phase is open, and lasts until now."""
    *_, last = record(("Queued", 0), ("Running", 3)).phases
    assert last.ended_at is None
    assert last.seconds >= (datetime.now(timezone.utc) - START).total_seconds() - 4


def test_attempts_are_counted() -> None:
    """A state that was passed already begins another attempt; a request to cancel begins none."""
    run = record(
        ("Queued", 0), ("Preparing", 1), ("Running", 2), ("Preparing", 5), ("Running", 6), ("CancelRequested", 7),
        ("Canceled", 9),
    )  # fmt: skip
    assert [attempt for *_, attempt in told(run)] == [1, 1, 1, 2, 2, 2]
    skipping = record(("Queued", 0), ("Running", 1), ("Running", 2), ("Failed", 3))
    assert [attempt for *_, attempt in told(skipping)] == [1, 1, 2]


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    """A phase that seems to end before it began took no time."""
    assert told(record(("Queued", 5), ("Failed", 0))) == [("Queued", 0.0, 1)]
