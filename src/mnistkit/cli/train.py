"""``mnistkit train`` and ``mnistkit sweep``."""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import asdict

from mnistkit.cli import output
from mnistkit.cli.command import DataOption, JsonOption, TagOption, examples, parse_tags
from mnistkit.cli.models import model_json
from mnistkit.cli.runs import run_json
from mnistkit.errors import NotFoundError, RunFailedError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.jobs.job import TrainingJob
    from mnistkit.registry.version import ModelVersion
    from mnistkit.runs.reuse import Explanation
    from mnistkit.runs.run import Run
    from mnistkit.sweeps.sweep import Sweep
    from mnistkit.trainer import Trainer

__all__ = ["SWEEP_EXAMPLES", "TRAIN_EXAMPLES", "sweep", "train"]

TRAIN_EXAMPLES = examples(
    "mnistkit train",
    "mnistkit train --regularization 0.8 --solver liblinear",
    "mnistkit train --data digits --name digits --tag purpose=demo",
    "mnistkit train --limit 5000 --no-register --json",
    "mnistkit train --regularization 0.8 --explain",
)
SWEEP_EXAMPLES = examples(
    "mnistkit sweep --regularization 0.1,0.5,1,5",
    "mnistkit sweep --regularization 0.5,5 --limit 10000 --parallel 2 --no-register",
    "mnistkit sweep --regularization 0.1,0.5,1,5 --resume --csv sweep.csv",
)


class Solver(str, enum.Enum):
    """mnistkit's own solver, and scikit-learn's, for a logistic regression."""

    FAST = "fast"
    LBFGS = "lbfgs"
    LIBLINEAR = "liblinear"
    NEWTON_CG = "newton-cg"
    NEWTON_CHOLESKY = "newton-cholesky"
    SAG = "sag"
    SAGA = "saga"


class ModelFormat(str, enum.Enum):
    """How the model is written."""

    SKOPS = "skops"
    JOBLIB = "joblib"
    LINEAR = "linear"


SolverOption = Annotated[
    Solver,
    typer.Option(help="fast is mnistkit's own, the others scikit-learn's; liblinear trains one model per class."),
]
MaxIterOption = Annotated[int, typer.Option(min=1, help="At most so many iterations of the solver.")]
TolOption = Annotated[float, typer.Option(min=0, help="The solver stops below this; scikit-learn's own is 1e-4.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Train on so many images only, each class in proportion.")]
ExperimentOption = Annotated[str | None, typer.Option(metavar="NAME", help="The group of runs that this belongs to.")]
NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The name to register it under.  [default: sklearn_mnist]")
]
RegisterOption = Annotated[bool, typer.Option(help="Register the model, or leave it with its run.")]
FormatOption = Annotated[
    ModelFormat,
    typer.Option("--format", help="skops loads safely; linear is numbers alone; joblib is the tutorial's pickle."),
]

ReuseOption = Annotated[
    bool,
    typer.Option("--reuse", help="Take an earlier run with the same code, parameters, data, libraries and seed."),
]
ExplainOption = Annotated[
    bool,
    typer.Option("--explain", help="Train nothing: say which run --reuse would take, or why it would take none."),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return at once: the run goes on by itself. It isn't registered.")
]
TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="End an attempt that takes longer.  [default: no limit]")
]
RetriesOption = Annotated[int, typer.Option(min=0, help="Try again so often if it fails or is killed.")]


