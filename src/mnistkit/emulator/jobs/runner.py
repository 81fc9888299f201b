"""The jobs of a workspace: queued for nodes, prepared, run as processes, collected."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnistkit.emulator.faults import Faults
from mnistkit.emulator.jobs.execution import GRACE_SECONDS, POLL_SECONDS, Execution
from mnistkit.emulator.jobs.job import LOCAL, SERVERLESS, Ended, Job, JobSteps
from mnistkit.emulator.jobs.launch import Launch, description
from mnistkit.emulator.jobs.plan import Plan
from mnistkit.emulator.jobs.references import DatastoreFiles
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.services.datasets import Datasets
from mnistkit.emulator.services.environments import Environments
from mnistkit.emulator.services.runs import FINAL, Runs
from mnistkit.emulator.services.snapshots import Snapshots
from mnistkit.emulator.settings import Settings
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["Jobs"]

_logger = logging.getLogger(__name__)


class Jobs:
    """Runs jobs, each in a thread that watches its process.

    Args:
        workspace: Whose jobs.
        store: Its state; jobs that were running when it was last closed are Failed.
        runs: Where their course is told.
        snapshots: What they are submitted with.
        artifacts: Where what they leave is kept.
        datasets: What they work on.
        environments: Where theirs are registered.
        files: What their data references name.
        clusters: Whose nodes they need.
        tokens: What they show.
        faults: What is to go wrong.
        settings: How long they may take, and how much they may write.
        environment: The variables that have them talk to this emulator.
    """

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        *,
        runs: Runs,
        snapshots: Snapshots,
        artifacts: Artifacts,
        datasets: Datasets,
        environments: Environments,
        files: DatastoreFiles,
        clusters: Clusters,
        tokens: Tokens,
        faults: Faults,
        settings: Settings,
        environment: Mapping[str, str],
    ) -> None:
        self._workspace, self._runs, self._snapshots = workspace, runs, snapshots
        self._datasets, self._clusters, self._faults, self._settings = datasets, clusters, faults, settings
        self._environments = environments
        self._execution = Execution(
            Launch(workspace, runs, tokens, settings, environment),
            runs=runs,
            snapshots=snapshots,
            artifacts=artifacts,
            files=files,
            clusters=clusters,
            settings=settings,
        )
        self._lock = store.lock
        self._folder = store.folder / "jobs"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, deque[str]] = defaultdict(deque)
        self._freed = threading.Condition()
        self._is_stopped = False
        runs.finish.append(self._end)
        for run_id in runs.ids():
            record = runs.get(run_id)
            if record.get("_isJob") and record["status"] not in FINAL:
                runs.move(run_id, "Failed", error="The emulator was stopped while the job ran.", code="ServiceError")

    def submit(
        self,
        run_id: str,
        experiment: str,
        configuration: Mapping[str, Any],
        snapshot_id: str | None,
        *,
        parent: str | None = None,
    ) -> None:
        """Queue a job. The same submission again, as a retry sends it, changes nothing.

        Args:
            run_id: Of its run, which is made if it isn't there.
            experiment: The name of its run's experiment.
            configuration: The run configuration.
            snapshot_id: The files that it needs; None for none.
            parent: The id of the run that it belongs to.

        Raises:
            Refusal: 400: the configuration can't be run here; 404: no such target, snapshot, dataset or parent;
                409: there is another job of that run.
        """
        plan = Plan.of(configuration, self._datasets)
        self._check_nodes(plan)
        if snapshot_id:
            self._snapshots.files(snapshot_id)
        job = Job(run_id, experiment, plan, snapshot_id)
        if self._enter(job, self._environments.submitted(configuration, experiment), parent):
            self._start(job)

    def submit_steps(
        self,
        run_id: str,
        experiment: str,
        plan: Plan,
        steps: JobSteps,
        configuration: Mapping[str, Any],
        *,
        parent: str | None = None,
    ) -> None:
        """Queue a job whose files come and go by steps. The same submission again changes nothing.

        Args:
            run_id: Of its run, which is made if it isn't there.
            experiment: The name of its run's experiment.
            plan: How it runs.
            steps: How its files come and go.
            configuration: As it was submitted.
            parent: The id of the run that it belongs to.

        Raises:
            Refusal: 404: no such target or parent; 409: there is another job of that run.
        """
        self._check_nodes(plan)
        job = Job(run_id, experiment, plan, None, steps)
        if self._enter(job, configuration, parent):
            self._start(job)

    def submit_local(
        self, run_id: str, experiment: str, configuration: Mapping[str, Any], *, parent: str | None = None
    ) -> None:
        """Make the run of a job whose files the client has; it waits for `start_local`.

        Raises:
            Refusal: As `submit` does.
        """
        job = Job(run_id, experiment, Plan.of(configuration, self._datasets), None)
        self._enter(job, self._environments.submitted(configuration, experiment), parent)

    def start_local(self, run_id: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Run a local job in a folder of the client's, with the client's environment variables.

        Raises:
            Refusal: 404: no local job of that id waits; 400: the folder isn't there, or isn't named like the run.
        """
        with self._lock:
            job = self._jobs.get(run_id)
            if job is None or job.thread is not None or job.plan.target != LOCAL:
                raise Refusal(404, f"No local job of a run {run_id!r} waits to be started.")
            if not folder.is_absolute() or folder.name != run_id or not folder.is_dir():
                raise Refusal(400, f"{str(folder)!r} isn't a folder of the run {run_id!r}.")
            job.folder, job.environment = folder, environment
            self._start(job)

    def cancel(self, run_id: str) -> None:
        """Cancel a job; idempotent, and a finished run stays as it is.

        Raises:
            Refusal: 404: there is no such run.
        """
        self._runs.move(run_id, "CancelRequested")
        if not self._end(run_id):
            self._runs.move(run_id, "Canceled")

    def _end(self, run_id: str) -> bool:
        """End a job's process; return False if it has none."""
        with self._lock:
            job = self._jobs.get(run_id)
            if job is not None:
                job.is_canceled.set()
            has_process = job is not None and job.thread is not None
            if not has_process:
                self._jobs.pop(run_id, None)
        with self._freed:
            self._freed.notify_all()
        return has_process

    def wait(self, run_id: str, seconds: float | None = None) -> bool:
        """Wait for a job's end; return True if it came within so many seconds."""
        job = self._jobs.get(run_id)
        return job is None or job.is_done.wait(seconds)

    def stop(self) -> None:
        """End all jobs, as Failed; idempotent."""
        with self._lock:
            self._is_stopped = True
            jobs = list(self._jobs.values())
            for job in jobs:
                job.stopped_why = "The emulator was stopped while the job ran."
                job.is_canceled.set()
        with self._freed:
            self._freed.notify_all()
        for job in jobs:
            if job.thread is not None:
                job.thread.join(2 * GRACE_SECONDS)

    # A job's way in

    def _enter(self, job: Job, configuration: Mapping[str, Any], parent: str | None) -> bool:
        """Make a job's run, or use the one that is there; return True if the job is new."""
        with self._lock:
            if self._is_stopped:
                raise Refusal(503, "The emulator is being stopped.", code="ServiceUnavailable")
            if job.run_id not in self._runs:
                self._runs.create(job.experiment, job.run_id, parentRunId=parent)
            known = self._runs.in_experiment(job.experiment, job.run_id)
            if known.get("_isJob"):
                if known["runDefinition"] == configuration and known["_snapshot"] == job.snapshot_id:
                    return False
                raise Refusal(409, f"The run {job.run_id!r} has another job already.", code="Conflict")
            with self._runs.change(job.run_id) as record:
                record.update(description(self._workspace, record, job, configuration))
            self._jobs[job.run_id] = job
            return True

    def check(self, configuration: Mapping[str, Any]) -> None:
        """Check that a run configuration can be run, without running it.

        Raises:
            Refusal: As `submit` does.
        """
        self._check_nodes(Plan.of(configuration, self._datasets))

    def _check_nodes(self, plan: Plan) -> None:
        most, wanted = self._clusters.max_nodes(plan.target), plan.distribution.nodes
        if wanted > most:
            raise Refusal(400, f"The job needs {wanted} nodes, and {plan.target!r} has {most} at most.")

    def _start(self, job: Job) -> None:
        job.thread = threading.Thread(target=self._run, args=(job,), name=f"job-{job.run_id}", daemon=True)
        job.thread.start()

    # A job's course

    def _run(self, job: Job) -> None:
        try:
            with self._node(job):
                status, error = self._execution.run(job, self._folder / job.run_id)
        except Ended as ended:
            status, error = ended.status, ended.why
        except Refusal as refusal:
            status, error = "Failed", refusal.message
        except Exception as problem:
            _logger.exception("Job %s can't be run.", job.run_id)
            status, error = "Failed", f"The emulator can't run the job: {problem!r}"
        finally:
            shutil.rmtree(self._folder / job.run_id, ignore_errors=True)
        self._runs.move(job.run_id, status, error=error, code="ServiceError" if job.stopped_why else "UserError")
        with self._lock:
            self._jobs.pop(job.run_id, None)
        job.is_done.set()

    @contextmanager
    def _node(self, job: Job) -> Iterator[None]:
        """Hold a node of the job's target while the block runs."""
        job.pause(self._settings.phase_seconds)
        stuck = self._faults.take("stuck", job.run_id)
        if stuck is not None:
            job.pause(stuck.seconds or threading.TIMEOUT_MAX)
        target = job.plan.target
        if target in {LOCAL, SERVERLESS}:
            yield
            return
        queue = self._queues[target.lower()]
        with self._freed:
            queue.append(job.run_id)
            try:
                while queue[0] != job.run_id or not self._clusters.take(target, job.plan.distribution.nodes):
                    job.pause(0)
                    self._freed.wait(10 * POLL_SECONDS)
            finally:
                queue.remove(job.run_id)
                self._freed.notify_all()
        try:
            yield
        finally:
            with self._freed:
                self._clusters.release(target, job.plan.distribution.nodes)
                self._freed.notify_all()
