"""Rows of runs as a table for people: which columns tell runs apart, and how their values are written."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Sequence

from mnistkit.jobs.parameters import Scalar
from mnistkit.runs.columns import Column, Columns
from mnistkit.runs.row import RunRow
from mnistkit.utils.clock import utc_time
from mnistkit.utils.summary import SummaryTable
from mnistkit.utils.text import duration, local_time, number

__all__ = ["default_columns", "key_metric", "model_texts", "run_cells"]

_MAX_MODEL_CHARS = 72
_MAX_TAGS_CHARS = 48
_MAX_CELL_CHARS = 60
_NUMERIC = {"number", "time", "duration"}

_Cell = Callable[[int], str]


def run_cells(rows: Sequence[RunRow], columns: Columns, names: Sequence[str] = (), title: str = "Runs") -> SummaryTable:
    """Return a table of runs, a row each, as text.

    Args:
        rows: The runs.
        columns: Those of all runs that there are.
        names: The columns, as `Columns.find` takes them; also ``tags``, which is all tags of a run in one cell. None
            for those that tell these runs apart; ``run`` comes first in any case.
        title: Of the table.

    Raises:
        UnknownNameError: No run has a value of that name; lists the names that there are.
    """
    shown = dict.fromkeys(["run", *(names or default_columns(rows))])
    writers = {name: _writer(name, rows, columns) for name in shown}
    short = {name: name.removeprefix("metrics.").removeprefix("params.") for name in writers}
    is_clear = len(set(short.values())) == len(short)
    return SummaryTable(
        title=title,
        columns=tuple(
            f"{short[name] if is_clear else name}{'#' * is_numeric}" for name, (is_numeric, _) in writers.items()
        ),
        rows=[[write(index) for _, write in writers.values()] for index in range(len(rows))],
    )


def default_columns(rows: Sequence[RunRow]) -> list[str]:
    """Return the columns that a list of these runs shows; those that are empty for all of them are left out.

    The hosts are shown if any of them is another one than this machine.
    """
    metric = key_metric(rows)
    names = ["run", "state", "created", "duration"]
    names += [f"metrics.{metric}"] if metric is not None else []
    names += ["data", "estimator", "experiment"]
    names += ["host"] if {row.host for row in rows} - {"", socket.gethostname()} else []
    names += ["tags"] if any(row.tags for row in rows) else []
    return [*names, "note"] if any(row.note for row in rows) else names


def key_metric(rows: Sequence[RunRow]) -> str | None:
    """Return the metric to show of these runs: accuracy, else the one that most of them have; None without any."""
    counts = Counter(name for row in rows for name in row.metrics)
    return "accuracy" if "accuracy" in counts else max(counts, key=counts.__getitem__, default=None)


def model_texts(rows: Sequence[RunRow]) -> list[str]:
    """Return for each run its estimator or script, with the parameters, seed and limit that differ among them.

    Those that all runs of an estimator share are left out, unless these runs don't differ at all.
    """
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        groups.setdefault(row.model, []).append(row)
    varying = {model: _varying(group) for model, group in groups.items()}
    return [_model_text(row, varying[row.model]) for row in rows]


def _settings(row: RunRow) -> dict[str, Scalar]:
    own = {"seed": row.seed, "limit": row.limit}  # a script may have options of these names
    return {**{name: value for name, value in own.items() if value is not None}, **row.defaults, **row.params}


def _varying(group: Sequence[RunRow]) -> list[str]:
    """Return the names of the settings that differ; of those that were set, all names if none differs."""
    settings = [_settings(row) for row in group]
    is_set = dict.fromkeys([*(name for row in group for name in row.params), "seed", "limit"])
    names = dict.fromkeys([*is_set, *(name for each in settings for name in each)])
    found = [name for name in names if len({str(each.get(name)) for each in settings}) > 1]
    return found or [name for name in is_set if name != "seed"]


def _model_text(row: RunRow, names: Sequence[str]) -> str:
    settings = _settings(row)
    shown = [name for name in names if name in row.params or settings.get(name) is not None]
    inside = ", ".join(f"{name}={_parameter(settings[name])}" for name in shown)
    return _cut(f"{row.model}({inside})" if inside else row.model, _MAX_MODEL_CHARS)


def _parameter(value: Scalar) -> str:
    return number(value) if isinstance(value, float) and value != round(value, 1) else str(value)


def _writer(name: str, rows: Sequence[RunRow], columns: Columns) -> tuple[bool, _Cell]:
    """Return whether a column is one of numbers, and what writes the cell of the run at an index."""
    if name == "estimator":
        texts = model_texts(rows)
        return False, lambda index: texts[index]
    if name == "tags":
        return False, lambda index: _tags(rows[index])
    column = columns.find(name)
    return column.kind in _NUMERIC, lambda index: _text(column, column.get(rows[index]))


def _text(column: Column, value: Scalar) -> str:
    if value is None:
        return "-" if column.kind in _NUMERIC else ""
    if column.kind == "time":
        return local_time(utc_time(float(value)))
    if column.kind == "duration":
        return duration(float(value))
    return number(value) if isinstance(value, float) else _cut(" ".join(str(value).split()), _MAX_CELL_CHARS)


def _tags(row: RunRow) -> str:
    return _cut(", ".join(f"{key}={value}" for key, value in row.tags.items()), _MAX_TAGS_CHARS)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
