"""A trainer's methods about runs: submitting jobs, finding runs, reporting them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mnistkit.jobs.job import Job
from mnistkit.runs.reuse import ReuseDecision
from mnistkit.runs.run import Run
from mnistkit.runs.submission import Submitter
from mnistkit.sweeps.sweep import Sweep
from mnistkit.trainer.base import TrainerBase

__all__ = ["RunMethods"]


class RunMethods(TrainerBase):
    """The methods of a `Trainer` about runs."""

    def submit(self, job: Job, *, detach: bool = False, reuse: bool = False) -> Run:
        """Submit a job and return at once.

        Args:
            job: A `ScriptJob` or `TrainingJob`; it joins this trainer's experiment unless it names one.
            detach: Let the run outlive this process; `run` finds it again by its id.
            reuse: Return an earlier completed run of the same experiment instead, if it had the same code, parameters,
                data, libraries and seed; `explain_reuse` returns which.

        Raises:
            UsageError: ``detach``, and the backend's runs end with this process.
        """
        return self._submitter().submit(job, detach=detach, reuse=reuse)

    def submit_all(self, jobs: Sequence[Job]) -> list[Run]:
        """Submit several jobs at once and return their runs, in order; interrupted (Ctrl-C), it cancels them.

        Jobs that differ in the C of a `FastLogisticRegression` alone run one after another, if the backend can do
        that: each starts from the solution of the one before, which takes less time in all.
        """
        return self._submitter().submit_all(jobs)

    def explain_reuse(self, job: Job) -> ReuseDecision:
        """Return which run ``submit(job, reuse=True)`` would return, and if none, why; ``print`` it for the text.

        Raises:
            UsageError: The data source has no digests.
            MnistkitError: The job's code or data can't be read; see `mnistkit.jobs.Fingerprint`.
        """
        return self._submitter().explain_reuse(job)

    def run(self, run_id: str) -> Run:
        """Return a handle on an earlier run, also of another process.

        Raises:
            RunNotFoundError: No run has that id.
        """
        return Run(self.compute, self.compute.get(run_id))

    def runs(self) -> tuple[Run, ...]:
        """Return the runs of this experiment, newest first."""
        return tuple(Run(self.compute, record) for record in self.compute.runs(self.experiment))

    def report(self, of: Run | Sweep, path: str | os.PathLike[str] | None = None) -> Path:
        """Write everything known about a run or a sweep as one HTML file, and return its path.

        It loads nothing and names what is missing. It is ``report-ID.html`` by default; an existing one is replaced.

        Raises:
            StorageError: It can't be written.
        """
        from mnistkit.reports.reporting import report

        return report(of, path)

    def _submitter(self) -> Submitter:
        return Submitter(compute=self.compute, data=self.data, experiment=self.experiment)
