"""Trials: run the jobs of a sweep in parallel or rung by rung, without those that completed before."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import attrs

from mnistkit.errors import UsageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.runs.submission import OnUpdate, Submitter, canceling, wait_while_running
from mnistkit.sweeps.search import Halving
from mnistkit.sweeps.sweep import Trial
from mnistkit.utils.arguments import check_type
from mnistkit.utils.serialization import to_json

__all__ = [
    "RunRung",
    "check_parallel",
    "completed_before",
    "lacks_metric",
    "named",
    "note_missing_metric",
    "run_halved",
    "run_trials",
]

_log = logging.getLogger(__name__)
_DIGEST_DIGITS = 12

RunRung = Callable[[Sequence[TrainingJob], Sequence[Mapping[str, Any]], int], list[Trial]]
"""Runs the jobs of one rung until all have finished."""


def named(jobs: Sequence[TrainingJob], data: str, *more: str) -> list[TrainingJob]:
    """Return the jobs tagged as one sweep: with ``tags["sweep"]`` if that is set, else with a digest of its trials.

    Args:
        jobs: At least one; all with the same tags.
        data: The uri of their data.
        more: What else distinguishes the sweep from others.
    """
    parts = [*(_identity(job, data) for job in jobs), *(part.encode() for part in more)]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:_DIGEST_DIGITS]
    return [attrs.evolve(job, tags={"sweep": digest, **job.tags}) for job in jobs]


def completed_before(jobs: Sequence[TrainingJob], compute: ComputeBackend, data: str) -> list[Run | None]:
    """Return for each job the newest completed run of the same job on this backend, or None.

    Two jobs are the same if their estimators, written as JSON, are equal, and so are their seed, limit, model format,
    experiment and the uri of their data. Tags, timeouts, retries and library versions don't matter, and the data
    behind the uri isn't read: after an upgrade, or when the data has changed, run everything again.

    Args:
        jobs: What to run.
        compute: Where it would run.
        data: The uri of the data.
    """
    found: dict[bytes, Run] = {}
    for experiment in {job.experiment for job in jobs}:
        for record in compute.runs(experiment):  # newest first
            if record.state is RunState.COMPLETED and isinstance(record.job, TrainingJob):
                found.setdefault(_identity(record.job, record.data), Run(compute, record))
    return [found.get(_identity(job, data)) for job in jobs]


def run_trials(
    jobs: Sequence[TrainingJob],
    params: Sequence[Mapping[str, Any]],
    submitter: Submitter,
    *,
    parallel: int | None = None,
    before: Sequence[Run | None] = (),
    rung: int | None = None,
    on_update: OnUpdate | None = None,
) -> list[Trial]:
    """Run jobs until each has finished, however it ended; interrupting it (Ctrl-C) cancels the unfinished ones.

    Args:
        jobs: What to run.
        params: What each job tries.
        submitter: Submits the jobs.
        parallel: The number of runs at a time, each on its own; None submits all at once, in warm-start groups.
        before: For each job a run to take over as it is, or None; empty for no such runs.
        rung: The rung of a `Halving` that this is.
        on_update: Called after each submission and each poll.
    """
    before = before or [None] * len(jobs)
    waiting = deque(job for job, run in zip(jobs, before, strict=True) if run is None)
    runs: list[Run] = []
    note = "To run only what is missing, call it again with resume=True."
    with canceling(runs, note, is_quiet=on_update is not None):
        if parallel is None:
            runs += submitter.submit_all([*waiting])
            waiting.clear()
        while waiting:
            # One by one: jobs of a warm-start group wait for each other, and fewer than `parallel` would run.
            runs.append(submitter.submit(waiting.popleft()))
            wait_while_running(runs, parallel, len(waiting), on_update)
        wait_while_running(runs, 1, 0, on_update)
    new = iter(runs)
    return [
        Trial(params=values, run=next(new) if earlier is None else earlier, rung=rung, reused=earlier is not None)
        for values, earlier in zip(params, before, strict=True)
    ]


def run_halved(
    jobs: Sequence[TrainingJob], params: Sequence[Mapping[str, Any]], halving: Halving, full: int, run_rung: RunRung
) -> list[Trial]:
    """Run jobs rung by rung, on more and more images, by the rule of `Halving`.

    Args:
        jobs: The jobs as they are on the last rung.
        params: What each job tries.
        halving: The rule.
        full: How many training images the last rung has.
        run_rung: Runs the jobs of one rung: given jobs, what they try, and the rung's number.
    """
    limits = halving.limits(len(jobs), full)
    left, trials = list(range(len(jobs))), list[Trial]()
    for rung, limit in enumerate(limits):
        is_last = rung == len(limits) - 1
        now = [jobs[i] if is_last else attrs.evolve(jobs[i], limit=limit) for i in left]
        done = run_rung(now, [params[i] for i in left], rung)
        trials += done
        runs = [trial.run for trial in done]
        note_missing_metric(runs, halving.metric)
        left = [left[i] for i in halving.survivors(runs)]
        _log.info("rung %d, %d images: %d of %d combinations stay", rung, limit, 0 if is_last else len(left), len(done))
        if not left:
            break
    return trials


def lacks_metric(runs: Sequence[Run], metric: str) -> bool:
    """Return True if runs have completed, and none of them has logged ``metric``."""
    completed = [run for run in runs if run.state is RunState.COMPLETED]
    return bool(completed) and not any(metric in run.metrics for run in completed)


def note_missing_metric(runs: Sequence[Run], metric: str) -> None:
    """Log an error that lists the logged metrics, if `lacks_metric`: a search can't go by it."""
    if lacks_metric(runs, metric):
        logged = ", ".join(dict.fromkeys(name for run in runs for name in run.metrics)) or "none"
        _log.error("The search has ended: no run has logged the metric %r. The logged metrics: %s.", metric, logged)


def check_parallel(parallel: int | None) -> None:
    """Check that ``parallel`` is at least 1.

    Raises:
        UsageError: It is below 1.
    """
    if parallel is None:
        return
    check_type(parallel, Integral, "parallel", "a whole number of runs, or None")
    if parallel < 1:
        raise UsageError(f"parallel={parallel}: run at least one job at a time.")


def _identity(job: TrainingJob, data: str) -> bytes:
    """Return what two jobs have in common if they are the same; see `completed_before`."""
    return to_json([job.model, job.seed, job.limit, job.model_format, job.experiment, data])
