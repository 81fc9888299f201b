"""``mnistkit runs list`` and ``mnistkit experiments``: choose among runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples
from mnistkit.cli.completion import complete_data, complete_experiment
from mnistkit.cli.run_values import note_experiments, run_json, run_table
from mnistkit.errors import DataFormatError, RunNotFoundError, UsageError
from mnistkit.utils.clock import utc_time
from mnistkit.utils.text import number

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.runs.query import RunQuery
    from mnistkit.runs.table import RunTable
    from mnistkit.utils.summary import SummaryTable

__all__ = [
    "EXPERIMENTS_EXAMPLES",
    "LIST_EXAMPLES",
    "ExperimentOption",
    "OnDataOption",
    "SinceOption",
    "SortOption",
    "StateOption",
    "WhereOption",
    "experiments",
    "list_runs",
    "query_of",
]

_MAX_ROWS = 20
_COLUMN_GAP_CHARS = 2
_DROPPED_FIRST = ("experiment", "created", "note", "tags", "data", "host", "duration")
"""The columns to leave out, one by one, where a terminal is too narrow for all of them."""

LIST_EXAMPLES = examples(
    "mnistkit runs list --sort=-accuracy -n 5",
    "mnistkit runs list --where \"accuracy > 0.92 and data == 'mnist' and params.C <= 1\"",
    "mnistkit runs list --since 2d --state failed --columns error,created",
    "mnistkit runs list --experiment demo --csv > runs.csv",
)
EXPERIMENTS_EXAMPLES = examples("mnistkit experiments", "mnistkit experiments --json")

WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILTER",
        help="Only runs that match: comparisons (== != < <= > >= contains in is) with and, or, not.",
    ),
]
SortOption = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Sort by these, descending with a hyphen: -accuracy,created.")
]
ExperimentOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only this experiment's.", autocompletion=complete_experiment)
]
OnDataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="URI", help="Only runs on this dataset.", autocompletion=complete_data),
]
StateOption = Annotated[
    list[str] | None, typer.Option("--state", metavar="STATE", help="Only in this state; repeatable.")
]
SinceOption = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only runs submitted at most this long ago: 12h, 2d, 1w.")
]


def list_runs(
    *,
    where: WhereOption = None,
    sort: SortOption = None,
    experiment: ExperimentOption = None,
    data: OnDataOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Show these columns, separated by commas: state,C,accuracy.")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", metavar="N", min=1, help=f"How many.  [default: {_MAX_ROWS}]")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first, with what tells them apart. JSON and CSV have all of them, with all their figures.

    A filter compares the columns, metrics, parameters and tags of runs: accuracy > 0.92 and params.C <= 1. Text stands
    in quotes, a name with spaces in backticks: metrics.`log loss` < 0.3.
    """
    query = query_of(where=where, sort=sort, experiment=experiment, data=data, state=state, since=since)
    if as_csv and as_json:
        raise UsageError("--csv and --json: choose one.")
    known = run_table()
    found = query.apply(known)
    is_whole = n is None and (show_all or as_json or as_csv)
    limited = found if is_whole else found[: n or _MAX_ROWS]
    if not found:
        _note_none(known, query)
    if as_json:
        output.print_json(list(_documents(limited)))
    elif as_csv:
        text = limited.csv()
        sys.stdout.write(output.safe(text) if output.is_terminal() else text)
    elif found:
        _print(limited, columns)
        if len(limited) < len(found):
            output.note(f"{len(limited)} of {len(found)} runs; --all shows the others.")


def experiments(*, as_json: JsonOption = False) -> None:
    """List experiments: how many runs they have, in which states, on which data, and the best."""
    from attrs import asdict

    from mnistkit.runs.experiments import summarize_experiments

    found = summarize_experiments(run_table().rows)
    if as_json:
        output.print_json([{**asdict(each), "last_at": utc_time(each.last_at)} for each in found])
        return
    if not found:
        output.note("There are no runs yet: 'mnistkit train' makes one.")
        return
    rows = [
        (
            each.name,
            str(each.runs),
            ", ".join(f"{n} {state}" for state, n in each.states.items()),
            ", ".join(each.data),
            "-" if each.best is None else f"{each.metric} {number(each.best)}",
            each.best_run or "-",
            output.short_time(utc_time(each.last_at)),
        )
        for each in found
    ]
    output.print_table(("experiment", "runs#", "states", "data", "best#", "best run#", "last run#"), rows)


def query_of(
    *,
    where: str | None = None,
    sort: str | None = None,
    experiment: str | None = None,
    data: str | None = None,
    state: Sequence[str] | None = None,
    since: str | None = None,
) -> RunQuery:
    """Return the query that the options describe.

    Raises:
        UsageError: One of them can't be read.
    """
    from mnistkit.runs.query import RunQuery
    from mnistkit.runs.retention import parse_age

    return RunQuery(
        where=where,
        sort=sort,
        experiment=experiment,
        data=data,
        states=state or (),
        since=None if since is None else parse_age(since),
    )


def _documents(table: RunTable) -> list[dict[str, object]]:
    found = []
    for index, row in enumerate(table.rows):
        with suppress(RunNotFoundError, DataFormatError):  # deleted, or damaged, since the list was made
            figures = {"estimator": row.model, "params": row.params, "seed": row.seed, "duration": row.duration}
            found.append({**run_json(table[index].record), **figures})
    return found


def _note_none(known: RunTable, query: RunQuery) -> None:
    """Print a note on why there is nothing to list."""
    if not known:
        output.note("There are no runs yet: 'mnistkit train' makes one.")
    elif query.experiment is not None and all(row.experiment != query.experiment for row in known.rows):
        note_experiments({row.experiment for row in known.rows}, query.experiment)
    elif query.data is not None and all(row.data != query.data for row in known.rows):
        seen = ", ".join(sorted({row.data for row in known.rows}))
        output.note(f"No run is on the data {query.data!r:.80}; there are runs on {seen}.")
    else:
        output.note(f"None of {len(known)} runs matches.")


def _print(table: RunTable, columns: str | None) -> None:
    from mnistkit.runs.cells import default_columns, run_cells

    names = [each.strip() for each in columns.split(",") if each.strip()] if columns else default_columns(table.rows)
    shown = run_cells(table.rows, table.columns, names)
    hidden: list[str] = []
    if columns is None and output.is_terminal():
        for name in _DROPPED_FIRST:
            if _width(shown) <= output.console().width:
                break
            if name in names:
                names.remove(name)
                hidden.append(name)
                shown = run_cells(table.rows, table.columns, names)
    output.print_table(shown.columns, [[str(cell) for cell in row] for row in shown.rows], state_column="state")
    if hidden:
        output.note(f"The terminal has no room for {', '.join(hidden)}: --columns chooses what is shown.")


def _width(table: SummaryTable) -> int:
    cells = [table.headings, *table.rows]
    return sum(max(len(str(cell)) for cell in column) + _COLUMN_GAP_CHARS for column in zip(*cells, strict=True))
