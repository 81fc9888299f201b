"""The program: its global options, and the commands by noun."""

from __future__ import annotations

from typing import Annotated

import typer

from mnistkit.cli import (
    compare,
    compare_runs,
    data,
    deployments,
    doctor,
    emulator,
    folders,
    importing,
    listing,
    mirror,
    models,
    output,
    predict,
    prune,
    report,
    run_script,
    runs,
    serve,
    signing,
    sweep,
    tags,
    train,
    ui,
    verify,
)
from mnistkit.cli.command import EXIT_CODES, Command, Program, examples

__all__ = ["app"]

app = typer.Typer(
    name="mnistkit",
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "mnistkit train",
        "mnistkit sweep --regularization 0.1,0.5,1,5",
        "mnistkit models promote sklearn_mnist champion",
        "mnistkit predict digit.png --model sklearn_mnist@champion",
    )
    + f"\n\n{EXIT_CODES}",
)
app.command(cls=Command, epilog=train.TRAIN_EXAMPLES)(train.train)
app.command(cls=Command, epilog=run_script.EXAMPLES)(run_script.run)
app.command(cls=Command, epilog=sweep.EXAMPLES)(sweep.sweep)
runs.app.command("list", cls=Command, epilog=listing.LIST_EXAMPLES)(listing.list_runs)
runs.app.command(cls=Command, epilog=tags.TAG_EXAMPLES)(tags.tag)
runs.app.command(cls=Command, epilog=tags.NOTE_EXAMPLES)(tags.note)
data.app.command("import", cls=Command, epilog=importing.EXAMPLES)(importing.import_)
data.app.command(cls=Command, epilog=folders.EXAMPLES)(folders.export)
runs.app.command(cls=Command, epilog=report.EXAMPLES)(report.report)
runs.app.command(cls=Command, epilog=compare_runs.EXAMPLES)(compare_runs.compare)
runs.app.command(cls=Command, epilog=prune.EXAMPLES)(prune.prune)
runs.app.command(cls=Command, epilog=mirror.MIRROR_EXAMPLES)(mirror.mirror)
runs.app.command("import", cls=Command, epilog=mirror.IMPORT_EXAMPLES)(mirror.import_)
models.app.command(cls=Command, epilog=verify.EXAMPLES)(verify.verify)
models.app.command(cls=Command, epilog=compare.EXAMPLES)(compare.compare)
models.app.command(cls=Command, epilog=signing.KEYGEN_EXAMPLES)(signing.keygen)
models.app.command(cls=Command, epilog=signing.SIGN_EXAMPLES)(signing.sign)
models.app.command(cls=Command, epilog=signing.EXPORT_EXAMPLES)(signing.export)
models.app.command(cls=Command, epilog=serve.PACKAGE_EXAMPLES)(serve.package)
app.add_typer(runs.app, name="runs")
app.command(cls=Command, epilog=listing.EXPERIMENTS_EXAMPLES)(listing.experiments)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(emulator.app, name="emulator")
app.command(cls=Command, epilog=predict.EXAMPLES)(predict.predict)
app.command(cls=Command, epilog=serve.EXAMPLES)(serve.serve)
app.command(cls=Command, epilog=ui.EXAMPLES)(ui.ui)
app.command(cls=Command, epilog=deployments.DEPLOY_EXAMPLES)(deployments.deploy)
app.add_typer(deployments.app, name="deployments")
app.command(cls=Command, epilog=doctor.EXAMPLES)(doctor.doctor)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        import mnistkit

        output.say(f"mnistkit {mnistkit.__version__}")
        raise typer.Exit


@app.callback()
def configure(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the library's log.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress on standard error.")] = False,
) -> None:
    """Train, track and register MNIST-like image classifiers."""
    del version  # its callback has printed it
    output.configure(debug=debug, quiet=quiet)
