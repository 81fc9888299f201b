"""``mnistkit train``, and what ``mnistkit sweep`` shares with it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import asdict

from mnistkit.cli import output
from mnistkit.cli.command import AllowOtherDataOption, DataOption, JsonOption, TagOption, examples, parse_tags
from mnistkit.cli.estimator_options import (
    EstimatorOption,
    SetOption,
    accurate_classifier,
    chosen_estimator,
    refuse_options,
)
from mnistkit.cli.model_values import model_json
from mnistkit.cli.run_values import run_json
from mnistkit.cli.training_options import (
    DetachOption,
    ExperimentOption,
    ExplainOption,
    FormatOption,
    LimitOption,
    MaxIterOption,
    ModelFormat,
    NameOption,
    RegisterOption,
    RetriesOption,
    ReuseOption,
    SeedOption,
    Solver,
    SolverOption,
    TimeoutOption,
    TolOption,
    fast_logistic_regression,
    inverse_rate,
    logistic_regression,
)
from mnistkit.errors import RunFailedError, UsageError
from mnistkit.utils.text import number

if TYPE_CHECKING:  # loads numpy
    from mnistkit.jobs.job import TrainingJob
    from mnistkit.registry.version import ModelVersion
    from mnistkit.runs.reuse import ReuseDecision
    from mnistkit.runs.run import Run
    from mnistkit.trainer.trainer import Trainer

__all__ = [
    "TRAIN_EXAMPLES",
    "check_completed",
    "checked_name",
    "configured",
    "named",
    "note_convergence",
    "prepared",
    "print_detached",
    "print_model",
    "print_result",
    "registered",
    "result_json",
    "train",
]

TRAIN_EXAMPLES = examples(
    "mnistkit train",
    "mnistkit train --regularization 0.8 --solver liblinear",
    "mnistkit train --solver accurate",
    "mnistkit train --solver accurate --set order=1",
    "mnistkit train --estimator sklearn.svm:SVC --set C=10 --set gamma=scale",
    "mnistkit train --data digits --name digits --tag purpose=demo",
    "mnistkit train --limit 5000 --no-register --json",
    "mnistkit train --regularization 0.8 --explain",
)


def train(
    context: typer.Context,
    *,
    data: DataOption = None,
    regularization: Annotated[float, typer.Option(help="The regularization rate, above 0: C is 1/rate.")] = 0.5,
    solver: SolverOption = Solver.FAST,
    estimator: EstimatorOption = None,
    settings: SetOption = None,
    max_iter: MaxIterOption = 100,
    tol: TolOption = 1e-3,
    seed: SeedOption = 42,
    limit: LimitOption = None,
    experiment: ExperimentOption = None,
    name: NameOption = None,
    register: RegisterOption = True,
    allow_other_data: AllowOtherDataOption = False,
    tag: TagOption = None,
    model_format: FormatOption = ModelFormat.SKOPS,
    reuse: ReuseOption = False,
    explain: ExplainOption = False,
    detach: DetachOption = False,
    timeout: TimeoutOption = None,
    retries: RetriesOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a logistic regression, with --solver accurate an accurate classifier, or any --estimator; register it.

    Fetches the data (then it is cached), trains, evaluates on the test images, and keeps a record of the run.
    Ctrl-C cancels the run.
    """
    c = inverse_rate(regularization)
    name, tags = checked_name(name), parse_tags(tag)
    options: dict[str, Any] = {"seed": seed, "limit": limit, "tags": tags, "model_format": model_format.value}
    options |= {"timeout": timeout, "retries": retries}
    trainer = configured(data, experiment)
    classifier = named(context, trainer, estimator, solver, settings)
    if classifier is None and solver is Solver.FAST:
        classifier = fast_logistic_regression(c, max_iter, tol)
    elif classifier is None:
        classifier = logistic_regression(c, solver, max_iter, tol)
    counts = {} if explain else prepared(trainer)
    name = name or trainer.model_name
    job = trainer.job(classifier, **options)
    if explain:
        _print_decision(trainer.explain_reuse(job), as_json=as_json)
        return
    reused = _reused(trainer, job) if reuse else None
    if detach and not reused:
        print_detached(trainer.submit(job, detach=True), name, as_json=as_json)
        return
    run = reused or _trained(trainer, classifier, options)
    check_completed(run)
    note_convergence(run, max_iter if estimator is None and solver is not Solver.ACCURATE else None)
    is_new = reused is None
    model = registered(trainer, run, name, is_new=is_new, allow_other_data=allow_other_data) if register else None
    if as_json:
        output.print_json({**result_json(run, model), "reused": reused is not None, "data": counts})
        return
    print_result(run, model)


def named(
    context: typer.Context, trainer: Trainer, estimator: str | None, solver: Solver, settings: Sequence[str] | None
) -> Any:
    """Return the classifier of ``--estimator`` or ``--solver accurate`` with its parameters; None without these.

    Raises:
        UsageError: Options of the logistic regression were given besides, or it has no such parameter.
    """
    if estimator is None and solver is not Solver.ACCURATE:
        if settings:
            raise UsageError(f"--set {settings[0]} needs --estimator, or --solver accurate.")
        return None
    other = "--solver accurate" if estimator is None else "--estimator"
    why = f"is for the logistic regression: set parameters of {other} with --set NAME=VALUE."
    refuse_options(context, ("regularization", "max_iter", "tol"), why)
    if estimator is None:
        return accurate_classifier(settings, trainer.data.uri)
    refuse_options(context, ("solver",), why)
    return chosen_estimator(estimator, settings)


