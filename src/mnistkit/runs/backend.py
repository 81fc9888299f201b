"""The interface of compute backends, and what they can support besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mnistkit.data.source import DataSource
from mnistkit.jobs.job import Job, TrackedJob
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.record import MetricPoint, RunRecord
from mnistkit.runs.row import RunRow

__all__ = [
    "ComputeBackend",
    "SupportsAnnotations",
    "SupportsDelete",
    "SupportsGroups",
    "SupportsPoints",
    "SupportsRunRows",
    "SupportsSources",
    "SupportsStart",
    "SupportsTracking",
    "SupportsWaiting",
]


class ComputeBackend(ABC):
    """Runs jobs, and keeps their records, logs and files.

    A run goes through the states of `mnistkit.runs.RunState` in order, may skip some, and reaches exactly one
    terminal state, which never changes. Records outlive the process that submitted the run. Every method may
    be called from any thread.
    """

    __slots__ = ()

    @abstractmethod
    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Take a job and return at once with the record of its run, in whatever state it already is.

        A job that fails later, also because its data can't be fetched, is a Failed run, not an exception. Each attempt
        ends within the job's ``timeout``; one that ends badly is repeated as its ``retries`` and ``retry_on`` say.

        Args:
            job: What to run.
            data: What to run it on.
            detach: Whether the run outlives this process. Where nothing runs on this machine every run does.

        Raises:
            UsageError: The backend's runs end with this process, and ``detach`` was asked for; or the job is a
                `TrackedJob`, which only its own program carries out.
            SpecError: The job can't run on any backend: its estimator is no classifier, or isn't importable.
            NotFoundError: A `ScriptJob` names a folder or script that isn't there.
            StorageError: The backend can't keep records.
        """

    @abstractmethod
    def get(self, run_id: str) -> RunRecord:
        """Return the present record of a run.

        Raises:
            RunNotFoundError: No run has that id.
        """

    @abstractmethod
    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return all runs, or those of one experiment, newest first. Never fails for one unreadable record."""

    @abstractmethod
    def cancel(self, run_id: str) -> None:
        """Request the end of a run, which may still complete. Idempotent; nothing happens to a terminal run.

        A run that hasn't started is Canceled before this returns.

        Raises:
            RunNotFoundError: No run has that id.
        """

    @abstractmethod
    def logs(self, run_id: str, *, start: int = 0) -> str:
        """Return the log so far, from character ``start`` on; empty if there is none yet.

        Odd bytes never raise: what isn't UTF-8 comes as backslash escapes. ``len(text)`` so far is the next
        ``start``: text once returned doesn't change.

        Raises:
            RunNotFoundError: No run has that id.
        """

    @abstractmethod
    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one file of a run into the folder ``into`` and return where it is.

        Args:
            run_id: The run.
            file: One of `RunRecord.files`, such as ``"outputs/model.skops"``.
            into: A folder; created if need be. The copy keeps the file's own name and replaces one that is there.

        Raises:
            RunNotFoundError: No run has that id.
            NotFoundError: The run has no such file; lists the ones it has.
            InvalidNameError: ``file`` would leave the run's folder.
        """


@runtime_checkable
class SupportsGroups(Protocol):
    """A backend that can run jobs one after another in one place, each building on the earlier ones."""

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Take jobs that gain from being run one after another, in this order; each is a run of its own.

        Otherwise as `ComputeBackend.submit`: a run that fails or is canceled doesn't stop those after it.

        Args:
            jobs: At least one; training jobs that `mnistkit.estimators.warm_start_groups` puts into one group.
            data: What to run them on.
            detach: Whether the runs outlive this process.

        Returns:
            The records of their runs, in order.

        Raises:
            SpecError: A job can't run on any backend. Nothing was submitted.
            StorageError: The backend can't keep records.
            UsageError: The backend's runs end with this process, and ``detach`` is set.
        """


@runtime_checkable
class SupportsAnnotations(Protocol):
    """A backend whose runs can get tags and notes afterwards."""

    def annotate_run(
        self, run_id: str, tags: Mapping[str, str | None], note: str | None = None, *, replace_note: bool = False
    ) -> None:
        """Add tags and a note to a run in any state, also while it runs and while others do the same.

        What the run itself writes is neither changed nor lost. `ComputeBackend.get` returns the result at once, in
        `RunRecord.tags` and `RunRecord.note`.

        Args:
            run_id: The run.
            tags: Text by key; replaces earlier tags of these keys, those of the job as well. None removes a tag.
            note: Text, which is added to the run's note on lines of its own; None leaves the note as it is.
            replace_note: Replace the run's note instead; an empty ``note`` removes it.

        Raises:
            RunNotFoundError: No run has that id.
            UsageError: A tag or the note isn't text, or is too long for the backend, or a tag can't be removed there.
            StorageError: The backend can't keep them.
        """


@runtime_checkable
class SupportsDelete(Protocol):
    """A backend that can delete runs."""

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""

    def delete_run(self, run_id: str) -> None:
        """Remove a finished run with all its files.

        Raises:
            RunNotFoundError: No run has that id.
            RunStateError: It hasn't finished.
        """


@runtime_checkable
class SupportsRunRows(Protocol):
    """A backend that can list many runs without reading the whole record of each."""

    def run_rows(self, experiment: str | None = None) -> tuple[RunRow, ...]:
        """Return the row of each record that `ComputeBackend.runs` returns, in the same order.

        Args:
            experiment: Only this one's; None for all.
        """


@runtime_checkable
class SupportsSources(Protocol):
    """A backend that keeps the source files of runs, as they were when the runs were submitted."""

    def sources(self, run_id: str) -> dict[str, str]:
        """Return the text of each source file of a run, by its path in the script's folder.

        Returns:
            Empty for a run that keeps none, such as a `TrainingJob`. Very large files may be left out.

        Raises:
            RunNotFoundError: No run has that id.
        """


@runtime_checkable
class SupportsStart(Protocol):
    """A backend whose first submit is quick if it was started ahead."""

    def start(self) -> None:
        """Start what the first submit needs, and return at once. Idempotent.

        Raises:
            StorageError: The backend can't keep records.
        """


@runtime_checkable
class SupportsWaiting(Protocol):
    """A backend that reports when a run finishes, so that who waits for one needn't read its record all the time."""

    def wait_for_change(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as a run that this process submitted may have finished."""


@runtime_checkable
class SupportsPoints(Protocol):
    """A backend that adds metrics to finished runs, such as those that a script logged elsewhere."""

    def add_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Append metrics to those of a run.

        Raises:
            RunNotFoundError: No run has that id.
            RunStateError: It hasn't finished.
            UsageError: The run would have more metrics than are read.
        """


@runtime_checkable
class SupportsTracking(Protocol):
    """A backend that keeps, besides its own, runs that the calling process carries out itself."""

    def track(self, job: TrackedJob, data: str) -> RunLifecycle:
        """Begin a run, Running from now on, that this process carries out and records the end of.

        `ComputeBackend.get`, ``runs``, ``logs``, ``download`` and ``cancel`` treat it as any other, in any process.
        ``cancel`` requests its end, which this process reads from ``RunLifecycle.is_canceled``. If this process ends
        first, the run is Failed.

        Args:
            job: What the run is.
            data: The uri of its data.

        Returns:
            What this process records the run's end with. What is written into its folder, as by a `RunContext`, is the
            run's.

        Raises:
            StorageError: The backend can't keep records.
        """
