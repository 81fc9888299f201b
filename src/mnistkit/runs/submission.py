"""Submission: jobs become runs, with their fingerprints, in groups, or as an earlier run that is reused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter

import attrs
from attrs import frozen

from mnistkit.data.source import DataSource, SupportsDigests
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.estimators.warm_start import warm_start_groups
from mnistkit.jobs.fingerprint import Fingerprint
from mnistkit.jobs.job import Job, ScriptJob, TrackedJob, TrainingJob
from mnistkit.runs.backend import ComputeBackend, SupportsGroups
from mnistkit.runs.record import RunState
from mnistkit.runs.reuse import ReuseDecision, explain_reuse
from mnistkit.runs.run import Run, wait_for_change
from mnistkit.utils.arguments import check_type
from mnistkit.utils.redaction import redacted

__all__ = ["OnUpdate", "Submitter", "canceling", "fingerprint", "running", "wait_while_running"]

_log = logging.getLogger(__name__)

_MIN_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.25

OnUpdate = Callable[[Sequence[Run], int], None]
"""Called after each submission and each poll with the runs so far, and the number of jobs not yet submitted."""


@frozen(kw_only=True)
class Submitter:
    """Submits jobs of one experiment on one dataset to one backend.

    Attributes:
        compute: Where the code runs.
        data: Where the data comes from.
        experiment: The experiment of jobs that name none.
    """

    compute: ComputeBackend
    data: DataSource
    experiment: str

    def submit(self, job: Job, *, detach: bool = False, reuse: bool = False) -> Run:
        """Submit a job and return at once; see `mnistkit.Trainer.submit`."""
        job = self._prepared(job)
        if reuse and job.fingerprint is not None:
            found = explain_reuse(job.fingerprint, self.compute.runs(job.experiment))
            if found.reuses and found.run_id is not None:
                _log.info("reused run %s: the same code, parameters, data, libraries and seed", found.run_id)
                return Run(self.compute, self.compute.get(found.run_id))
        return Run(self.compute, self.compute.submit(job, self.data, detach=detach))

    def train(self, job: TrainingJob, *, reuse: bool = False, on_update: OnUpdate | None = None) -> Run:
        """Submit a job and wait until its run has completed; see `mnistkit.Trainer.train`."""
        run = self.submit(job, reuse=reuse)
        with canceling([run], is_quiet=on_update is not None):
            wait_while_running([run], 1, 0, on_update)
        run.raise_for_state()
        return run

    def submit_all(self, jobs: Sequence[Job]) -> list[Run]:
        """Submit jobs at once and return their runs, in order; see `mnistkit.Trainer.submit_all`."""
        check_type(jobs, (list, tuple), "jobs", "a list of jobs, such as those that trainer.job(estimator) returns")
        jobs = [self._joined(job) for job in jobs]
        can_group = isinstance(self.compute, SupportsGroups)
        order: list[int] = []
        runs: list[Run] = []
        with canceling(runs):
            for group in warm_start_groups(jobs) if can_group else [[i] for i in range(len(jobs))]:
                runs += self._submit_group([jobs[i] for i in group])
                order += group
        return [run for _, run in sorted(zip(order, runs, strict=True), key=itemgetter(0))]

    def explain_reuse(self, job: Job) -> ReuseDecision:
        """Return which run ``submit(job, reuse=True)`` would return; see `mnistkit.Trainer.explain_reuse`."""
        job = self._joined(job)
        return explain_reuse(fingerprint(job, self.data), self.compute.runs(job.experiment))

    def _submit_group(self, jobs: Sequence[Job]) -> list[Run]:
        if len(jobs) == 1 or not isinstance(self.compute, SupportsGroups):
            return [self.submit(job) for job in jobs]
        records = self.compute.submit_group([self._prepared(job) for job in jobs], self.data)
        return [Run(self.compute, record) for record in records]

    def _prepared(self, job: Job) -> Job:
        """Return the job with its experiment and, where it can be computed, its fingerprint."""
        job = self._joined(job)
        try:
            known = fingerprint(job, self.data)
        except (MnistkitError, OSError, SyntaxError) as error:  # the run can go ahead: only no later job reuses it
            _log.debug("no fingerprint of the %s job: %s", job.kind, redacted(str(error)))
            known = None
        return attrs.evolve(job, fingerprint=known)

    def _joined(self, job: Job) -> Job:
        use = "a ScriptJob or what trainer.job(estimator) returns; trainer.train(estimator) makes a job and waits"
        check_type(job, (ScriptJob, TrackedJob, TrainingJob), "job", use)
        return attrs.evolve(job, experiment=self.experiment) if job.experiment == "default" else job


def fingerprint(job: Job, source: DataSource) -> Fingerprint:
    """Return what the result of a job on the data of a source depends on. Nothing is fetched.

    Raises:
        UsageError: The source has no digests, or a script's folder is too large.
        NotFoundError: A script, or the data, doesn't exist.
        SpecError: The estimator can't be imported, or its source has changed since it was imported.
    """
    if not isinstance(source, SupportsDigests):
        raise UsageError(
            f"The data source {source.uri} doesn't identify its content without fetching it, so that runs on it can't "
            "be compared: give it a method 'digests', as mnistkit.interfaces.SupportsDigests has it."
        )
    return job.fingerprint_on(source.digests())


def running(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that hadn't finished when they were last polled, those that are queued among them."""
    return [run for run in runs if not run.state.is_terminal]


def wait_while_running(
    runs: Sequence[Run], parallel: int | None, n_waiting: int = 0, on_update: OnUpdate | None = None
) -> None:
    """Wait until fewer than ``parallel`` of the runs are unfinished; None doesn't wait.

    Args:
        runs: Those to poll.
        parallel: The number of unfinished runs to wait for.
        n_waiting: The number of jobs not yet submitted, for ``on_update``.
        on_update: Called at once, and after each poll.
    """
    pause = _MIN_PAUSE_SECONDS
    if on_update is not None:
        on_update(runs, n_waiting)
    while parallel is not None and len(unfinished := running(runs)) >= parallel:
        wait_for_change(unfinished[0], pause)
        pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
        for run in unfinished:
            run.refresh()
        if on_update is not None:
            on_update(runs, n_waiting)


@contextmanager
def canceling(runs: Sequence[Run], note: str = "", *, is_quiet: bool = False) -> Iterator[None]:
    """Cancel the unfinished ``runs`` when the block is interrupted (Ctrl-C), and log which.

    Args:
        runs: Those to cancel; may grow within the block.
        note: What to do next, for the log.
        is_quiet: Log it as information, not as a warning: the caller follows the runs and reports it.
    """
    try:
        yield
    except KeyboardInterrupt:
        unfinished = running(runs)
        for run in unfinished:
            run.cancel()
        canceled = ", ".join(run.id for run in unfinished if run.state is not RunState.COMPLETED) or "nothing"
        level = logging.INFO if is_quiet else logging.WARNING
        _log.log(level, "Interrupted: canceled %s; finished runs are kept. %s", canceled, note)
        raise
