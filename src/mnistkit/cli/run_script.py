"""``mnistkit run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowOtherDataOption, DataOption, JsonOption, TagOption, examples, parse_tags
from mnistkit.cli.train import (
    check_completed,
    checked_name,
    configured,
    prepared,
    print_detached,
    print_result,
    registered,
    result_json,
)
from mnistkit.cli.training_options import DetachOption, ExperimentOption, RetriesOption, TimeoutOption

if TYPE_CHECKING:  # loads numpy
    from mnistkit.jobs.job import ScriptJob
    from mnistkit.runs.run import Run
    from mnistkit.trainer import Trainer

__all__ = ["EXAMPLES", "run"]

EXAMPLES = examples(
    "mnistkit run train.py -- --regularization 0.5",
    "mnistkit run train.py --data digits --register digits -- --data-folder '${DATA_FOLDER}'",
    "mnistkit run train.py --experiment demo --tag purpose=demo --timeout 600",
)


def run(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="A Python script; its folder is copied with it.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGUMENT",
            help="Its command line, after '--'. '${DATA_FOLDER}' stands for the folder with the data: quote it.",
        ),
    ] = None,
    *,
    data: DataOption = None,
    experiment: ExperimentOption = None,
    register: Annotated[
        str | None, typer.Option(metavar="NAME", help="Register the model that it leaves in ./outputs.")
    ] = None,
    allow_other_data: AllowOtherDataOption = False,
    tag: TagOption = None,
    detach: DetachOption = False,
    timeout: TimeoutOption = None,
    retries: RetriesOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run a script as a tracked run: in a copy of its folder, with its metrics, output and files kept.

    In the script, mnistkit.get_context() logs metrics and images to the run. What it writes to ./outputs is kept.
    Ctrl-C cancels the run.
    """
    from mnistkit.jobs.job import ScriptJob

    name, tags = None if register is None else checked_name(register), parse_tags(tag)
    job = ScriptJob(
        str(script.parent), script.name, tuple(arguments or ()), tags=tags, timeout=timeout, retries=retries
    )
    job.check()
    trainer = configured(data, experiment)
    counts = prepared(trainer)
    if detach:
        print_detached(trainer.submit(job, detach=True), name, as_json=as_json)
        return
    found = _finished(trainer, job)
    check_completed(found)
    model = registered(trainer, found, name, is_new=True, allow_other_data=allow_other_data) if name else None
    if as_json:
        output.print_json({**result_json(found, model), "data": counts})
        return
    print_result(found, model)


def _finished(trainer: Trainer, job: ScriptJob) -> Run:
    """Return the finished run, shown while it runs; one that failed as well."""
    from mnistkit.cli.watch import watching
    from mnistkit.runs.submission import canceling, wait_while_running

    with watching() as on_update:
        found = trainer.submit(job)
        with canceling([found], is_quiet=True):
            wait_while_running([found], 1, 0, on_update)
    return found
