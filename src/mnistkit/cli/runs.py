"""``mnistkit runs``: list, show, follow, cancel, copy and delete runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import asdict

from mnistkit.cli import output
from mnistkit.cli.command import INTERRUPTED, Command, Group, JsonOption, confirm, examples
from mnistkit.cli.completion import complete_run
from mnistkit.cli.plotting import NumberOption, OutOption, RunPlot, Subject, check_out
from mnistkit.cli.plotting import plot as draw
from mnistkit.cli.run_values import digests, run_json
from mnistkit.errors import DataFormatError, RunFailedError, RunNotFoundError, RunStateError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.dataset import Dataset
    from mnistkit.runs.run import Run
    from mnistkit.trainer.trainer import Trainer

__all__ = ["RunArgument", "app", "find_run"]

app = typer.Typer(cls=Group, help="List and show runs, cancel them, copy their files.", no_args_is_help=True)

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, the beginning or the end of one, or 'latest'.",
        autocompletion=complete_run,
    ),
]


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit runs show latest",
        "mnistkit runs show a1b2c3 --json",
        "mnistkit runs show latest --plot misclassified --out wrong.png",
    ),
)
def show(
    run: RunArgument,
    *,
    plot: Annotated[RunPlot | None, typer.Option(help="Draw this figure instead.", show_default=False)] = None,
    out: OutOption = None,
    n: NumberOption = 30,
    metric: Annotated[
        str | None, typer.Option(metavar="METRIC", help="For --plot series: which metric.  [default: the first]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its state, times, metrics, files and error; or draw a figure of it or of its model."""
    check_out(plot, out)
    found = find_run(_trainer(), run)
    if plot is not None:
        draw(plot, _subject(found, n, metric), out)
        return
    record = found.record
    if as_json:
        origin = record.provenance
        details = {
            "traceback": record.traceback,
            "versions": record.versions,
            "provenance": asdict(origin) if origin else None,
            "fingerprint": digests(record),
        }
        output.print_json({**run_json(record), **details})
        return
    output.print_summary(record.describe())


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit runs logs latest", "mnistkit runs logs latest --follow", "mnistkit runs logs latest --tail 20"
    ),
)
def logs(
    run: RunArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until the run has finished.")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Begin with the last N lines.  [default: all]")
    ] = None,
) -> None:
    """Print the log of a run, control characters written out. Ctrl-C while following doesn't stop the run.

    The bytes as they are: mnistkit runs download RUN logs/std_log.txt
    """
    found = find_run(_trainer(), run)
    position = 0 if tail is None else _print_tail(found, tail)
    with _detaching(found.id):
        for _ in found.poll() if follow else (found,):
            while text := found.logs(start=position):  # a long log comes in pieces
                position += len(text)
                sys.stdout.write(output.safe(text))
                sys.stdout.flush()
                if not found.state.is_terminal:
                    break


@app.command(cls=Command, epilog=examples("mnistkit runs wait latest", "mnistkit runs wait a1b2c3 --timeout 600"))
def wait(
    run: RunArgument,
    *,
    timeout: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="The longest time to wait.")] = None,
) -> None:
    """Wait until a run has finished. Exits with 0 if it completed, else with 1.

    Ctrl-C doesn't stop the run.
    """
    from mnistkit.cli.watch import wait_for

    found = find_run(_trainer(), run)
    with _detaching(found.id):
        wait_for(found, timeout)
    output.say(f"{found.id}\t{found.state}")
    if found.state.value != "Completed":
        detail = f": {found.error.rstrip('.')}" if found.error else ""
        raise RunFailedError(f"Run {found.id} is {found.state}{detail}. Its log: mnistkit runs logs {found.id}")


