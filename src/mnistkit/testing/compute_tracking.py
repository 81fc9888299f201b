"""The contract of `SupportsTracking`, as tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.errors import UsageError
from mnistkit.interfaces import ComputeBackend, DataSource, SupportsTracking
from mnistkit.jobs.job import TrackedJob
from mnistkit.runs.context import FolderContext
from mnistkit.runs.record import RunState
from mnistkit.testing.compute_base import ComputeSuiteBase

__all__ = ["TrackingSuite"]

_JOB = TrackedJob(name="by hand", experiment="contract", tags={"purpose": "test"})


class TrackingSuite(ComputeSuiteBase):
    """Promises about a `TrackedJob`; part of `ComputeBackendSuite`, skipped in part without `SupportsTracking`."""

    interface = "SupportsTracking"

    def test_a_tracked_job_is_not_submitted(self, backend: ComputeBackend, source: DataSource) -> None:
        """`ComputeBackend.submit` refuses a `TrackedJob` before anything runs: its program carries it out."""
        with pytest.raises(UsageError, match="carried out itself"):
            backend.submit(_JOB, source)
        assert backend.runs() == ()

    def test_a_tracked_run_is_a_run(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """A run of this process is Running at once, has what is logged, and ends as this process says; all see it."""
        run = _tracking(backend).track(_JOB, source.uri)
        begun = backend.get(run.id)
        assert (begun.state, begun.job, begun.data, begun.tags) == (RunState.RUNNING, _JOB, source.uri, _JOB.tags)
        context = FolderContext(run.folder)
        context.log("accuracy", 0.5)
        (context.outputs / "notes.txt").write_text("kept")
        run.complete()
        record = backend.get(run.id)
        assert (record.state, record.metrics, record.files) == (
            RunState.COMPLETED,
            {"accuracy": 0.5},
            ("outputs/notes.txt",),
        )
        assert backend.runs("contract") == (record,)
        assert backend.download(run.id, "outputs/notes.txt", tmp_path / "into").read_text() == "kept"
        assert self.reopened(backend).get(run.id) == record

    def test_a_tracked_run_fails_with_its_reason(self, backend: ComputeBackend, source: DataSource) -> None:
        """A run of this process that fails has the error and traceback that it was given, and isn't tried again."""
        run = _tracking(backend).track(_JOB, source.uri)
        run.fail(run.attempt(cause="error", error="ValueError: planted"), traceback="Traceback: planted", is_final=True)
        record = backend.get(run.id)
        assert (record.state, record.error, record.traceback) == (
            RunState.FAILED,
            "ValueError: planted",
            "Traceback: planted",
        )

    def test_canceling_a_tracked_run_is_a_request(self, backend: ComputeBackend, source: DataSource) -> None:
        """`ComputeBackend.cancel` requests the end of a run of this process, which this process then records."""
        run = _tracking(backend).track(_JOB, source.uri)
        backend.cancel(run.id)
        assert run.is_canceled
        assert backend.get(run.id).state is RunState.CANCEL_REQUESTED
        run.cancel()
        assert backend.get(run.id).state is RunState.CANCELED


def _tracking(backend: ComputeBackend) -> SupportsTracking:
    if not isinstance(backend, SupportsTracking):
        pytest.skip(f"{type(backend).__name__} doesn't support it")
    return backend
