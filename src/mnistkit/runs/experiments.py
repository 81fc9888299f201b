"""Experiments: the groups that runs belong to, with their numbers of runs and their best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from mnistkit.runs.cells import key_metric
from mnistkit.runs.record import RunState
from mnistkit.runs.row import RunRow

__all__ = ["ExperimentSummary", "summarize_experiments"]


@frozen(kw_only=True)
class ExperimentSummary:
    """The runs of one experiment, counted.

    Attributes:
        name: The experiment.
        runs: The number of its runs.
        states: The number of runs in each state that occurs.
        data: The uris of their data.
        metric: The metric that ``best`` is about; None if no run logged one.
        best: The highest last value of a completed run; None if there is none.
        best_run: The id of that run.
        last_at: When the newest run was submitted, in seconds since 1970-01-01 UTC.
    """

    name: str
    runs: int
    states: Mapping[str, int] = field(factory=dict)
    data: tuple[str, ...] = ()
    metric: str | None = None
    best: float | None = None
    best_run: str | None = None
    last_at: float = 0.0


def summarize_experiments(rows: Iterable[RunRow]) -> tuple[ExperimentSummary, ...]:
    """Return the experiments of some runs, that with the newest run first.

    The best is the run with the highest accuracy; without one, that with the highest value of the metric which most of
    its runs have.
    """
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        groups.setdefault(row.experiment, []).append(row)
    found = [_summary(name, group) for name, group in groups.items()]
    return tuple(sorted(found, key=lambda each: each.last_at, reverse=True))


def _summary(name: str, rows: Sequence[RunRow]) -> ExperimentSummary:
    metric = key_metric(rows)
    completed = [
        row
        for row in rows
        if metric is not None
        and row.state == RunState.COMPLETED.value
        and math.isfinite(row.metrics.get(metric, math.nan))
    ]
    best = max(completed, key=lambda row: (row.metrics[str(metric)], -row.created_at), default=None)
    return ExperimentSummary(
        name=name,
        runs=len(rows),
        states=dict(Counter(row.state for row in rows)),
        data=tuple(dict.fromkeys(row.data for row in rows)),
        metric=metric,
        best=None if best is None else best.metrics[str(metric)],
        best_run=None if best is None else best.id,
        last_at=max(row.created_at for row in rows),
    )
