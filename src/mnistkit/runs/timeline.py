"""How long a run was in each state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:  # a record offers its phases
    from mnistkit.runs.run import RunState, Transition

__all__ = ["Phase", "phases"]

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
