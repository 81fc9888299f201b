"""The contract of `SupportsGroups`, as tests to subclass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mnistkit.errors import SpecError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource, SupportsGroups
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_backend import ComputeBackendSuite
from mnistkit.testing.compute_base import HeldData

__all__ = ["GroupBackendSuite"]


class GroupBackendSuite(ComputeBackendSuite):
    """The contract of `SupportsGroups`, with that of `ComputeBackend`; subclass it like `ComputeBackendSuite`."""

    interface = "SupportsGroups"

    def test_is_a_group_backend(self, backend: ComputeBackend) -> None:
        """A backend is a `SupportsGroups`."""
        assert isinstance(backend, SupportsGroups)

    def test_a_group_is_runs_of_their_own(self, backend: ComputeBackend, source: DataSource) -> None:
        """`submit_group` returns a record for each job, in order; one that fails doesn't stop those after it."""
        jobs: list[Job] = [_job(C) for C in (-1.0, 0.1, 1.0)]
        records = _submitted(backend, jobs, source)
        assert [record.job for record in records] == jobs
        bad, *good = (Run(backend, record).wait(self.deadline) for record in records)
        assert bad.state is RunState.FAILED
        assert [run.state for run in good] == [RunState.COMPLETED] * 2
        assert [run.metrics["regularization rate"] for run in good] == [10, 1]
        assert {record.id for record in backend.runs()} == {record.id for record in records}

    def test_canceling_one_of_a_group_spares_the_rest(
        self, backend: ComputeBackend, source: DataSource, tmp_path: Path
    ) -> None:
        """A run of a group that is canceled doesn't stop those after it."""
        held = HeldData(source, tmp_path / "gate", self.deadline)
        records = _submitted(backend, [_job(C) for C in (0.1, 1.0, 10.0)], held)
        first, second, third = (Run(backend, record) for record in records)
        second.cancel()
        held.gate.touch()
        assert third.wait(self.deadline).state is RunState.COMPLETED, third.error
        assert first.wait(self.deadline).state is RunState.COMPLETED, first.error
        assert second.wait(self.deadline).state is RunState.CANCELED

    def test_canceling_the_running_one_spares_the_next(self, backend: ComputeBackend, source: DataSource) -> None:
        """A run of a group that is canceled while it runs, or as it completes, doesn't stop the next one."""
        for pause in (0.0, 0.02, 0.05):
            records = _submitted(backend, [_job(C) for C in (0.1, 1.0)], source)
            first, second = (Run(backend, record) for record in records)
            for _ in first.poll(self.deadline):
                if first.record.started_at is not None:
                    break
            time.sleep(pause)
            first.cancel()
            assert second.wait(self.deadline).state is RunState.COMPLETED, second.error
            assert first.wait(self.deadline).state in {RunState.CANCELED, RunState.COMPLETED}

    def test_a_group_is_taken_whole_or_not(self, backend: ComputeBackend, source: DataSource) -> None:
        """If one job of a group can't run on any backend, it is a `SpecError`, and nothing was submitted."""
        with pytest.raises(SpecError):
            _submitted(backend, [_job(1.0), TrainingJob(model=ModelSpec("sklearn.linear_model.Ridge"))], source)
        assert backend.runs() == ()

    def test_a_group_is_detached_or_refused(self, backend: ComputeBackend, source: DataSource) -> None:
        """``detach=True`` is taken where runs outlive this process; else it is a `UsageError`, before anything runs."""
        jobs: list[Job] = [_job(1.0), _job(2.0)]
        if self.detaches:
            records = _submitted(backend, jobs, source, detach=True)
            assert [Run(backend, record).wait(self.deadline).error for record in records] == [None, None]
            return
        with pytest.raises(UsageError):
            _submitted(backend, jobs, source, detach=True)
        assert backend.runs() == ()


def _submitted(
    backend: ComputeBackend, jobs: Sequence[Job], source: DataSource, *, detach: bool = False
) -> tuple[RunRecord, ...]:
    assert isinstance(backend, SupportsGroups)
    return backend.submit_group(jobs, source, detach=detach)


def _job(C: float) -> TrainingJob:
    return TrainingJob(model=ModelSpec("mnistkit.estimators.FastLogisticRegression", {"C": C, "tol": 0.01}))
