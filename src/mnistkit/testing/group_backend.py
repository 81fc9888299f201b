"""The contract of `GroupBackend`, as tests to subclass."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.errors import SpecError, UsageError
from mnistkit.interfaces import DataSource, GroupBackend
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_backend import ComputeBackendSuite, HeldData

__all__ = ["GroupBackendSuite"]


class GroupBackendSuite(ComputeBackendSuite):
    """What a `GroupBackend` promises besides a `ComputeBackend`; subclass it as you would `ComputeBackendSuite`."""

    interface = "GroupBackend"

    def test_is_a_group_backend(self, backend: GroupBackend) -> None:
        """A backend is a `GroupBackend`."""
        assert isinstance(backend, GroupBackend)

    def test_a_group_is_runs_of_their_own(self, backend: GroupBackend, source: DataSource) -> None:
        """`submit_group` returns a record for each job, in order; one that fails doesn't stop those after it."""
        jobs = [_job(C) for C in (-1.0, 0.1, 1.0)]
        records = backend.submit_group(jobs, source)
        assert [record.job for record in records] == jobs
        bad, *good = (Run(backend, record).wait(self.deadline) for record in records)
        assert bad.state is RunState.FAILED
        assert [run.state for run in good] == [RunState.COMPLETED] * 2
        assert [run.metrics["regularization rate"] for run in good] == [10, 1]
        assert {record.id for record in backend.runs()} == {record.id for record in records}

    def test_canceling_one_of_a_group_spares_the_rest(
        self, backend: GroupBackend, source: DataSource, tmp_path: Path
    ) -> None:
        """A run of a group that is canceled doesn't stop those after it."""
        held = HeldData(source, tmp_path / "gate", self.deadline)
        records = backend.submit_group([_job(C) for C in (0.1, 1.0, 10.0)], held)
        first, second, third = (Run(backend, record) for record in records)
        second.cancel()
        held.gate.touch()
        assert third.wait(self.deadline).state is RunState.COMPLETED, third.error
        assert first.wait(self.deadline).state is RunState.COMPLETED, first.error
        assert second.wait(self.deadline).state is RunState.CANCELED

    def test_a_group_is_taken_whole_or_not(self, backend: GroupBackend, source: DataSource) -> None:
        """If one job of a group can't run on any backend, it is a `SpecError`, and nothing was submitted."""
        with pytest.raises(SpecError):
            backend.submit_group([_job(1.0), TrainingJob(model=ModelSpec("sklearn.linear_model.Ridge"))], source)
        assert backend.runs() == ()

    def test_a_group_is_detached_or_refused(self, backend: GroupBackend, source: DataSource) -> None:
        """``detach=True`` is taken where runs outlive this process; else it is a `UsageError`, before anything runs."""
        jobs: list[Job] = [_job(1.0), _job(2.0)]
        if self.detaches:
            records = backend.submit_group(jobs, source, detach=True)
            assert [Run(backend, record).wait(self.deadline).error for record in records] == [None, None]
            return
        with pytest.raises(UsageError):
            backend.submit_group(jobs, source, detach=True)
        assert backend.runs() == ()


def _job(C: float) -> TrainingJob:
    return TrainingJob(model=ModelSpec("mnistkit.estimators.FastLogisticRegression", {"C": C, "tol": 0.01}))
