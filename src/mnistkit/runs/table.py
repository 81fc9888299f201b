"""Tables of runs: a sequence of them that can be filtered, sorted, shown and exported."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from mnistkit.errors import MissingExtraError, NotFoundError, StorageError, UsageError
from mnistkit.runs.backend import ComputeBackend, SupportsRunRows
from mnistkit.runs.cells import run_cells
from mnistkit.runs.columns import FIXED_COLUMNS, Columns, sorted_rows
from mnistkit.runs.filter import parse_filter
from mnistkit.runs.record import RunState
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run
from mnistkit.utils.clock import utc_time
from mnistkit.utils.files import write_atomically
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Summary
from mnistkit.utils.text import safe

if TYPE_CHECKING:  # an optional dependency
    import pandas as pd

__all__ = ["RunTable"]

_MAX_ROWS = 20


class RunTable(Sequence[Run]):
    """Some runs of one backend: a sequence of `Run`, with the values that they are chosen by at hand.

    A table is as of the moment at which it was made. Its runs are read when they are taken out of it.

    Attributes:
        rows: The runs' values, in the table's order.
        columns: The names that filters and sort orders may use: those of all runs that the table was made of.
    """

    def __init__(
        self, backend: ComputeBackend, rows: Iterable[RunRow], *, columns: Columns | None = None,
        runs: dict[str, Run] | None = None,
    ) -> None:  # fmt: skip
        self._backend = backend
        self.rows = tuple(rows)
        self.columns = Columns(self.rows) if columns is None else columns
        self._runs = {} if runs is None else runs

    @classmethod
    def of(cls, backend: ComputeBackend, experiment: str | None = None) -> RunTable:
        """Return the table of all runs of a backend, or of one experiment, newest first."""
        if isinstance(backend, SupportsRunRows):
            return cls(backend, backend.run_rows(experiment))
        return cls.of_runs(backend, [Run(backend, record) for record in backend.runs(experiment)])

    @classmethod
    def of_runs(cls, backend: ComputeBackend, runs: Iterable[Run]) -> RunTable:
        """Return the table of some runs of a backend, in their order, as of their last poll."""
        by_id = {run.id: run for run in runs}
        return cls(backend, [RunRow.of(run.record) for run in by_id.values()], runs=by_id)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunTable: ...
    def __getitem__(self, index: int | slice) -> Run | RunTable:
        if isinstance(index, slice):
            return self._with(self.rows[index])
        run_id = self.rows[index].id
        if run_id not in self._runs:
            self._runs[run_id] = Run(self._backend, self._backend.get(run_id))
        return self._runs[run_id]

    def filter(self, where: str) -> RunTable:
        """Return the runs that match, such as ``accuracy > 0.92 and data == 'mnist' and params.C <= 1``.

        See `mnistkit.runs.parse_filter` for the grammar.

        Raises:
            UnknownNameError: No run has a value of that name; lists the names that there are.
            UsageError: It can't be read; says where, and what is expected there.
        """
        parsed = parse_filter(where)
        return self._with(parsed.apply(self.rows, self.columns)) if self.columns.is_known else self

    def keep(self, matches: Callable[[RunRow], bool]) -> RunTable:
        """Return the runs whose rows match."""
        return self._with(row for row in self.rows if matches(row))

    def sort(self, order: str) -> RunTable:
        """Return the runs in another order, such as ``-accuracy,created``: the highest accuracy first.

        Runs without the value come last.

        Raises:
            UnknownNameError: No run has a value of that name; lists the names that there are.
        """
        return self._with(sorted_rows(self.rows, order, self.columns)) if self.columns.is_known else self

    def best(self, metric: str = "accuracy", mode: Literal["max", "min"] = "max") -> Run:
        """Return the completed run with the best last value of a metric; ties go to the one submitted first.

        Args:
            metric: Such as ``"accuracy"``.
            mode: ``"max"`` if higher is better, ``"min"`` if lower is.

        Raises:
            NotFoundError: No completed run has a finite value of it.
            UsageError: ``mode`` is neither.
        """
        if mode not in {"max", "min"}:
            raise UsageError(f"mode={mode!r}: use 'max' or 'min'.")
        sign = 1 if mode == "max" else -1
        candidates = [
            (sign * row.metrics[metric], -row.created_at, index)
            for index, row in enumerate(self.rows)
            if row.state == RunState.COMPLETED.value and math.isfinite(row.metrics.get(metric, math.nan))
        ]
        if not candidates:
            known = ", ".join(self.columns.names["metrics"]) or "none"
            raise NotFoundError(f"No completed run of {len(self)} has a finite {metric!r}; their metrics: {known}.")
        return self[max(candidates)[2]]

    def table(self) -> list[dict[str, Any]]:
        """Return a row per run, in order.

        Returns:
            Dicts of the columns that every run has, such as ``run``, ``state``, ``created`` (UTC), ``duration``
            (seconds), ``data`` and ``estimator``, and of ``params.C``, ``metrics.accuracy``, ``tags.note`` and so on:
            the same keys for each, None for what a run doesn't have.
        """
        names = {
            "metrics": dict.fromkeys(name for row in self.rows for name in row.metrics),
            "params": dict.fromkeys(name for row in self.rows for name in row.params),  # without defaults of all
            "tags": dict.fromkeys(name for row in self.rows for name in row.tags),
        }
        others = [self.columns.find(f"{group}.{name}") for group, each in names.items() for name in each]
        columns = [*FIXED_COLUMNS.values(), *others]
        found = []
        for row in self.rows:
            values: dict[str, Any] = {column.name: column.get(row) for column in columns}
            for name in ("created", "started", "finished"):
                values[name] = None if values[name] is None else utc_time(values[name])
            found.append(values)
        return found

    def csv(self) -> str:
        """Return `table` as CSV, a line per run; times in ISO 8601, what isn't there is empty."""
        rows = [
            {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
            for row in self.table()
        ]
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [*FIXED_COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `csv` to a file, and return where it is; a file that is there is replaced as a whole.

        Raises:
            StorageError: It can't be written.
        """
        path = Path(path)
        try:
            write_atomically(path, self.csv().encode(errors="backslashreplace"))
        except OSError as error:
            raise StorageError(
                f"The runs can't be written to {path}: {error.strerror or error}. Name a file in an existing folder."
            ) from error
        return path

    def to_pandas(self) -> pd.DataFrame:
        """Return `table` as a pandas DataFrame, a row per run.

        Raises:
            MissingExtraError: pandas isn't installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError(
                "to_pandas needs pandas: python -m pip install pandas. Without it: table() and to_csv()."
            ) from error
        return pd.DataFrame(self.table())

    def describe(self) -> Summary:
        """Return a row per run, at most 20, with the columns that tell them apart; the best one is highlighted."""
        table = run_cells(self.rows[:_MAX_ROWS], self.columns)
        more = f"The first {_MAX_ROWS} of {len(self)} runs; .table() has all." if len(self) > _MAX_ROWS else ""
        return Summary(title="Runs", facts={"Runs": self._summary()}, tables=(table,), note=more)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def __repr__(self) -> str:
        """Return a title, then a row per run: at most 20."""
        table = run_cells(self.rows[:_MAX_ROWS], self.columns)
        cells = [[" ".join(safe(str(cell)).split()) for cell in row] for row in (table.headings, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells] if self.rows else []
        more = [f"... and {len(self) - _MAX_ROWS} more: .table() has all"] if len(self) > _MAX_ROWS else []
        return "\n".join([f"RunTable({self._summary()})", *lines, *more])

    def _summary(self) -> str:
        states = Counter(row.state for row in self.rows)
        return ", ".join([f"{len(self)} run{'s' * (len(self) != 1)}", *(f"{n} {state}" for state, n in states.items())])

    def _with(self, rows: Iterable[RunRow]) -> RunTable:
        return RunTable(self._backend, rows, columns=self.columns, runs=self._runs)
