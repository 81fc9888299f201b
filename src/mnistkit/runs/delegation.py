"""The base of compute backends that wrap another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mnistkit.data.source import DataSource
from mnistkit.jobs.job import Job, TrackedJob
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.record import MetricPoint, RunRecord
from mnistkit.runs.row import RunRow

__all__ = ["DelegatingCompute"]

_OPTIONAL_METHODS = (
    "submit_group",
    "annotate_run",
    "delete_run",
    "run_rows",
    "start",
    "track",
    "sources",
    "add_points",
    "wait_for_change",
)


class DelegatingCompute(ComputeBackend):
    """A backend that passes every call to another one: subclass it, and override what is to be different.

    It supports what the other one supports: ``isinstance(wrapper, SupportsGroups)`` is as for the backend in it, also
    if a subclass overrides ``submit_group``.

    ::

        class CountingCompute(DelegatingCompute):
            submitted = 0

            def submit(self, job, data, *, detach=False):
                self.submitted += 1
                return super().submit(job, data, detach=detach)

    Attributes:
        backend: The other one.
    """

    def __new__(cls, backend: ComputeBackend, *_: Any, **__: Any) -> DelegatingCompute:  # noqa: PYI034 - Python 3.10 has no Self
        """Make an instance of a subclass without the optional methods that ``backend`` lacks."""
        # `isinstance` of a runtime-checkable protocol looks at the class, where None stands for a missing method. So it
        # takes a class per combination: an instance, or __getattr__, can't take back what its class has.
        missing = frozenset(name for name in _OPTIONAL_METHODS if getattr(backend, name, None) is None)
        return super().__new__(_without(cls, missing))

    def __init__(self, backend: ComputeBackend) -> None:
        self.backend = backend

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (getattr(type(self), "_full_class", type(self)), self.backend), self.__getstate__()

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Submit there; see `ComputeBackend.submit`."""
        return self.backend.submit(job, data, detach=detach)

    def get(self, run_id: str) -> RunRecord:
        """Return the record from there; see `ComputeBackend.get`."""
        return self.backend.get(run_id)

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return the records from there; see `ComputeBackend.runs`."""
        return self.backend.runs(experiment)

    def cancel(self, run_id: str) -> None:
        """Cancel there; see `ComputeBackend.cancel`."""
        self.backend.cancel(run_id)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """Return the log from there; see `ComputeBackend.logs`."""
        return self.backend.logs(run_id, start=start)

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Download from there; see `ComputeBackend.download`."""
        return self.backend.download(run_id, file, into)

    # What the other backend may lack

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Submit there; see `SupportsGroups.submit_group`."""
        backend: Any = self.backend
        records: tuple[RunRecord, ...] = backend.submit_group(jobs, data, detach=detach)
        return records

    def annotate_run(
        self, run_id: str, tags: Mapping[str, str | None], note: str | None = None, *, replace_note: bool = False
    ) -> None:
        """Annotate there; see `SupportsAnnotations.annotate_run`."""
        backend: Any = self.backend
        backend.annotate_run(run_id, tags, note, replace_note=replace_note)

    def delete_run(self, run_id: str) -> None:
        """Delete there; see `SupportsDelete.delete_run`."""
        backend: Any = self.backend
        backend.delete_run(run_id)

    def add_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Add them there; see `SupportsPoints.add_points`."""
        backend: Any = self.backend
        backend.add_points(run_id, points)

    def run_rows(self, experiment: str | None = None) -> tuple[RunRow, ...]:
        """Return the rows from there; see `SupportsRunRows.run_rows`."""
        backend: Any = self.backend
        rows: tuple[RunRow, ...] = backend.run_rows(experiment)
        return rows

    def sources(self, run_id: str) -> dict[str, str]:
        """Return the sources from there; see `SupportsSources.sources`."""
        backend: Any = self.backend
        found: dict[str, str] = backend.sources(run_id)
        return found

    def start(self) -> None:
        """Start there; see `SupportsStart.start`."""
        backend: Any = self.backend
        backend.start()

    def wait_for_change(self, seconds: float) -> None:
        """Wait there; see `SupportsWaiting.wait_for_change`."""
        backend: Any = self.backend
        backend.wait_for_change(seconds)

    def track(self, job: TrackedJob, data: str) -> RunLifecycle:
        """Track there; see `SupportsTracking.track`."""
        backend: Any = self.backend
        lifecycle: RunLifecycle = backend.track(job, data)
        return lifecycle


@cache
def _without(cls: type[DelegatingCompute], missing: frozenset[str]) -> type[DelegatingCompute]:
    if not missing:
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls,), {**names, **dict.fromkeys(missing), "_full_class": cls})


def _rebuilt(cls: type[DelegatingCompute], backend: ComputeBackend) -> DelegatingCompute:
    return cls.__new__(cls, backend)
