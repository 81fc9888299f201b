"""Figures of logged series: a metric over the steps of one run or several."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import cycle
from typing import TYPE_CHECKING, Any

from mnistkit.errors import NotFoundError
from mnistkit.plots.canvas import COLOURS, MARKS, axes_of, drawn_on, key, plain
from mnistkit.runs.cells import model_texts
from mnistkit.runs.record import RunRecord
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["series", "series_names"]

_MAX_MARKED_POINTS = 40
_ID_TAIL_CHARS = 6


def series(
    runs: Run | RunRecord | Iterable[Run], metric: str | None = None, *, log: bool = False, ax: Axes | None = None
) -> Figure:
    """Draw a metric over the steps of a run, or of several runs, a line each; values that aren't finite are left out.

    Args:
        runs: A run, as of its last poll, its record, or several runs.
        metric: Such as ``"objective"``; None for the first that was logged more than once.
        log: Whether the axis of the metric is logarithmic.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure. Without steps, the values are numbered.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        NotFoundError: No run has logged the metric twice; lists those that were.
    """
    records = [_record(run) for run in ([runs] if isinstance(runs, (Run, RunRecord)) else runs)]
    known = list(dict.fromkeys(name for record in records for name in series_names(record)))
    name = metric if metric is not None or not known else known[0]
    if name not in known:
        raise NotFoundError(
            f"No run has logged {metric!r} more than once; over several steps there is {', '.join(known) or 'nothing'}."
        )
    lines = [(record, _points(record, name)) for record in records if name in series_names(record)]
    labels = model_texts([RunRow.of(record) for record, _ in lines])
    axes = axes_of(ax)
    for (record, points), label, colour, mark in zip(lines, labels, cycle(COLOURS), cycle(MARKS), strict=False):
        style: dict[str, Any] = {"marker": mark, "markersize": 4} if len(points) <= _MAX_MARKED_POINTS else {}
        text = plain(f"{record.id[-_ID_TAIL_CHARS:]} {label}")
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, label=text, **style)
    if log:
        axes.set_yscale("log")
    of = f"run {records[0].id}" if len(lines) == 1 else f"{len(lines)} runs"
    axes.set(xlabel="step", ylabel=plain(name), title=plain(f"{name} of {of}"))
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    if len(lines) > 1:
        key(axes, points=8)
    figure: Figure = drawn_on(axes)
    return figure


def series_names(record: RunRecord) -> list[str]:
    """Return the metrics of which a run has logged at least two finite values, in the order in which they came."""
    counts: dict[str, int] = {}
    for point in record.points:
        counts[point.name] = counts.get(point.name, 0) + math.isfinite(point.value)
    return [name for name, n in counts.items() if n > 1]


def _record(run: Run | RunRecord) -> RunRecord:
    return run.record if isinstance(run, Run) else run


def _points(record: RunRecord, metric: str) -> list[tuple[int, float]]:
    found = [point for point in record.points if point.name == metric]
    numbered = [(i if point.step is None else point.step, point.value) for i, point in enumerate(found)]
    return [(step, value) for step, value in numbered if math.isfinite(value)]
