"""How the jobs of a sweep are run: side by side, in rounds, without what was done before."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from mnistkit.errors import UsageError
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.sweeps.search import Halving
from mnistkit.sweeps.sweep import Trial
from mnistkit.utils.serialization import to_json

__all__ = [
    "RunRung",
    "SubmitAll",
    "canceling",
    "check_parallel",
    "completed_before",
    "named",
    "run_halved",
    "run_trials",
    "wait_until_fewer",
]

_log = logging.getLogger(__name__)
_MAX_PAUSE_SECONDS = 0.25
_DIGITS = 12

SubmitAll = Callable[[Sequence[Job]], list[Run]]
"""Submits jobs at once and returns their runs, in order."""

RunRung = Callable[[Sequence[TrainingJob], Sequence[Mapping[str, Any]], int], list[Trial]]
"""Runs the jobs of one rung to their ends."""


def named(jobs: Sequence[TrainingJob], data: str, *more: str) -> list[TrainingJob]:
    """The jobs of one sweep, tagged as such: by ``tags["sweep"]`` if that is given, else by a digest of its trials.

    Args:
        jobs: At least one; all with the same tags.
        data: The uri of their data.
        more: What else tells the sweep from others.
    """
    parts = [*(_identity(job, data) for job in jobs), *(part.encode() for part in more)]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:_DIGITS]
    return [attrs.evolve(job, tags={"sweep": digest, **job.tags}) for job in jobs]


def completed_before(jobs: Sequence[TrainingJob], compute: ComputeBackend, data: str) -> list[Run | None]:
    """For each job the newest completed run of the same job on this backend, or None.

    Two jobs are the same if their estimators, written as JSON, are equal, and so are their seed, limit, model format,
    experiment and the uri of their data. Tags, timeouts and retries don't matter. Nor do library versions, and what
    is behind the uri isn't looked at: after an upgrade, or when the data has changed, run everything again.

    Args:
        jobs: What is to be run.
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
    submit_all: SubmitAll,
    *,
    parallel: int | None = None,
    before: Sequence[Run | None] = (),
    rung: int | None = None,
) -> list[Trial]:
    """Run jobs until each has ended, however it ends; interrupting it (Ctrl-C) cancels those that go on.

    Args:
        jobs: What to run.
        params: What each job tries.
        submit_all: Is given as many jobs at once as may start.
        parallel: At most so many at a time; None for all at once.
        before: For each job a run that is taken as it is, or None; empty for none at all.
        rung: The rung of a `Halving` that this is.
    """
    before = before or [None] * len(jobs)
    waiting = deque(job for job, run in zip(jobs, before, strict=True) if run is None)
    runs: list[Run] = []
    with canceling(runs, "To run only what is missing, call it again with resume=True."):
        while waiting:
            free = len(waiting) if parallel is None else parallel - len(_going(runs))
            runs += submit_all([waiting.popleft() for _ in range(min(free, len(waiting)))])
            wait_until_fewer(runs, parallel)
        wait_until_fewer(runs, 1)
    new = iter(runs)
    return [
        Trial(params=values, run=next(new) if earlier is None else earlier, rung=rung, reused=earlier is not None)
        for values, earlier in zip(params, before, strict=True)
    ]


def run_halved(
    jobs: Sequence[TrainingJob], params: Sequence[Mapping[str, Any]], halving: Halving, full: int, run_rung: RunRung
) -> list[Trial]:
    """Run jobs rung by rung, on ever more images, as `Halving` says.

    Args:
        jobs: The jobs of the last rung, had they all got there.
        params: What each job tries.
        halving: The rule.
        full: How many training images the last rung has.
        run_rung: Runs the jobs of one rung: given jobs, what they try, and the rung's number.
    """
    limits = halving.limits(len(jobs), full)
    going, trials = list(range(len(jobs))), list[Trial]()
    for rung, limit in enumerate(limits):
        is_last = rung == len(limits) - 1
        now = [jobs[i] if is_last else attrs.evolve(jobs[i], limit=limit) for i in going]
        done = run_rung(now, [params[i] for i in going], rung)
        trials += done
        going = [going[i] for i in halving.survivors([trial.run for trial in done])]
        _log.info("rung %d, %d images: %d of %d go on", rung, limit, 0 if is_last else len(going), len(done))
        if not going:
            break
    return trials


def wait_until_fewer(runs: Sequence[Run], parallel: int | None) -> None:
    """Wait until fewer than ``parallel`` of the runs go on; None doesn't wait."""
    pause = 0.01
    while parallel is not None and len(going := _going(runs)) >= parallel:
        time.sleep(pause)
        pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
        for run in going:
            run.refresh()


def check_parallel(parallel: int | None) -> None:
    """Make sure that ``parallel`` lets something run.

    Raises:
        UsageError: It is below 1.
    """
    if parallel is not None and parallel < 1:
        raise UsageError(f"parallel={parallel}: run at least one job at a time.")


@contextmanager
def canceling(runs: Sequence[Run], note: str = "") -> Iterator[None]:
    """Cancel what goes on of ``runs`` when the block is interrupted (Ctrl-C), and say so in the log.

    Args:
        runs: Those to cancel; may grow within the block.
        note: What to do next, for the log.
    """
    try:
        yield
    except KeyboardInterrupt:
        going = _going(runs)
        for run in going:
            run.cancel()
        canceled = ", ".join(run.id for run in going if run.state is not RunState.COMPLETED) or "nothing"
        _log.warning("Interrupted: canceled %s; runs that had ended are kept. %s", canceled, note)
        raise


def _going(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if not run.state.is_terminal]


def _identity(job: TrainingJob, data: str) -> bytes:
    """What makes two jobs the same; see `completed_before`."""
    return to_json([job.model, job.seed, job.limit, job.model_format, job.experiment, data])
