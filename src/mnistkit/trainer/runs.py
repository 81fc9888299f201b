"""A trainer's methods about runs: submitting jobs, finding runs, reporting them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from mnistkit.evaluation.run_comparison import RunComparison, compare_runs
from mnistkit.jobs.job import Job, TrackedJob
from mnistkit.runs.query import RunQuery
from mnistkit.runs.reuse import ReuseDecision
from mnistkit.runs.run import Run
from mnistkit.runs.submission import Submitter
from mnistkit.runs.table import RunTable
from mnistkit.sweeps.sweep import Sweep
from mnistkit.tracking.active import ActiveRun
from mnistkit.tracking.starting import start_run
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

    def start_run(
        self, name: str = "fit", *, tags: Mapping[str, str] | None = None, parent: Run | str | None = None,
        capture: bool = True,
    ) -> AbstractContextManager[ActiveRun]:  # fmt: skip
        """Record what the block does as a run, carried out here: ``with trainer.start_run("my fit") as run:``.

        In the block, ``run`` logs metrics and images, evaluates and saves a classifier; it is what
        `mnistkit.get_context` returns. The run is kept like any other, with the program's source, the versions and the
        digests of the data. It is Completed at the end of the block, Failed with its traceback if the block raises,
        Canceled on Ctrl-C, and Failed if the program dies.

        Args:
            name: For people.
            tags: Free text by key.
            parent: The run that this one is part of, as in a sweep of your own: its id becomes the tag ``parent``.
                Needed to start a run in the block of another.
            capture: Keep what this thread prints in the run's log as well; it is shown all the same.

        Raises:
            UsageError: The backend keeps its runs in another place; the code is part of a run already, and there is no
                ``parent``; or a backend carries this program out as a run.
            RunNotFoundError: There is no run ``parent``.
            StorageError: The run's folder can't be written.
        """
        job = TrackedJob(name=name, experiment=self.experiment, tags={} if tags is None else tags)
        return start_run(self.compute, self.data, job, self.dataset, parent=parent, capture=capture)

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

    def runs(
        self, where: str | None = None, *, sort: str | None = None, data: str | None = None,
        since: timedelta | None = None, limit: int | None = None, all_experiments: bool = False,
    ) -> RunTable:  # fmt: skip
        """Return runs of this experiment as a table: a sequence of `Run`, newest first unless it is sorted.

        Args:
            where: Only those that match, as ``accuracy > 0.92 and params.C <= 1``; see `mnistkit.runs.parse_filter`.
            sort: Names separated by commas, descending with a hyphen before it: ``"-accuracy,created"``.
            data: Only those on the data of this uri.
            since: Only those that were submitted at most this long ago.
            limit: At most this many, from the top.
            all_experiments: Return those of the other experiments of ``compute`` as well.

        Raises:
            UnknownNameError: A name is none of those runs; lists the names that there are.
            UsageError: ``where`` or ``sort`` can't be read; says where, and what is expected there.
        """
        query = RunQuery(where=where, sort=sort, data=data, since=since, limit=limit)
        return query.apply(RunTable.of(self.compute, None if all_experiments else self.experiment))

    def compare_runs(self, *runs: Run | str, predictions: bool = True) -> RunComparison:
        """Return what differs between runs: parameters, code, data, libraries, seed, metrics and times.

        Args:
            runs: Two or more, or their ids; the first is the one that the others are compared with.
            predictions: False to load no model, and so to leave out McNemar's test.

        Raises:
            RunNotFoundError: No run has such an id.
            UsageError: There are fewer than two runs, or more than twenty.
        """
        return compare_runs([self.run(run) if isinstance(run, str) else run for run in runs], predictions=predictions)

    def report(self, of: Run | Sweep | RunTable, path: str | os.PathLike[str] | None = None) -> Path:
        """Write everything known about a run or a sweep, or one page of many runs, as HTML, and return its path.

        The file loads nothing and names what is missing. It is ``report-ID.html``, or ``report-runs.html`` of a table
        of runs, by default; an existing one is replaced.

        Raises:
            StorageError: It can't be written.
        """
        from mnistkit.reports.reporting import report

        return report(of, path)

    def _submitter(self) -> Submitter:
        return Submitter(compute=self.compute, data=self.data, experiment=self.experiment)
