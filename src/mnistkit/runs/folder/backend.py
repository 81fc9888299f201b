"""The base of backends that keep their runs in folders."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, RunStateError, StorageError, UsageError
from mnistkit.jobs.job import Job, ScriptJob, TrackedJob, TrainingJob
from mnistkit.jobs.signatures import check_model
from mnistkit.jobs.source_code import module_sources
from mnistkit.runs.annotations import append_annotation
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.folder.index import RunIndex
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.snapshot import read_sources, snapshot, write_sources
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.lines import add_points
from mnistkit.runs.record import MetricPoint, RunRecord, RunState
from mnistkit.runs.row import RunRow

__all__ = ["FolderBackend"]


class FolderBackend(ComputeBackend):
    """Base of backends that keep runs in folders: all but how runs are started and stopped."""

    def __init__(self, home: str | os.PathLike[str], parallel: int | None) -> None:
        if parallel is not None and parallel < 1:
            raise UsageError(f"parallel={parallel}: run at least one job at a time.")
        self._parallel = parallel or os.cpu_count() or 1
        self._root = Path(home).absolute() / "runs"
        self._store = RunStore(self._root)

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Queue the job and return its record; see `ComputeBackend.submit`."""
        return self.submit_group([job], data, detach=detach)[0]

    @abstractmethod
    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `SupportsGroups.submit_group`."""

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        return self._store.read(run_id)

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return all records, newest first; see `ComputeBackend.runs`."""
        records = self._store.read_all()
        return tuple(r for r in records if r.experiment == experiment) if experiment else records

    def run_rows(self, experiment: str | None = None) -> tuple[RunRow, ...]:
        """Return a row for each run, newest first; see `SupportsRunRows.run_rows`."""
        rows = RunIndex(self._root, self._store).rows()
        return tuple(row for row in rows if experiment in {None, row.experiment})

    def sources(self, run_id: str) -> dict[str, str]:
        """Return the source files that a run keeps; see `SupportsSources.sources`."""
        return read_sources(self._store.folder(run_id))

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """Return the log; see `ComputeBackend.logs`."""
        return self._store.read_log(run_id, start)

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one file of a run; see `ComputeBackend.download`."""
        return self._store.copy_file(run_id, file, into)

    def annotate_run(
        self, run_id: str, tags: Mapping[str, str | None], note: str | None = None, *, replace_note: bool = False
    ) -> None:
        """Add tags and a note to a run; see `mnistkit.interfaces.SupportsAnnotations.annotate_run`."""
        append_annotation(self._store.folder(run_id), tags, note, replace_note=replace_note)

    def track(self, job: TrackedJob, data: str) -> RunLifecycle:
        """Begin a run of this process; see `mnistkit.interfaces.SupportsTracking.track`."""
        run_id = self._store.create(job, data)
        try:
            run = RunLifecycle(self._store, run_id)
            run.begin()
            run.enter(RunState.RUNNING)
        except OSError as error:
            raise StorageError(
                f"Can't keep a new run in {self._root}: {error.strerror or error}. Make room."
            ) from error
        return run

    def delete_run(self, run_id: str) -> None:
        """Remove a finished run and all its files, even if they are damaged.

        Raises:
            RunNotFoundError: No run has that id.
            RunStateError: It hasn't finished.
        """
        if self._store.may_be_running(run_id):
            raise RunStateError(f"Run {run_id} hasn't ended: cancel it, and delete it once it has.")
        self._store.delete(run_id)

    def add_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Append to the metrics of a finished run; see `mnistkit.runs.SupportsPoints`."""
        if not self.get(run_id).state.is_terminal:
            raise RunStateError(f"Run {run_id} hasn't finished: its metrics are its own until then.")
        add_points(self._store.folder(run_id), points)

    def _create(self, jobs: Sequence[Job], data: DataSource, owner: Owner | None = None) -> list[str]:
        """Make the runs of jobs that can run, and return their ids; a script that can't be copied is Failed."""
        for job in jobs:
            if isinstance(job, TrainingJob):
                check_model(job.model)
            else:
                job.check()
        return [self._create_one(job, data, owner) for job in jobs]

    def _create_one(self, job: Job, data: DataSource, owner: Owner | None) -> str:
        run_id = self._store.create(job, data.uri, owner)
        try:
            if isinstance(job, ScriptJob):
                snapshot(job, self._store.folder(run_id))
            elif isinstance(job, TrainingJob):
                write_sources(module_sources(job.model.import_paths), self._store.folder(run_id))
        except (MnistkitError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            try:
                self._store.advance(run_id, RunState.FAILED, error=reason)
            except OSError as problem:
                self._store.delete(run_id)
                raise StorageError(f"Can't keep a new run in {self._root}: {reason} Make room.") from problem
        return run_id
