"""The data of the page of many runs, as values of JSON that the page's script reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from mnistkit.errors import MnistkitError
from mnistkit.runs.cells import key_metric, model_texts
from mnistkit.runs.record import MetricPoint
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable
from mnistkit.utils.redaction import redacted
from mnistkit.utils.text import safe

__all__ = ["overview_data", "row_data", "series_data"]

_MAX_TEXT_CHARS = 400
_MAX_ITEMS = 60
_MAX_SERIES = 8
_MAX_POINTS = 120
_MAX_ALL_POINTS = 120_000
_DIGITS = 6


def overview_data(table: RunTable, *, series: bool = True) -> dict[str, Any]:
    """Return what the page shows of some runs: a value per run, and the curves of the metrics that they logged.

    Texts are cut, what looks like a secret is masked, and long series are thinned, so that a thousand runs stay below
    a few megabytes.

    Args:
        table: The runs, in the order in which they are shown first.
        series: Whether to read each run's logged values; without them there are no curves.

    Returns:
        ``runs`` (a list of `row_data`), ``metric`` (the one that matters most, or None), and by run id ``series``.
    """
    _text.cache_clear()  # what is a secret depends on the environment, which may have changed
    rows = table.rows
    texts = model_texts(rows)
    budget = _MAX_ALL_POINTS
    curves: dict[str, Any] = {}
    for index, row in enumerate(rows if series else ()):
        found = _series_of(table, index, min(_MAX_POINTS, max(budget // max(len(rows) - index, 1), 2)))
        budget -= sum(len(points) for points in found.values())
        if found:
            curves[row.id] = found
    return {
        "metric": key_metric(rows),
        "runs": [row_data(row, text) for row, text in zip(rows, texts, strict=True)],
        "series": curves,
    }


def row_data(row: RunRow, text: str) -> dict[str, Any]:
    """Return what the page shows of one run: text is safe to show, numbers that aren't finite are text.

    Args:
        row: The run.
        text: Its estimator, with what tells it apart; see `mnistkit.runs.cells.model_texts`.
    """
    return {
        "id": _text(row.id),
        "state": row.state,
        "created": row.created_at,
        "duration": row.duration,
        "experiment": _text(row.experiment),
        "data": _text(row.data),
        "estimator": _text(text),
        "seed": row.seed,
        "limit": row.limit,
        "note": _text(row.note),
        "error": _text(row.error),
        "params": _items(row.params),
        "metrics": _items(row.metrics),
        "tags": _items(row.tags),
    }


def series_data(points: Iterable[MetricPoint], max_points: int = _MAX_POINTS) -> dict[str, list[list[float]]]:
    """Return the logged series with at least two finite values, by metric: ``[step, value]`` in the order of logging.

    A series without steps is numbered. A long one is thinned to its extremes: of each stretch the lowest and the
    highest value stay, so that no peak is lost.
    """
    found: dict[str, list[list[float]]] = {}
    for point in points:
        if math.isfinite(point.value):
            of_metric = found.setdefault(point.name, [])
            of_metric.append([len(of_metric) if point.step is None else point.step, _rounded(point.value)])
    several = {name: each for name, each in found.items() if len(each) > 1}
    return {_text(name): _thinned(each, max_points) for name, each in list(several.items())[:_MAX_SERIES]}


def _series_of(table: RunTable, index: int, max_points: int) -> dict[str, list[list[float]]]:
    with suppress(MnistkitError, OSError):  # deleted, or damaged, since the table was made
        run: Run = table[index]
        return series_data(run.record.points, max_points)
    return {}


def _thinned(points: list[list[float]], n: int) -> list[list[float]]:
    if len(points) <= n:
        return points
    width = 2 * len(points) / n
    kept: list[list[float]] = [points[0]]
    for start in range(max(n // 2 - 1, 1)):
        stretch = points[int(start * width) : int((start + 1) * width)] or [points[-1]]
        lowest, highest = min(stretch, key=_value), max(stretch, key=_value)
        kept += [lowest, highest] if lowest[0] <= highest[0] else [highest, lowest]
    return [*kept, points[-1]]


def _value(point: Sequence[float]) -> float:
    return point[1]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _items(items: Mapping[str, Any]) -> dict[str, Any]:
    return {_text(name): _plain(value) for name, value in list(items.items())[:_MAX_ITEMS]}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return _rounded(value) if math.isfinite(value) else str(value)
    return _text(value) if isinstance(value, str) else value


@lru_cache(20_000)
def _text(text: str) -> str:
    """Return a text that is safe to show; many runs share theirs, and looking for secrets takes its time."""
    text = safe(redacted(text))
    return text if len(text) <= _MAX_TEXT_CHARS else f"{text[: _MAX_TEXT_CHARS - 3]}..."
