"""Optimization: Optuna's samplers choose the trials, by its ask-and-tell interface. Needs the extra ``optuna``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.runs.submission import OnUpdate, Submitter, canceling, running, wait_while_running
from mnistkit.sweeps.sweep import Trial
from mnistkit.sweeps.trials import lacks_metric, note_missing_metric
from mnistkit.utils.arguments import check_type

if TYPE_CHECKING:  # an optional dependency
    import optuna

__all__ = ["optimized_trials"]

_log = logging.getLogger(__name__)


def optimized_trials(
    job: Callable[[Mapping[str, Any]], TrainingJob],
    space: Mapping[str, optuna.distributions.BaseDistribution],
    submitter: Submitter,
    *,
    n: int,
    sampler: optuna.samplers.BaseSampler | None = None,
    metric: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    parallel: int = 1,
    seed: int = 42,
    on_update: OnUpdate | None = None,
) -> list[Trial]:
    """Run ``n`` trials that a sampler chooses, ``parallel`` at a time; it learns from each that has finished.

    A run that doesn't complete, or whose metric isn't finite, counts as a failed trial. A sampler that runs out of
    combinations, such as ``GridSampler``, ends it earlier. Interrupting it (Ctrl-C) cancels the unfinished runs.

    Args:
        job: Makes the job that tries these parameters.
        space: Optuna's distributions by parameter.
        submitter: Submits the jobs.
        n: How many trials.
        sampler: Any of ``optuna.samplers``; None for a seeded ``TPESampler``.
        metric: What to optimize: its last value.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.
        parallel: The maximum number of runs at a time: the more, the less the sampler learns before each choice.
        seed: Seed for the default sampler.
        on_update: Called after each submission and each poll.

    Raises:
        MissingExtraError: Optuna isn't installed.
        UsageError: ``n`` is below 1, ``mode`` is neither, or ``space`` holds something else.
    """
    check_type(metric, str, "metric", "the name of a metric that the runs log, such as 'accuracy'")
    study = _study(space, n, sampler, mode, seed)
    chosen: list[optuna.Trial] = []
    reported: set[int] = set()
    runs: list[Run] = []
    with canceling(runs, is_quiet=on_update is not None):
        while len(runs) < n:
            for _ in range(min(n - len(runs), parallel - len(running(runs)))):
                with _quiet():
                    chosen.append(study.ask(dict(space)))
                runs.append(submitter.submit(job(chosen[-1].params)))
            wait_while_running(runs, parallel if len(runs) < n else None, n - len(runs), on_update)
            finished = [i for i, run in enumerate(runs) if run.state.is_terminal and i not in reported]
            reported.update(finished)
            if lacks_metric(runs, metric):
                break
            has_more = [_report(study, chosen[i], runs[i], metric) for i in finished]
            if not all(has_more):
                _log.info("the sampler has nothing more to try after %d of %d trials", len(runs), n)
                break
        wait_while_running(runs, 1, 0, on_update)
    note_missing_metric(runs, metric)
    return [Trial(params=trial.params, run=run) for trial, run in zip(chosen, runs, strict=True)]


def _study(
    space: Mapping[str, Any], n: int, sampler: optuna.samplers.BaseSampler | None, mode: str, seed: int
) -> optuna.Study:
    check_type(n, Integral, "n", "a whole number of combinations")
    if n < 1:
        raise UsageError(f"n={n}: try at least 1 combination.")
    if mode not in {"max", "min"}:
        raise UsageError(f"mode={mode!r}: use 'max' or 'min'.")
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            "optimize needs Optuna: python -m pip install 'mnistkit[optuna]'. Without it, sweep can draw at random."
        ) from error
    if not space:
        raise UsageError("The space is empty: give at least one parameter a distribution.")
    for name, values in space.items():
        if not isinstance(values, optuna.distributions.BaseDistribution):
            raise UsageError(
                f"{name} is {values!r:.80}: use one of optuna.distributions, such as "
                "FloatDistribution(0.01, 10, log=True) or CategoricalDistribution([...])."
            )
    if sampler is not None:
        use = "one of optuna.samplers, made with its arguments, such as TPESampler(seed=1)"
        check_type(sampler, optuna.samplers.BaseSampler, "sampler", use)
    with _quiet():
        return optuna.create_study(
            direction="maximize" if mode == "max" else "minimize",
            sampler=sampler or optuna.samplers.TPESampler(seed=seed),
        )


def _report(study: optuna.Study, trial: optuna.Trial, run: Run, metric: str) -> bool:
    """Report the value of a trial to the sampler; return True if it has more to try."""
    import optuna

    value = run.metrics.get(metric, math.nan) if run.state is RunState.COMPLETED else math.nan
    is_good = math.isfinite(value)
    state = optuna.trial.TrialState.COMPLETE if is_good else optuna.trial.TrialState.FAIL
    try:
        with _quiet():
            study.tell(trial, value if is_good else None, state=state)
    except RuntimeError:  # an exhausted sampler stops the loop of Study.optimize, which isn't running here
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from printing on standard error, and leave the verbosity that the program has set for it."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
