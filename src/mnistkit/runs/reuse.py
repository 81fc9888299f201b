"""Reuse of earlier runs: which run a job need not repeat, and where the nearest one differs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from attrs import frozen

from mnistkit.jobs.fingerprint import Difference, Fingerprint
from mnistkit.runs.record import RunRecord, RunState

__all__ = ["ReuseDecision", "explain_reuse"]


@frozen(kw_only=True)
class ReuseDecision:
    """The answer to whether an earlier run can be reused for a job, and why or why not: ``str()`` gives the text.

    Attributes:
        run_id: The nearest earlier run; None if there is none to compare with.
        state: That run's state.
        differences: The items in which the job and that run differ.
    """

    run_id: str | None = None
    state: RunState | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def reuses(self) -> bool:
        """Return True if that run is the same, and completed."""
        return self.state is RunState.COMPLETED and not self.differences

    def __str__(self) -> str:
        """Return a line if there is a run to reuse, else each difference from the nearest one."""
        if self.run_id is None:
            return "Nothing to reuse: there is no earlier run to compare with."
        if self.reuses:
            return f"Run {self.run_id} can be reused: it had the same code, parameters, data, libraries and seed."
        if not self.differences:
            return f"Nothing to reuse: run {self.run_id} is the same, but it is {self.state}."
        lines = [f"Nothing to reuse: the nearest run, {self.run_id}, differs (old -> new) in"]
        for part, differences in groupby(self.differences, key=lambda difference: difference.part):
            lines += [f"  {part}", *(f"    {difference}" for difference in differences)]
        return "\n".join(lines)


def explain_reuse(wanted: Fingerprint, records: Iterable[RunRecord]) -> ReuseDecision:
    """Compare a job's fingerprint with those of earlier runs.

    The nearest run has the fewest parts that differ, then the fewest items; of equals a completed one, then the newest.

    Args:
        wanted: The fingerprint of the job.
        records: Earlier runs; those without a fingerprint don't count.
    """
    compared = [(r, wanted.differences(r.job.fingerprint)) for r in records if r.job.fingerprint is not None]
    if not compared:
        return ReuseDecision()
    record, differences = min(compared, key=_distance)
    return ReuseDecision(run_id=record.id, state=record.state, differences=differences)


def _distance(compared: tuple[RunRecord, tuple[Difference, ...]]) -> tuple[int, int, bool, float]:
    record, differences = compared
    parts = {difference.part for difference in differences}
    return len(parts), len(differences), record.state is not RunState.COMPLETED, -record.created_at.timestamp()
