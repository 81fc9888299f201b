"""The result of a sweep: the runs of several trials, as a sequence, a table and files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from attrs import field, frozen

from mnistkit.errors import MissingExtraError, NotFoundError, StorageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run, best_run
from mnistkit.utils.arguments import check_path
from mnistkit.utils.files import write_atomically
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Cell, Summary, SummaryTable
from mnistkit.utils.text import number, safe

if TYPE_CHECKING:  # an optional dependency
    import pandas as pd

__all__ = ["Sweep", "Trial"]

_MAX_ROWS = 20
_WIDTH = 60


@frozen(kw_only=True)
class Trial:
    """One run of a sweep.

    Attributes:
        params: What was tried: values by parameter, as `sklearn.base.BaseEstimator.set_params` takes them.
        run: The run that tried it.
        rung: How far up the ladder of a `Halving` it was, from 0; None without halving.
        reused: Whether the run was there already and was taken as it is.
    """

    params: Mapping[str, Any]
    run: Run
    rung: int | None = None
    reused: bool = False


def _trials(values: Iterable[Trial]) -> tuple[Trial, ...]:
    return tuple(values)


@frozen(repr=False)
class Sweep(Sequence[Run]):
    """The runs of a sweep: a sequence of them in the order of its trials, whatever became of each.

    With halving each combination has a run for every rung that it reached; the rungs follow one another.

    Attributes:
        name: What ``tags["sweep"]`` of its runs holds: a name of yours, or a digest of its trials.
        trials: What was tried, with the run of each.
    """

    name: str
    trials: tuple[Trial, ...] = field(converter=_trials)

    def __len__(self) -> int:
        return len(self.trials)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Run, ...]: ...
    def __getitem__(self, index: int | slice) -> Run | tuple[Run, ...]:
        if isinstance(index, slice):
            return tuple(trial.run for trial in self.trials[index])
        return self.trials[index].run

    @property
    def params(self) -> tuple[dict[str, Any], ...]:
        """The parameters of each run, in the order of the runs."""
        return tuple(dict(trial.params) for trial in self.trials)

    def best(self, metric: str = "accuracy", mode: Literal["max", "min"] = "max") -> Run:
        """The completed run with the best last value of ``metric``; with halving, among those of the last rung.

        NaN and infinite values never win; ties go to the earliest trial.

        Args:
            metric: Such as ``"accuracy"`` or ``"log loss"``.
            mode: ``"max"`` if higher is better, ``"min"`` if lower is.

        Raises:
            NotFoundError: No completed run has a finite value of it; says what each has.
            UsageError: ``mode`` is neither.
        """
        last = max((trial.rung or 0 for trial in self.trials), default=0)
        runs = [trial.run for trial in self.trials if (trial.rung or 0) == last]
        value = best_run(runs, metric, mode=mode).metrics[metric]
        # Runs that were taken over are older than the rest: the order of the trials decides, not that of the clock.
        return next(run for run in runs if run.state is RunState.COMPLETED and run.metrics.get(metric) == value)

    def table(self) -> list[dict[str, Any]]:
        """A row per run, in order.

        Returns:
            Dicts of ``run`` (its id), ``state``, ``rung`` (None without halving), ``limit`` (training images; None
            for all), ``params``, ``metrics`` (last values), ``seconds`` (from Running to the end; None if it never
            ran, or has run so far), ``error`` (one line; None if it didn't fail) and ``reused``.
        """
        return [_row(trial) for trial in self.trials]

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `table` as CSV, a line per run, and return where it is; a file that is there is replaced as a whole.

        Parameters and metrics have a column each, ``params.C`` and ``metrics.accuracy``; what isn't finite is
        ``nan``, ``inf`` or ``-inf``, what isn't there is empty.

        Raises:
            StorageError: It can't be written.
        """
        rows = self._flat_rows()
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
        return _written(path, stream.getvalue())

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write name and `table` as JSON, and return where it is; a file that is there is replaced as a whole.

        What isn't finite is null; a parameter that JSON can't say is its ``repr``.

        Raises:
            StorageError: It can't be written.
        """
        document = {"sweep": self.name, "runs": [_plain(row) for row in self.table()]}
        return _written(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def to_pandas(self) -> pd.DataFrame:
        """`table` as a pandas DataFrame, a row per run, with the columns of `to_csv`.

        Raises:
            MissingExtraError: pandas isn't installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError(
                "to_pandas needs pandas: python -m pip install pandas. Without it: table(), to_csv(), to_json()."
            ) from error
        return pd.DataFrame(self._flat_rows())

    def __repr__(self) -> str:
        """Return a title, then a row per run: at most 20."""
        columns, rows, best = self._shown()
        cells = [["", *map(safe, columns)]]
        cells += [["best" if i == best else "", *map(_cell, row)] for i, row in enumerate(rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells] if rows else []
        more = [f"... and {len(self) - _MAX_ROWS} more: .table() has all"] if len(self) > _MAX_ROWS else []
        return "\n".join([f"Sweep({self.name!r}: {self._summary()})", *lines, *more])

    def describe(self) -> Summary:
        """Return a row per run, at most 20, the best one highlighted."""
        columns, rows, best = self._shown()
        more = f"the first {_MAX_ROWS} of {len(self)} runs; .table() has all" if len(self) > _MAX_ROWS else ""
        numeric = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
        table = SummaryTable(
            title="Runs",
            columns=tuple(f"{name}#" if is_number else name for name, is_number in zip(columns, numeric, strict=True)),
            rows=[[_summary_cell(value) for value in row] for row in rows],
            highlight=best,
        )
        return Summary(title=f"Sweep {self.name}", facts={"Runs": self._summary()}, tables=(table,), note=more)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def _summary(self) -> str:
        states = Counter(str(run.state) for run in self)
        return ", ".join([f"{len(self)} run{'s' * (len(self) != 1)}", *(f"{n} {state}" for state, n in states.items())])

    def _flat_rows(self) -> list[dict[str, Any]]:
        rows = self.table()
        names = {kind: dict.fromkeys(name for row in rows for name in row[kind]) for kind in ("params", "metrics")}
        return [
            {
                **{key: row[key] for key in ("run", "state", "rung", "limit")},
                **{f"{kind}.{name}": row[kind].get(name) for kind, found in names.items() for name in found},
                **{key: row[key] for key in ("seconds", "error", "reused")},
            }
            for row in rows
        ]

    def _shown(self) -> tuple[list[str], list[list[Any]], int | None]:
        """Headings, rows, and which row is the best: for people, so only the columns that hold something."""
        found = self._flat_rows()
        if not any(row["reused"] for row in found):
            found = [{**row, "reused": None} for row in found]
        used = [key for key in (found[0] if found else ()) if any(row[key] is not None for row in found)]
        best = None
        with contextlib.suppress(NotFoundError):
            best = [*self].index(self.best())
        headings = [key.removeprefix("params.").removeprefix("metrics.") for key in used]
        return headings, [[row[key] for key in used] for row in found[:_MAX_ROWS]], best


def _row(trial: Trial) -> dict[str, Any]:
    record = trial.run.record
    started, finished = record.started_at, record.finished_at
    return {
        "run": record.id,
        "state": str(record.state),
        "rung": trial.rung,
        "limit": record.job.limit if isinstance(record.job, TrainingJob) else None,
        "params": dict(trial.params),
        "metrics": record.metrics,
        "seconds": (finished - started).total_seconds() if started and finished else None,
        "error": record.error,
        "reused": trial.reused,
    }


def _summary_cell(value: object) -> Cell:
    """Return numbers as they are, and anything else that a parameter may be as text."""
    return value if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) else str(value)


def _cell(value: object) -> str:
    text = number(value) if isinstance(value, float) else "" if value is None else str(value)
    text = " ".join(safe(text).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else repr(value)


def _written(path: str | os.PathLike[str], text: str) -> Path:
    check_path(path, "path")
    path = Path(path)
    try:
        write_atomically(path, text.encode(errors="backslashreplace"))
    except (OSError, ValueError) as error:  # "" and "." have no name
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The sweep can't be written to {path}: {reason}. Name a file in a folder that is there."
        ) from error
    return path
