"""Running sweeps: from an estimator and what to try to the finished runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from mnistkit.data.fetching import fetch_dataset
from mnistkit.jobs.job import TrainingJob
from mnistkit.runs.submission import OnUpdate, Submitter
from mnistkit.sweeps.search import Halving, check_parameters, combinations, configured
from mnistkit.sweeps.sweep import Sweep, Trial
from mnistkit.sweeps.trials import check_parallel, completed_before, named, run_halved, run_trials

__all__ = ["MakeJob", "run_optimization", "run_sweep"]

MakeJob = Callable[[Any], TrainingJob]
"""Returns the job that trains an estimator; of one sweep all have the same seed, limit and tags."""


def run_sweep(
    submitter: Submitter,
    make_job: MakeJob,
    estimator: Any,
    grid: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    *,
    n: int | None = None,
    halving: Halving | None = None,
    resume: bool = False,
    parallel: int | None = None,
    seed: int = 42,
    on_update: OnUpdate | None = None,
) -> Sweep:
    """Train one run per combination of parameters, and wait for all; see `mnistkit.Trainer.sweep`."""
    check_parallel(parallel)
    params = combinations(grid, n=n, seed=seed)
    uri = submitter.data.uri
    jobs = named([make_job(each) for each in configured(estimator, params)], uri)

    def run(jobs: Sequence[TrainingJob], params: Sequence[Mapping[str, Any]], rung: int | None = None) -> list[Trial]:
        before = completed_before(jobs, submitter.compute, uri) if resume else ()
        return run_trials(jobs, params, submitter, parallel=parallel, before=before, rung=rung, on_update=on_update)

    if halving is None:
        return Sweep(jobs[0].tags["sweep"], run(jobs, params))
    full, limit = len(fetch_dataset(submitter.data).train), jobs[0].limit
    full = full if limit is None else min(full, limit)
    return Sweep(jobs[0].tags["sweep"], run_halved(jobs, params, halving, full, run))


def run_optimization(
    submitter: Submitter,
    make_job: MakeJob,
    estimator: Any,
    space: Mapping[str, Any],
    *,
    n: int,
    sampler: Any = None,
    metric: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    parallel: int = 1,
    seed: int = 42,
    on_update: OnUpdate | None = None,
) -> Sweep:
    """Train ``n`` runs with parameters that one of Optuna's samplers chooses; see `mnistkit.Trainer.optimize`."""
    from mnistkit.sweeps.optimization import optimized_trials

    check_parallel(parallel)
    check_parameters(estimator, space)
    [base] = named([make_job(estimator)], submitter.data.uri, repr(space), str(n))

    def job(params: Mapping[str, Any]) -> TrainingJob:
        [configuration] = configured(estimator, [params])
        return attrs.evolve(make_job(configuration), tags=base.tags)

    trials = optimized_trials(
        job,
        space,
        submitter,
        n=n,
        sampler=sampler,
        metric=metric,
        mode=mode,
        parallel=parallel,
        seed=seed,
        on_update=on_update,
    )
    return Sweep(base.tags["sweep"], trials)