def train(
    *,
    data: DataOption = None,
    regularization: Annotated[float, typer.Option(help="The regularization rate, above 0: C is 1/rate.")] = 0.5,
    solver: SolverOption = Solver.FAST,
    max_iter: MaxIterOption = 100,
    tol: TolOption = 1e-3,
    seed: SeedOption = 42,
    limit: LimitOption = None,
    experiment: ExperimentOption = None,
    name: NameOption = None,
    register: RegisterOption = True,
    tag: TagOption = None,
    model_format: FormatOption = ModelFormat.SKOPS,
    reuse: ReuseOption = False,
    explain: ExplainOption = False,
    detach: DetachOption = False,
    timeout: TimeoutOption = None,
    retries: RetriesOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a logistic regression, and register it.

    Fetches the data (once: then it is cached), trains, measures on the test images, and keeps a record of the run.
    Ctrl-C cancels the run.
    """
    c = _inverse(regularization)
    name, tags = _model_name(name), parse_tags(tag)
    trainer, counts = (_trainer(data, experiment), {}) if explain else _prepared(data, experiment)
    job = _job(trainer, c, solver, max_iter, tol, seed=seed, limit=limit, tags=tags, model_format=model_format.value,
               timeout=timeout, retries=retries)  # fmt: skip
    if explain:
        _print_explanation(trainer.explain(job), as_json=as_json)
        return
    reused = _reused(trainer, job) if reuse else None
    if detach and not reused:
        _print_detached(trainer.submit(job, detach=True), name, as_json=as_json)
        return
    (run,) = (reused,) if reused else _trained(trainer, [job])
    _check(run)
    _note_convergence(run, max_iter)
    model = _model(trainer, run, name, is_new=reused is None) if register else None
    if as_json:
        output.print_json({**_result_json(run, model), "reused": reused is not None, "data": counts})
        return
    _print_metrics(run.metrics)
    _print_model(model)
    output.say(f"run: {run.id}")
    output.say(f"{output.place_name(run.record.url)}: {run.record.url}")


def sweep(
    *,
    regularization: Annotated[str, typer.Option(metavar="RATES", help="Rates to try, separated by commas.")],
    data: DataOption = None,
    solver: SolverOption = Solver.FAST,
    max_iter: MaxIterOption = 100,
    tol: TolOption = 1e-3,
    seed: SeedOption = 42,
    limit: LimitOption = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="At most so many runs at a time.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Run only what is missing: take over the same jobs' completed runs.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table to this file as well.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a report to this file as well.")
    ] = None,
    experiment: ExperimentOption = None,
    name: NameOption = None,
    register: RegisterOption = True,
    tag: TagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one logistic regression per regularization rate, and register the best.

    The best is the one with the highest accuracy on the test images. Runs that fail don't stop the others. Ctrl-C
    cancels the runs that go on; the same command with --resume runs what is missing.
    """
    _check_file("--csv", csv)
    _check_file("--report", report)
    cs = [_inverse(rate) for rate in _rates(regularization)]
    name, tags = _model_name(name), parse_tags(tag)
    trainer, counts = _prepared(data, experiment)
    jobs = [_job(trainer, c, solver, max_iter, tol, seed=seed, limit=limit, tags=tags) for c in cs]
    runs = _swept(trainer, jobs, cs, parallel, resume=resume)
    if csv is not None:
        output.note(f"The table is in {runs.to_csv(csv)}.")
    if report is not None:
        output.note(f"The report is in {runs.report(report)}.")
    try:
        best = runs.best("accuracy")
    except NotFoundError:
        if not as_json:
            _print_runs(runs)
        raise
    for run in runs:
        _note_convergence(run, max_iter)
    is_new = not any(trial.reused for trial in runs.trials if trial.run is best)
    model = _model(trainer, best, name, is_new=is_new) if register else None
    if as_json:
        listing = [{**run_json(run.record), "best": run is best} for run in runs]
        output.print_json({"runs": listing, **_result_json(best, model), "data": counts})
    else:
        _print_runs(runs, best)
        _print_model(model)
    for run in runs:
        _check(run)


def _print_detached(run: Run, name: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"run": run_json(run.record)})
        return
    output.say(f"run: {run.id}")
    output.note(
        f"It goes on by itself. Follow it with 'mnistkit runs logs -f {run.id}', end it with 'mnistkit runs cancel "
        f"{run.id}', and once it has completed: 'mnistkit models register {run.id} {name}'."
    )


def _inverse(rate: float) -> float:
    """C, as scikit-learn wants it: 1/rate."""
    if not (rate > 0 and math.isfinite(rate) and math.isfinite(1 / rate)):
        raise UsageError(
            f"--regularization {rate:g}: it must be a finite number above 0, as C is 1/regularization. "
            "The tutorial uses 0.5; less regularizes less."
        )
    return 1 / rate


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--regularization {text!r}: write numbers separated by commas, such as 0.1,0.5,1.") from error


def _model_name(name: str | None) -> str:
    """The name to register under, checked before anything is spent on training."""
    from mnistkit.config import find_config
    from mnistkit.utils.names import check_name

    return check_name(find_config().model if name is None else name, "model name")


def _prepared(data: str | None, experiment: str | None) -> tuple[Trainer, dict[str, object]]:
    """A trainer whose data is in the cache, and the data's name and sizes: the images aren't held while a run is."""
    from mnistkit.cli.watch import fetched

    trainer = _trainer(data, experiment)
    dataset = fetched(trainer)
    h, w = dataset.train.images.shape[1:]
    output.note(
        f"{dataset.name}: {len(dataset.train)} images to train on, {len(dataset.test)} to test on, "
        f"{h}x{w}, {len(dataset.class_names)} classes"
    )
    return trainer, {"name": dataset.name, "train": len(dataset.train), "test": len(dataset.test)}


def _trainer(data: str | None, experiment: str | None) -> Trainer:
    from mnistkit.trainer import Trainer

    return Trainer.from_config(data=data, experiment=experiment)


def _reused(trainer: Trainer, job: TrainingJob) -> Run | None:
    """The earlier run to take instead; what was found is said."""
    explanation = trainer.explain(job)
    if not explanation.reuses or explanation.run_id is None:
        output.note(str(explanation))
        return None
    output.note(f"Run {explanation.run_id} is reused: it had the same code, parameters, data, libraries and seed.")
    return trainer.run(explanation.run_id)