@app.command(cls=Command, epilog=examples("mnistkit runs cancel latest"))
def cancel(run: RunArgument) -> None:
    """Cancel a run. Nothing happens to a finished one."""
    found = find_run(_trainer(), run)
    had_ended = found.state.is_terminal
    found.cancel()
    if had_ended:
        output.note(f"Run {found.id} had finished already.")
    output.say(f"{found.id}\t{found.state}")


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit runs download latest --into results", "mnistkit runs download latest outputs/model.skops"
    ),
)
def download(
    run: RunArgument,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Which files; all if none is named.")
    ] = None,
    *,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to put them; created if need be.")] = Path(),
) -> None:
    """Copy files of a run. All of them keep their folders, a named one comes by its own name."""
    found = find_run(_trainer(), run)
    for file in files or found.files:
        folder = into if files else (into / file).parent
        output.say(str(found.download(file, folder)))


@app.command(cls=Command, epilog=examples("mnistkit runs delete a1b2c3 --yes"))
def delete(
    run: RunArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if a registered model came from it.")] = False,
) -> None:
    """Delete a run with all its files, permanently. Registered models have files of their own and stay."""
    from mnistkit.runs.backend import SupportsDelete

    trainer = _trainer()
    try:
        found = find_run(trainer, run)
    except DataFormatError as error:
        output.note(f"Warning: {error}")
        run_id, what = run, f"run {run}, which can't be read, and its files"
    else:
        run_id, what = found.id, f"run {found.id} and its {len(found.files)} files"
    if not isinstance(trainer.compute, SupportsDelete):
        raise UsageError(f"{type(trainer.compute).__name__} keeps its runs: it has no way to delete one.")
    models = [m.id for name in trainer.models.names() for m in trainer.models.versions(name) if m.run_id == run_id]
    if models and not force:
        raise RunStateError(
            f"Run {run_id} made {', '.join(models)}: its log and metrics document that model. "
            "Delete the model first, or use --force to delete the run and keep the model."
        )
    confirm(f"Delete {what}?", yes=yes)
    trainer.compute.delete_run(run_id)
    output.note(f"Deleted run {run_id}.")


def find_run(trainer: Trainer, text: str) -> Run:
    """Return the run of this id, of the beginning or end of one, or the ``latest``.

    Raises:
        RunNotFoundError: None has such an id; lists recent ones.
        UsageError: Several have.
    """
    try:
        return trainer.run(text)
    except RunNotFoundError:
        records = trainer.compute.runs()
    if text == "latest":
        matches = [record.id for record in records[:1]]
    else:
        matches = [r.id for r in records if text and (r.id.startswith(text) or r.id.endswith(text))]
    if len(matches) > 1:
        raise UsageError(f"{text!r} could be any of {', '.join(matches[:5])}{', ...' * (len(matches) > 5)}.")  # noqa: PLR2004 - enough to see
    if not matches:
        recent = ", ".join(f"{record.id} ({record.state})" for record in records[:5])
        raise RunNotFoundError(
            f"There is no run {text!r}; the latest are {recent}."
            if recent
            else f"There is no run {text!r}: there are none yet. 'mnistkit train' makes one."
        )
    return trainer.run(matches[0])


def _print_tail(run: Run, n: int) -> int:
    """Print the last lines of a log, and return how many characters it has so far."""
    position, kept = 0, ""
    while text := run.logs(start=position):
        position += len(text)
        lines = (kept + text).splitlines(keepends=True)
        kept = "".join(lines[max(len(lines) - n, 0) :])
    sys.stdout.write(output.safe(kept))
    sys.stdout.flush()
    return position


@contextmanager
def _detaching(run_id: str) -> Iterator[None]:
    """On Ctrl-C, end the program but not the run, and print how to cancel the run."""
    try:
        yield
    except KeyboardInterrupt as error:
        output.complain(
            f"the run keeps running in the background. Stop it with: mnistkit runs cancel {run_id}", "Interrupted"
        )
        raise typer.Exit(INTERRUPTED) from error


def _trainer() -> Trainer:
    from mnistkit.trainer.trainer import Trainer

    return Trainer.from_config()


def _subject(run: Run, n: int, metric: str | None) -> Subject:
    def load() -> Any:
        from mnistkit.evaluation.results import run_model

        return run_model(run)

    def fetch() -> Dataset:
        from mnistkit.cli.watch import fetched
        from mnistkit.trainer.trainer import Trainer

        return fetched(Trainer.from_config(data=run.record.data))

    return Subject(run.id, load, fetch, run=run, n=n, metric=metric)
