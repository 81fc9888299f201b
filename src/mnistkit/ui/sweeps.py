"""The sweeps of a list of runs, as values for a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from attrs import frozen

from mnistkit.runs.cells import key_metric
from mnistkit.runs.row import RunRow
from mnistkit.utils.text import number

__all__ = ["SweepRow", "sweep_rows"]


@frozen(kw_only=True)
class SweepRow:
    """A sweep in the list of them.

    Attributes:
        name: What ``tags["sweep"]`` of its runs holds.
        n: The number of its runs.
        states: How many of them are in each state, in words.
        data: The uris of their data.
        metric: The metric that matters most in them; empty without any.
        best: The id of the completed run with the highest value of it; empty without one.
        value: That value, as text.
        created_at: When its newest run was submitted, in seconds since 1970-01-01 UTC.
    """

    name: str
    n: int
    states: str
    data: str
    metric: str = ""
    best: str = ""
    value: str = ""
    created_at: float


def sweep_rows(rows: Iterable[RunRow]) -> list[SweepRow]:
    """Return the sweeps that these runs belong to, the newest first."""
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        if name := row.tags.get("sweep"):
            groups.setdefault(name, []).append(row)
    found = [_sweep_row(name, group) for name, group in groups.items()]
    return sorted(found, key=lambda each: each.created_at, reverse=True)


def _sweep_row(name: str, rows: list[RunRow]) -> SweepRow:
    metric = key_metric(rows) or ""
    measured = [row for row in rows if row.state == "Completed" and math.isfinite(row.metrics.get(metric, math.nan))]
    best = max(measured, key=lambda row: row.metrics[metric], default=None)
    return SweepRow(
        name=name,
        n=len(rows),
        states=", ".join(f"{n} {state}" for state, n in Counter(row.state for row in rows).items()),
        data=", ".join(sorted({row.data for row in rows})),
        metric=metric,
        best=best.id if best else "",
        value=number(best.metrics[metric]) if best else "",
        created_at=max(row.created_at for row in rows),
    )