def _model(trainer: Trainer, run: Run, name: str, *, is_new: bool) -> ModelVersion:
    """The run's model, registered: once only, also if the run is reused."""
    versions = () if is_new or name not in trainer.models.names() else trainer.models.versions(name)
    earlier = [model for model in versions if model.run_id == run.id]
    return earlier[-1] if earlier else trainer.register(run, name)


def _job(trainer: Trainer, c: float, solver: Solver, max_iter: int, tol: float, **rest: Any) -> TrainingJob:
    """The job of one logistic regression."""
    from sklearn.linear_model import LogisticRegression

    from mnistkit.estimators import FastLogisticRegression

    if solver is Solver.FAST:
        return trainer.job(FastLogisticRegression(C=c, max_iter=max_iter, tol=tol), **rest)
    return trainer.job(LogisticRegression(C=c, solver=solver.value, max_iter=max_iter, tol=tol), **rest)


def _trained(trainer: Trainer, jobs: list[TrainingJob], parallel: int | None = None) -> tuple[Run, ...]:
    from mnistkit.cli.watch import train_all

    return train_all(trainer, jobs, parallel)


def _swept(trainer: Trainer, jobs: list[TrainingJob], cs: list[float], parallel: int | None, *, resume: bool) -> Sweep:
    """The runs of a sweep over C, those that were there before among them."""
    from mnistkit.cli.watch import train_all
    from mnistkit.sweeps.sweep import Sweep, Trial
    from mnistkit.sweeps.trials import completed_before, named

    jobs = named(jobs, trainer.data.uri)
    before = completed_before(jobs, trainer.compute, trainer.data.uri) if resume else [None] * len(jobs)
    for run in before:
        if run is not None:
            output.note(f"Run {run.id} is there already.")
    missing = [job for job, run in zip(jobs, before, strict=True) if run is None]
    new = iter(train_all(trainer, missing, parallel, "The same command with --resume runs what is missing."))
    trials = [
        Trial(params={"C": c}, run=next(new) if run is None else run, reused=run is not None)
        for c, run in zip(cs, before, strict=True)
    ]
    return Sweep(jobs[0].tags["sweep"], trials)


def _check_file(option: str, path: Path | None) -> None:
    """Refuse a file that can't be written, before anything is spent on training."""
    if path is not None and (path.is_dir() or not os.access(path.absolute().parent, os.W_OK)):
        raise UsageError(f"{option} {path} can't be written: name a file in a folder that is there and yours.")


def _check(run: Run) -> None:
    from mnistkit.runs.record import RunState

    if run.state is not RunState.COMPLETED:
        detail = f": {run.error.rstrip('.')}" if run.error else ""
        raise RunFailedError(f"Run {run.id} is {run.state}{detail}. Its log: mnistkit runs logs {run.id}")


def _note_convergence(run: Run, max_iter: int) -> None:
    if "ConvergenceWarning" in run.logs():
        output.note(
            f"Note: run {run.id} stopped at {max_iter} iterations, before the solver had converged. "
            "A higher --max-iter lets it go on, a higher --tol ends it sooner."
        )


def _result_json(run: Run, model: ModelVersion | None) -> dict[str, object]:
    return {"run": run_json(run.record), "metrics": run.metrics, "model": model_json(model) if model else None}


def _print_explanation(explanation: Explanation, *, as_json: bool) -> None:
    if not as_json:
        output.say(str(explanation))
        return
    state = explanation.state
    output.print_json(
        {
            "reuses": explanation.reuses,
            "run": explanation.run_id,
            "state": None if state is None else str(state),
            "differences": [asdict(difference) for difference in explanation.differences],
        }
    )


def _print_metrics(metrics: Mapping[str, float]) -> None:
    """The tutorial's two as it prints them, then the rest."""
    first = [name for name in ("regularization rate", "accuracy") if name in metrics]
    output.say(str({name: metrics[name] for name in first}))
    for name in sorted(metrics.keys() - set(first)):
        output.say(f"{name}: {metrics[name]:g}")


def _print_model(model: ModelVersion | None) -> None:
    if model:
        output.say(f"{model.name}\t{model.id}\t{model.version}")


def _print_runs(runs: Sequence[Run], best: Run | None = None) -> None:
    columns = ("run", "regularization rate#", "accuracy#", "log loss#", "seconds#", "state", "")
    rows = [
        (
            run.id,
            f"{run.metrics['regularization rate']:g}" if "regularization rate" in run.metrics else "-",
            output.metric(run.metrics, "accuracy"),
            output.metric(run.metrics, "log loss"),
            f"{run.metrics['training seconds']:.1f}" if "training seconds" in run.metrics else "-",
            str(run.state),
            "best" if run is best else run.error or "",
        )
        for run in runs
    ]
    output.print_table(columns, rows, highlight=None if best is None else runs.index(best))
