"""``mnistkit sweep``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowOtherDataOption, DataOption, JsonOption, TagOption, examples, parse_tags
from mnistkit.cli.estimator_options import EstimatorOption, GridOption, SetOption, grid_of, refuse_options
from mnistkit.cli.run_values import run_json
from mnistkit.cli.train import (
    check_completed,
    checked_name,
    configured,
    named,
    note_convergence,
    prepared,
    print_model,
    registered,
    result_json,
)
from mnistkit.cli.training_options import (
    ExperimentOption,
    LimitOption,
    MaxIterOption,
    NameOption,
    RegisterOption,
    SeedOption,
    Solver,
    SolverOption,
    TolOption,
    inverse_rate,
    logistic_regression,
)
from mnistkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.runs.run import Run
    from mnistkit.sweeps.sweep import Sweep

__all__ = ["EXAMPLES", "sweep"]

EXAMPLES = examples(
    "mnistkit sweep --regularization 0.1,0.5,1,5",
    "mnistkit sweep --regularization 0.5,5 --limit 10000 --parallel 2 --no-register",
    "mnistkit sweep --regularization 0.1,0.5,1,5 --resume --csv sweep.csv",
    "mnistkit sweep --solver accurate --grid n_landmarks=1000,3000",
    "mnistkit sweep --estimator sklearn.svm:SVC --set gamma=scale --grid C=0.1,1,10 --grid kernel=rbf,poly",
)


def sweep(
    context: typer.Context,
    *,
    regularization: Annotated[
        str | None, typer.Option(metavar="RATES", help="Rates to try, separated by commas.")
    ] = None,
    estimator: EstimatorOption = None,
    settings: SetOption = None,
    grid: GridOption = None,
    data: DataOption = None,
    solver: SolverOption = Solver.FAST,
    max_iter: MaxIterOption = 100,
    tol: TolOption = 1e-3,
    seed: SeedOption = 42,
    limit: LimitOption = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Number of runs at a time, each from scratch.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Run only what is missing: reuse completed runs of the same jobs.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table to this file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Also write a report to this file.")
    ] = None,
    experiment: ExperimentOption = None,
    name: NameOption = None,
    register: RegisterOption = True,
    allow_other_data: AllowOtherDataOption = False,
    tag: TagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one logistic regression per regularization rate, or any --estimator per combination; register the best.

    The best is the one with the highest accuracy on the test images. Runs that fail don't stop the others. Ctrl-C
    cancels the unfinished runs; the same command with --resume runs what is missing.
    """
    from mnistkit.cli.watch import watching

    _check_file("--csv", csv)
    _check_file("--report", report)
    trials = _trials(context, regularization, grid, solver)
    name, tags = checked_name(name), parse_tags(tag)
    trainer = configured(data, experiment)
    classifier = named(context, trainer, estimator, solver, settings) or logistic_regression(1.0, solver, max_iter, tol)
    counts = prepared(trainer)
    with watching("The same command with --resume runs what is missing.") as on_update:
        runs = trainer.sweep(
            classifier, trials, resume=resume, parallel=parallel, seed=seed, limit=limit, tags=tags, on_update=on_update
        )
    for trial in runs.trials:
        if trial.reused:
            output.note(f"Reused run {trial.run.id}, which had completed before.")
    if csv is not None:
        output.note(f"The table is in {runs.to_csv(csv)}.")
    if report is not None:
        output.note(f"The report is in {trainer.report(runs, report)}.")
    try:
        best = runs.best("accuracy")
    except NotFoundError:
        if not as_json:
            _print_runs(runs, by_rate=not grid)
        raise
    for run in runs:
        note_convergence(run, max_iter if estimator is None and solver is not Solver.ACCURATE else None)
    name = name or trainer.model_name
    is_new = not any(trial.reused for trial in runs.trials if trial.run is best)
    model = registered(trainer, best, name, is_new=is_new, allow_other_data=allow_other_data) if register else None
    if as_json:
        listing = [{**run_json(run.record), "best": run is best} for run in runs]
        output.print_json({"runs": listing, **result_json(best, model), "data": counts})
    else:
        _print_runs(runs, best, by_rate=not grid)
        print_model(model)
    for run in runs:
        check_completed(run)


def _trials(
    context: typer.Context, regularization: str | None, grid: Sequence[str] | None, solver: Solver
) -> list[dict[str, Any]] | dict[str, list[Any]]:
    """Return what to try: rates of the logistic regression, or values by parameter."""
    if (regularization is None) == (not grid):
        raise UsageError(
            "Say what to try, in one way: --regularization 0.1,0.5,1 for the logistic regression, or --grid C=0.1,1,10."
        )
    if grid:
        return grid_of(grid)
    refuse_options(context, ["estimator"], "has no regularization rate: use --grid NAME=VALUES.")
    if solver is Solver.ACCURATE:
        raise UsageError(
            "--solver accurate has no regularization rate: use --grid, such as --grid n_landmarks=1000,3000."
        )
    return [{"C": inverse_rate(rate)} for rate in _rates(regularization or "")]


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--regularization {text!r}: write numbers separated by commas, such as 0.1,0.5,1.") from error


def _check_file(option: str, path: Path | None) -> None:
    """Raise UsageError if a file can't be written, before training."""
    if path is not None and (path.is_dir() or not os.access(path.absolute().parent, os.W_OK)):
        raise UsageError(f"{option} {path} can't be written: name a file in an existing folder that you may write to.")


def _print_runs(runs: Sweep, best: Run | None = None, *, by_rate: bool) -> None:
    """Print a row per run: with its regularization rate, or else with the parameters that were tried."""
    names = ["regularization rate"] if by_rate else list(dict.fromkeys(name for each in runs.params for name in each))
    columns = ("run", *(f"{name}#" for name in names), "accuracy#", "log loss#", "seconds#", "state", "")
    rows = [
        (
            run.id,
            *([_rate(run)] if by_rate else [str(params.get(name, "-")) for name in names]),
            output.metric(run.metrics, "accuracy"),
            output.metric(run.metrics, "log loss"),
            _seconds(run),
            str(run.state),
            "best" if run is best else run.error or "",
        )
        for run, params in zip(runs, runs.params, strict=True)
    ]
    output.print_table(columns, rows, highlight=None if best is None else runs.index(best))


def _rate(run: Run) -> str:
    return f"{run.metrics['regularization rate']:g}" if "regularization rate" in run.metrics else "-"


def _seconds(run: Run) -> str:
    """Return the seconds of the fit, marked where it started from the solution of an earlier run."""
    from mnistkit.training import WARM_START_TAG

    if "training seconds" not in run.metrics:
        return "-"
    return f"{run.metrics['training seconds']:.1f}{' (warm)' if WARM_START_TAG in run.record.tags else ''}"
