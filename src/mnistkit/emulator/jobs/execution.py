"""The course of one job that has its node: files in, the process within its limits, files out."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mnistkit.emulator.jobs import processes
from mnistkit.emulator.jobs.job import Ended, Job
from mnistkit.emulator.jobs.launch import Launch
from mnistkit.emulator.jobs.references import DatastoreFiles
from mnistkit.emulator.jobs.traces import say, size_of, tail
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.services.snapshots import Snapshots
from mnistkit.emulator.settings import Settings

__all__ = ["GRACE_SECONDS", "POLL_SECONDS", "Execution"]

GRACE_SECONDS = 5.0
"""How long a process may take to end when it is told to."""

POLL_SECONDS = 0.02
"""The time between two looks at a process."""

_LOG_PATH = "user_logs/std_log.txt"
_TAIL_HEADING = f" The last lines of {_LOG_PATH}:\n"
_COLLECTED_FOLDERS = ("outputs", "logs", "user_logs")
_CHECK_SECONDS = 0.5


class Execution:
    """Runs the processes of jobs, each call one job.

    Args:
        launch: Their command lines.
        runs: Where their course is told.
        snapshots: What they are submitted with.
        artifacts: Where what they leave is kept.
        files: What their data references name.
        clusters: A job whose cluster is deleted is ended.
        settings: How long they may take, and how much they may write.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        runs: Runs,
        snapshots: Snapshots,
        artifacts: Artifacts,
        files: DatastoreFiles,
        clusters: Clusters,
        settings: Settings,
    ) -> None:
        self._launch, self._runs, self._snapshots, self._artifacts = launch, runs, snapshots, artifacts
        self._files, self._clusters, self._settings = files, clusters, settings

    def run(self, job: Job, own: Path) -> tuple[str, str]:
        """Run a job; return the state that it ends in, and the error.

        Args:
            job: The job.
            own: A folder of its own, which is made.

        Raises:
            Ended: It was ended before its process was started.
            Refusal: What it needs isn't there.
        """
        self._runs.move(job.run_id, "Preparing")
        own.mkdir(parents=True)
        if not job.environment:
            job.folder = own / "work"
            job.folder.mkdir()
            if job.steps is not None:
                job.steps.prepare(job, own)
            elif job.snapshot_id:
                self._snapshots.extract(job.snapshot_id, job.folder)
        for each in job.plan.references:
            job.brought[each.name] = self._files.bring(each, each.place(job.folder, own))
        for name in _COLLECTED_FOLDERS:
            (job.folder / name).mkdir(exist_ok=True)
        log = self._artifacts.open_log(ORIGIN, container_of(job.run_id), _LOG_PATH)
        job.pause(self._settings.phase_seconds)
        status, error = "Failed", ""
        try:
            status, error = self._watch(job, own, log)
        except Ended as ended:
            status, error = ended.status, ended.why
        finally:
            if error:
                say(log, error.partition(_TAIL_HEADING)[0])
            self._collect(job, own)
        return status, error

    def _watch(self, job: Job, own: Path, log: Path) -> tuple[str, str]:
        """Run the job's process within its limits; return the state and the error."""
        command, environment = self._launch.command(job, own)
        limit = min(job.plan.seconds or self._settings.job_seconds, self._settings.job_seconds)
        group = processes.start(command, cwd=job.folder, env=environment, output=log)
        start = looked = time.monotonic()
        self._runs.move(job.run_id, "Running")
        grace = 0.0
        try:
            while (code := group.wait(POLL_SECONDS)) is None:
                grace = GRACE_SECONDS
                job.pause(0)
                if time.monotonic() > start + limit:
                    raise Ended("Canceled", f"The job was canceled: it ran for longer than {limit:g} seconds.")
                if time.monotonic() > looked + _CHECK_SECONDS:
                    looked = time.monotonic()
                    self._check_disk(job, own, log)
                    self._check_target(job)
            grace = 0.0
        finally:
            if self._runs.get(job.run_id)["status"] == "Running":
                self._runs.move(job.run_id, "Finalizing")
            group.stop(0.0 if job.stopped_why else grace)
        self._check_disk(job, own, log)
        if not code:
            return "Completed", ""
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        return "Failed", f"User program {how}.{_TAIL_HEADING}{tail(log)}"

    def _check_disk(self, job: Job, own: Path, log: Path) -> None:
        size = size_of(own) + size_of(log) + (size_of(job.folder) if job.environment else 0)
        if size > self._settings.job_bytes:
            allowed = self._settings.job_bytes
            raise Ended("Failed", f"The job was ended: it has written {size} bytes, and may write {allowed}.")

    def _check_target(self, job: Job) -> None:
        try:
            self._clusters.max_nodes(job.plan.target)
        except Refusal as refusal:
            raise Ended("Failed", f"The job was ended, its cluster is gone. {refusal.message}") from refusal

    def _collect(self, job: Job, own: Path) -> None:
        if not job.stopped_why:
            time.sleep(self._settings.phase_seconds)
        container = container_of(job.run_id)
        for top in _COLLECTED_FOLDERS:
            for folder, _, names in os.walk(job.folder / top):  # which doesn't follow links
                for name in names:
                    file = Path(folder, name)
                    path = file.relative_to(job.folder).as_posix()
                    if file.is_file() and not file.is_symlink() and path != _LOG_PATH:
                        self._artifacts.put(ORIGIN, container, path, file)
        for each in job.plan.references:
            self._files.keep(each, each.place(job.folder, own), job.brought[each.name])
        if job.steps is not None:
            job.steps.collect(job)