def print_result(run: Run, model: ModelVersion | None) -> None:
    """Print the metrics of a completed run, its registered model, its id and its place."""
    _print_metrics(run.metrics)
    print_model(model)
    output.say(f"run: {run.id}")
    output.say(f"{output.place_name(run.record.url)}: {run.record.url}")


def print_detached(run: Run, name: str | None, *, as_json: bool) -> None:
    """Print a run that continues in the background, and how to follow it; ``name`` is what to register it under."""
    if as_json:
        output.print_json({"run": run_json(run.record)})
        return
    output.say(f"run: {run.id}")
    output.note(
        f"It keeps running in the background. Follow it with 'mnistkit runs logs -f {run.id}', stop it with 'mnistkit "
        f"runs cancel {run.id}', and register it with 'mnistkit models register {run.id} {name or 'NAME'}' once it has "
        "completed."
    )


def checked_name(name: str | None) -> str | None:
    """Return the name to register under, checked before training; None for the default."""
    from mnistkit.utils.names import check_name

    return None if name is None else check_name(name, "model name")


def configured(data: str | None, experiment: str | None) -> Trainer:
    """Return the trainer of ``mnistkit.toml``, with other data or another experiment if these are given."""
    from mnistkit.trainer.trainer import Trainer

    return Trainer.from_config(data=data, experiment=experiment)


def prepared(trainer: Trainer) -> dict[str, object]:
    """Fetch the trainer's data into the cache; return its name and sizes. The images are freed before the run."""
    from mnistkit.cli.watch import fetched

    dataset = fetched(trainer)
    h, w = dataset.train.images.shape[1:]
    output.note(
        f"{dataset.name}: {len(dataset.train)} images to train on, {len(dataset.test)} to test on, "
        f"{h}x{w}, {len(dataset.class_names)} classes"
    )
    return {"name": dataset.name, "train": len(dataset.train), "test": len(dataset.test)}


def _reused(trainer: Trainer, job: TrainingJob) -> Run | None:
    """Return the earlier run to reuse, or None; print the decision."""
    decision = trainer.explain_reuse(job)
    if not decision.reuses or decision.run_id is None:
        output.note(str(decision))
        return None
    output.note(f"Reused run {decision.run_id}: it had the same code, parameters, data, libraries and seed.")
    return trainer.run(decision.run_id)


def registered(trainer: Trainer, run: Run, name: str, *, is_new: bool, allow_other_data: bool) -> ModelVersion:
    """Register the run's model, and return it; of a reused run, the version registered before if there is one."""
    versions = () if is_new or name not in trainer.models.names() else trainer.models.versions(name)
    earlier = [model for model in versions if model.run_id == run.id]
    return earlier[-1] if earlier else trainer.register(run, name, allow_other_data=allow_other_data)


def _trained(trainer: Trainer, classifier: Any, options: Mapping[str, Any]) -> Run:
    """Return the finished run, shown while it runs; one that failed as well."""
    from mnistkit.cli.watch import watching

    seen: list[Run] = []
    with watching() as show:

        def update(runs: Sequence[Run], n_waiting: int) -> None:
            seen[:] = runs
            show(runs, n_waiting)

        with contextlib.suppress(RunFailedError):
            trainer.train(classifier, on_update=update, **options)
    return seen[-1]


def check_completed(run: Run) -> None:
    """Raise RunFailedError unless the run has completed."""
    from mnistkit.runs.record import RunState

    if run.state is not RunState.COMPLETED:
        detail = f": {run.error.rstrip('.')}" if run.error else ""
        raise RunFailedError(f"Run {run.id} is {run.state}{detail}. Its log: mnistkit runs logs {run.id}")


def note_convergence(run: Run, max_iter: int | None) -> None:
    """Print a note if the solver stopped before it had converged; None for one without the option --max-iter."""
    if "ConvergenceWarning" not in run.logs():
        return
    if max_iter is None:
        output.note(f"Note: run {run.id} stopped before it had converged: its log has the warning.")
        return
    output.note(
        f"Note: run {run.id} stopped at {max_iter} iterations, before the solver had converged. "
        "Raise --max-iter, or raise --tol to stop earlier."
    )


def result_json(run: Run, model: ModelVersion | None) -> dict[str, object]:
    """Return a run, its metrics and its registered model as ``--json`` prints them."""
    return {"run": run_json(run.record), "metrics": run.metrics, "model": model_json(model) if model else None}


def _print_decision(decision: ReuseDecision, *, as_json: bool) -> None:
    if not as_json:
        output.say(str(decision))
        return
    state = decision.state
    output.print_json(
        {
            "reuses": decision.reuses,
            "run": decision.run_id,
            "state": None if state is None else str(state),
            "differences": [asdict(difference) for difference in decision.differences],
        }
    )


def _print_metrics(metrics: Mapping[str, float]) -> None:
    """Print the tutorial's two metrics, then the others, a line each."""
    first = [name for name in ("regularization rate", "accuracy") if name in metrics]
    for name in (*first, *sorted(metrics.keys() - set(first))):
        output.say(f"{name}: {number(metrics[name])}")


def print_model(model: ModelVersion | None) -> None:
    """Print name, id and version of a registered model, separated by tabs."""
    if model:
        output.say(f"{model.name}\t{model.id}\t{model.version}")
