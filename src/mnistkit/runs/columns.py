"""The columns of lists of runs, by the names that people write in filters, sort orders and lists of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from attrs import frozen

from mnistkit.errors import UnknownNameError, UsageError
from mnistkit.jobs.parameters import Scalar
from mnistkit.runs.row import RunRow

__all__ = ["FIXED_COLUMNS", "Column", "ColumnKind", "Columns", "as_number", "is_missing", "sorted_rows"]

ColumnKind = Literal["text", "number", "time", "duration", "any"]
"""How a column's values are compared and shown; ``"any"`` are parameters and tags, which may be numbers or text."""

_MAX_KNOWN = 40
_GROUPS = ("metrics", "params", "tags")


@frozen
class Column:
    """One value of each run.

    Attributes:
        name: As it is written.
        kind: How its values are compared and shown.
        get: Returns the value of a row; None if the run has none.
    """

    name: str
    kind: ColumnKind
    get: Callable[[RunRow], Scalar]


FIXED_COLUMNS: Final[Mapping[str, Column]] = {
    column.name: column
    for column in (
        Column("run", "text", lambda row: row.id),
        Column("state", "text", lambda row: row.state),
        Column("created", "time", lambda row: row.created_at),
        Column("started", "time", lambda row: row.started_at),
        Column("finished", "time", lambda row: row.finished_at),
        Column("duration", "duration", lambda row: row.duration),
        Column("experiment", "text", lambda row: row.experiment),
        Column("data", "text", lambda row: row.data),
        Column("estimator", "text", lambda row: row.model),
        Column("seed", "number", lambda row: row.seed),
        Column("limit", "number", lambda row: row.limit),
        Column("host", "text", lambda row: row.host or None),
        Column("error", "text", lambda row: row.error or None),
        Column("note", "text", lambda row: row.note or None),
    )
}
"""The columns that every run has, by name."""


class Columns:
    """The columns of some runs: the fixed ones, and their metrics, parameters and tags.

    Attributes:
        names: The names of the metrics, parameters and tags, by group, in the order in which they come up.
        is_known: False if there was no run to take them from: then any name may be right.
    """

    def __init__(self, rows: Sequence[RunRow]) -> None:
        found: dict[str, dict[str, None]] = {group: {} for group in _GROUPS}
        defaults: dict[str, None] = {}
        seen: set[int] = set()
        for row in rows:
            found["metrics"].update(dict.fromkeys(row.metrics))
            found["params"].update(dict.fromkeys(row.params))
            if id(row.defaults) not in seen:  # many rows share them
                seen.add(id(row.defaults))
                defaults.update(dict.fromkeys(row.defaults))
            found["tags"].update(dict.fromkeys(row.tags))
        found["params"].update(defaults)  # those that someone set come first
        self.names: Mapping[str, tuple[str, ...]] = {group: tuple(names) for group, names in found.items()}
        self.is_known = bool(rows)

    def find(self, name: str) -> Column:
        """Return the column of a name: a fixed one, ``metrics.accuracy``, ``params.C``, ``tags.sweep``, or these alone.

        Raises:
            UnknownNameError: No run has it; lists those that there are.
            UsageError: A metric, a parameter or a tag may be meant.
        """
        if name in FIXED_COLUMNS:
            return FIXED_COLUMNS[name]
        group, dot, rest = name.partition(".")
        if dot and group in _GROUPS and rest in self.names[group]:
            return _column(name, group, rest)
        groups = [each for each in _GROUPS if name in self.names[each]]
        if len(groups) > 1:
            raise UsageError(f"{name!r} could be any of {', '.join(f'{each}.{name}' for each in groups)}: write which.")
        if not groups:
            raise UnknownNameError(f"No run has {name!r:.80}. There are {self.known()}.")
        return _column(name, groups[0], name)

    def known(self) -> str:
        """Return the names that `find` takes, in one line; at most 40 of each group."""
        parts = [", ".join(FIXED_COLUMNS)]
        for group, names in self.names.items():
            more = f" and {len(names) - _MAX_KNOWN} more" if len(names) > _MAX_KNOWN else ""
            if names:
                parts.append(", ".join(f"{group}.{name}" for name in names[:_MAX_KNOWN]) + more)
        return "; ".join(parts)


def sorted_rows(rows: Sequence[RunRow], order: str, columns: Columns) -> list[RunRow]:
    """Return rows in another order; those with equal values keep theirs, those without a value come last.

    Args:
        rows: In any order.
        order: Names separated by commas, the most important first; descending with a hyphen before it:
            ``"-accuracy,created"``.
        columns: Those of the runs.

    Raises:
        UnknownNameError: No run has such a value.
        UsageError: It names nothing.
    """
    keys = [each.strip() for each in order.split(",")]
    if not all(key.lstrip("-") for key in keys):
        raise UsageError(f"sort={order!r:.80}: write names separated by commas, such as -accuracy,created.")
    found = list(rows)
    for key in reversed(keys):  # a stable sort by the least important name first
        is_descending = key.startswith("-")
        column = columns.find(key.removeprefix("-"))
        present = [row for row in found if not is_missing(column.get(row))]
        missing = [row for row in found if is_missing(column.get(row))]
        present.sort(key=lambda row: _rank(column, row), reverse=is_descending)
        found = present + missing
    return found


def _column(name: str, group: str, key: str) -> Column:
    if group == "metrics":
        return Column(name, "number", lambda row: row.metrics.get(key))
    if group == "params":
        return Column(name, "any", lambda row: row.param(key))
    return Column(name, "any", lambda row: row.tags.get(key))


def is_missing(value: Scalar) -> bool:
    """Return True for None and NaN, which compare with nothing."""
    return value is None or value != value  # noqa: PLR0124 - NaN


def as_number(value: Scalar) -> float | None:
    """Return the number that a parameter or tag is, or that its text reads as; None if it is none, or a bool."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _rank(column: Column, row: RunRow) -> tuple[bool, float, str]:
    """Return what a row is sorted by: numbers before text."""
    value = column.get(row)
    number = as_number(value) if column.kind != "text" else None
    return (True, 0.0, str(value)) if number is None else (False, number, "")
