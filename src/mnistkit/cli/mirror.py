"""``mnistkit runs mirror`` and ``import``: runs to MLflow, and from it."""

from __future__ import annotations

from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples
from mnistkit.cli.listing import ExperimentOption, OnDataOption, SinceOption, StateOption, WhereOption, query_of

__all__ = ["IMPORT_EXAMPLES", "MIRROR_EXAMPLES", "import_", "mirror"]

MIRROR_EXAMPLES = examples(
    "mnistkit runs mirror",
    "mnistkit runs mirror --to http://127.0.0.1:5000 --experiment demo",
    "mnistkit runs mirror --where 'accuracy > 0.92' --since 2d",
)
IMPORT_EXAMPLES = examples(
    "mnistkit runs import sqlite:////data/mlflow.db",
    "mnistkit runs import http://127.0.0.1:5000 --experiment trials --no-files",
)


def mirror(
    *,
    to: Annotated[
        str | None,
        typer.Option(metavar="URI", help="sqlite:///FILE or http(s)://SERVER.  [default: track in mnistkit.toml]"),
    ] = None,
    where: WhereOption = None,
    experiment: ExperimentOption = None,
    data: OnDataOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write runs to MLflow, such as those that were made without it, or detached.

    What is there already is completed, and never doubled.
    """
    from mnistkit.config import find_config, home_folder
    from mnistkit.mlflow.mirroring import mirror_runs
    from mnistkit.runs.table import RunTable
    from mnistkit.trainer.trainer import Trainer

    config = find_config()
    compute = Trainer.from_config(config).compute
    query = query_of(where=where, experiment=experiment, data=data, state=state, since=since)
    chosen = query.apply(RunTable.of(compute))
    written = mirror_runs(
        compute,
        config.track if to is None else to,
        [chosen[index].record for index in range(len(chosen))],
        home=home_folder(config.home),
    )
    if as_json:
        output.print_json(written)
        return
    for run_id, mlflow_id in written.items():
        output.say(f"{run_id} {mlflow_id}")
    output.note(f"{len(written)} runs are in MLflow.")


def import_(
    uri: Annotated[str, typer.Argument(metavar="URI", help="sqlite:///FILE or http(s)://SERVER.")],
    *,
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only this experiment of MLflow's.")] = None,
    no_files: Annotated[bool, typer.Option("--no-files", help="Without their artifacts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy finished runs of MLflow's to this machine, to list, compare and report them with one's own.

    Runs that are here already are left as they are.
    """
    from mnistkit.config import find_config, home_folder
    from mnistkit.mlflow.mirroring import import_runs

    found = import_runs(uri, home_folder(find_config().home), experiment=experiment, files=not no_files)
    if as_json:
        output.print_json({"imported": found.imported, "known": found.known, "unfinished": found.unfinished})
        return
    for run_id in found.imported:
        output.say(run_id)
    output.note(
        f"{len(found.imported)} runs imported, {found.known} were here already, {found.unfinished} haven't finished."
    )
