"""Jobs that are run one after another in one place: each is a run of its own, and they share what they find."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mnistkit.estimators import FastLogisticRegression
from mnistkit.estimators.warm_start import paths
from mnistkit.interfaces import DataSource, GroupBackend
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.trainer import Trainer

SPEC = ModelSpec.from_estimator(FastLogisticRegression(tol=1e-6))
DEADLINE = 60.0


def job(C: object, **more: object) -> TrainingJob:
    """A job of the path, but for what ``more`` says."""
    return TrainingJob(model=ModelSpec(SPEC.type, {**SPEC.params, "C": C}), **more)  # type: ignore[arg-type]  # its own


@pytest.fixture(params=[InProcessCompute, ProcessCompute])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> GroupBackend:
    """Each backend that runs groups."""
    made: GroupBackend = request.param(tmp_path / "home")
    return made


def finished(backend: GroupBackend, jobs: list[Job], source: DataSource) -> list[Run]:
    """Submit a group, and wait for its ends."""
    return [Run(backend, record).wait(DEADLINE) for record in backend.submit_group(jobs, source)]


def test_jobs_that_differ_in_their_rate_alone_are_one_path() -> None:
    """They are grouped in order of growing C; everything else is on its own."""
    script = ScriptJob("folder")
    other = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"C": 1}))
    jobs: list[Job] = [job(10.0), script, job(0.1), other, job(1.0, seed=7), job(1.0), other]
    assert paths(jobs) == [[2, 5, 0], [1], [3], [4], [6]]


def test_each_is_a_run_of_its_own(backend: GroupBackend, tiny_mnist: DataSource) -> None:
    """Every job of a group has its record, log, metrics and model, and one that fails doesn't stop the rest."""
    jobs: list[Job] = [job(-1.0), job(0.1), job(1.0)]
    bad, first, second = finished(backend, jobs, tiny_mnist)
    assert bad.state is RunState.FAILED
    assert "C=-1.0" in (bad.error or "")
    assert "Traceback" in bad.logs()
    for run, rate in ((first, 10.0), (second, 1.0)):
        assert run.state is RunState.COMPLETED, run.error
        assert run.metrics["regularization rate"] == rate
        assert "outputs/model.skops" in run.files
        assert run.logs().count("fitted in") == 1
        assert "Traceback" not in run.logs()
        assert len(run.record.attempts) == 1


def test_a_path_finds_what_separate_fits_find(backend: GroupBackend, tiny_mnist: DataSource) -> None:
    """The objectives agree within the solver's tolerance."""
    rates = [0.01, 0.1, 1.0]
    together = finished(backend, [job(C) for C in rates], tiny_mnist)
    for C, run in zip(rates, together, strict=True):
        alone = Run(backend, backend.submit(job(C), tiny_mnist)).wait(DEADLINE)
        assert run.metrics["objective"] == pytest.approx(alone.metrics["objective"], rel=1e-4)
        assert len(run.series("objective")) <= len(alone.series("objective"))


def test_one_that_waits_can_be_canceled(backend: GroupBackend, tiny_mnist: DataSource) -> None:
    """Canceling one run of a group leaves the others alone, and it never starts."""
    slow = ModelSpec(SPEC.type, {"C": 1.0, "tol": 1e-12, "max_iter": 10_000})
    records = backend.submit_group([TrainingJob(model=slow), job(1.0), job(2.0)], tiny_mnist)
    first, second, third = (Run(backend, record) for record in records)
    second.cancel()
    assert second.state in {RunState.CANCELED, RunState.COMPLETED}
    first.cancel()
    assert third.wait(DEADLINE).state is RunState.COMPLETED
    assert first.wait(DEADLINE).state in {RunState.CANCELED, RunState.COMPLETED}


def test_a_sweep_over_rates_is_a_path(backend: GroupBackend, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """A trainer's sweep hands such jobs over together, and gives the runs back in the order that was asked for."""
    trainer = Trainer(data=tiny_mnist, compute=backend, models=FolderRegistry(tmp_path / "models"))
    sweep = trainer.sweep(FastLogisticRegression(), {"C": [10.0, 0.1, 1.0]})
    assert [run.metrics["regularization rate"] for run in sweep] == [0.1, 10.0, 1.0]
    starts = {run.metrics["regularization rate"]: run.record.started_at for run in sweep}
    assert sorted(starts, key=lambda rate: starts[rate] or time.time(), reverse=True) == [0.1, 1.0, 10.0]
