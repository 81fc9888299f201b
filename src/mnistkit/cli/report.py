"""``mnistkit runs report``: a run, or many runs, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import examples
from mnistkit.cli.completion import complete_run
from mnistkit.cli.listing import (
    ExperimentOption,
    OnDataOption,
    SinceOption,
    SortOption,
    StateOption,
    WhereOption,
    query_of,
)
from mnistkit.cli.run_values import run_table
from mnistkit.cli.runs import find_run
from mnistkit.errors import UsageError

__all__ = ["EXAMPLES", "report"]

EXAMPLES = examples(
    "mnistkit runs report latest",
    "mnistkit runs report a1b2c3 --out report.html",
    'mnistkit runs report --all --where "accuracy > 0.9" --sort=-accuracy',
)


def report(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run's id, the beginning or the end of one, or 'latest'.",
            autocompletion=complete_run,
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="One page of all runs, or of those that match.")] = False,
    where: WhereOption = None,
    sort: SortOption = None,
    experiment: ExperimentOption = None,
    data: OnDataOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="The file to write.  [default: report-ID.html or report-runs.html]"),
    ] = None,
) -> None:
    """Write a run, or with --all one page of many runs, as one HTML file to share or print; it loads nothing.

    The page of many runs has a table to sort and filter, curves, and charts of parameters and results.
    """
    from mnistkit.cli.watch import showing_progress
    from mnistkit.trainer.trainer import Trainer

    chosen = query_of(where=where, sort=sort, experiment=experiment, data=data, state=state, since=since)
    if every == (run is not None):
        raise UsageError("Name a run, or write --all for one page of all runs.")
    if not every and chosen != query_of():
        raise UsageError("--where and the like choose among all runs: add --all.")
    trainer = Trainer.from_config()
    with showing_progress("Fetching"):
        of = find_run(trainer, run) if run is not None else chosen.apply(run_table())
        path = trainer.report(of, out)
    output.say(str(path))
