"""Trials that learn from earlier ones: Optuna's samplers, by its ask and tell. Needs the extra ``optuna``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.sweeps.sweep import Trial
from mnistkit.sweeps.trials import SubmitAll, canceling, wait_until_fewer

if TYPE_CHECKING:  # an optional dependency
    import optuna

__all__ = ["optimized_trials"]

_log = logging.getLogger(__name__)


def optimized_trials(
    job: Callable[[Mapping[str, Any]], TrainingJob],
    space: Mapping[str, optuna.distributions.BaseDistribution],
    submit_all: SubmitAll,
    *,
    n: int,
    sampler: optuna.samplers.BaseSampler | None = None,
    metric: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    parallel: int = 1,
    seed: int = 42,
) -> list[Trial]:
    """Ask a sampler for ``n`` trials, ``parallel`` at a time, telling it how each came out before it is asked again.

    A run that doesn't complete, or whose metric isn't finite, is told as failed. A sampler that runs out of
    combinations, such as ``GridSampler``, ends it earlier. Interrupting it (Ctrl-C) cancels the runs that go on.

    Args:
        job: Makes the job that tries these parameters.
        space: Optuna's distributions by parameter.
        submit_all: Submits several jobs at once.
        n: How many trials.
        sampler: Any of ``optuna.samplers``; None for a seeded ``TPESampler``.
        metric: What to optimize: its last value.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.
        parallel: At most so many runs at a time: the more, the less each trial knows of the others.
        seed: Of the default sampler.

    Raises:
        MissingExtraError: Optuna isn't installed.
        UsageError: ``n`` is below 1, ``mode`` is neither, or ``space`` holds something else.
    """
    study = _study(space, n, sampler, mode, seed)
    asked: list[optuna.Trial] = []
    told: set[int] = set()
    runs: list[Run] = []
    with canceling(runs):
        while len(runs) < n:
            room = min(n - len(runs), parallel - (len(runs) - sum(run.state.is_terminal for run in runs)))
            asked += [study.ask(dict(space)) for _ in range(room)]
            runs += submit_all([job(trial.params) for trial in asked[len(runs) :]])
            wait_until_fewer(runs, parallel if len(runs) < n else None)
            ended = [i for i, run in enumerate(runs) if run.state.is_terminal and i not in told]
            told.update(ended)
            has_more = [_tell(study, asked[i], runs[i], metric) for i in ended]
            if not all(has_more):
                _log.info("the sampler has nothing more to try after %d of %d trials", len(runs), n)
                break
        wait_until_fewer(runs, 1)
    return [Trial(params=trial.params, run=run) for trial, run in zip(asked, runs, strict=True)]


def _study(
    space: Mapping[str, Any], n: int, sampler: optuna.samplers.BaseSampler | None, mode: str, seed: int
) -> optuna.Study:
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
    return optuna.create_study(
        direction="maximize" if mode == "max" else "minimize",
        sampler=sampler or optuna.samplers.TPESampler(seed=seed),
    )


def _tell(study: optuna.Study, trial: optuna.Trial, run: Run, metric: str) -> bool:
    """Report how a trial came out; whether the sampler has more to try."""
    import optuna

    value = run.metrics.get(metric, math.nan) if run.state is RunState.COMPLETED else math.nan
    is_good = math.isfinite(value)
    state = optuna.trial.TrialState.COMPLETE if is_good else optuna.trial.TrialState.FAIL
    try:
        study.tell(trial, value if is_good else None, state=state)
    except RuntimeError:  # a sampler at its end stops the loop of Study.optimize, which isn't the one that goes on here
        return False
    return True
