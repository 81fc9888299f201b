"""Wrappers of backends: they support what the backend in them supports, and observers are called in order."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from mnistkit.errors import RunStateError
from mnistkit.interfaces import (
    ComputeBackend,
    DataSource,
    SupportsAnnotations,
    SupportsDelete,
    SupportsGroups,
    SupportsPoints,
    SupportsRunRows,
    SupportsSources,
    SupportsStart,
    SupportsWaiting,
)
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.delegation import DelegatingCompute
from mnistkit.runs.observers import ObservedCompute, RunObserver
from mnistkit.runs.record import MetricPoint, RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.testing import GroupBackendSuite
from mnistkit.utils.clock import utc_now
from support.stub_backend import Paper

DEADLINE = 60.0


class Recorder(RunObserver):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def submitted(self, record: RunRecord) -> None:
        self.events.append(("submitted", record.id))

    def state_changed(self, record: RunRecord) -> None:
        self.events.append(("state", record.state))

    def metrics_logged(self, record: RunRecord, points: Sequence[MetricPoint]) -> None:
        self.events.append(("metrics", [(point.name, point.value) for point in points]))

    def finished(self, record: RunRecord) -> None:
        self.events.append(("finished", record.state))


class Troubled(RunObserver):
    """Fails at each call."""

    def submitted(self, record: RunRecord) -> None:
        raise OSError("planted by the test")

    state_changed = finished = submitted

    def metrics_logged(self, record: RunRecord, points: Sequence[MetricPoint]) -> None:
        raise OSError("planted by the test")


class Submitting(Paper):
    """The stub, which takes every job as its one run."""

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        return self.get("run")


class Shouting(DelegatingCompute):
    """Overrides an optional method."""

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        return super().submit_group([*jobs, *jobs], data, detach=detach)


@pytest.mark.slow  # TestObserved proves a wrapper at each run of the tests
class TestDelegation(GroupBackendSuite):
    """A wrapper keeps the contract of the backend in it."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> DelegatingCompute:
        return DelegatingCompute(InProcessCompute(tmp_path / "home"))


class TestObserved(GroupBackendSuite):
    """So does one whose runs are observed, by an observer that fails as well."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> DelegatingCompute:
        return ObservedCompute(InProcessCompute(tmp_path / "home"), [Troubled(), Recorder()])


PROTOCOLS = (
    SupportsAnnotations, SupportsDelete, SupportsGroups, SupportsPoints, SupportsRunRows, SupportsSources,
    SupportsStart, SupportsWaiting,
)  # fmt: skip


@pytest.mark.parametrize("wrap", [DelegatingCompute, Shouting, lambda backend: ObservedCompute(backend, [])])
def test_a_wrapper_supports_what_its_backend_supports(wrap: type[DelegatingCompute], tmp_path: Path) -> None:
    """The protocols hold for a wrapper exactly if they hold for the backend in it, also for a wrapper of a wrapper."""
    for backend in (Paper(), InProcessCompute(tmp_path), ProcessCompute(tmp_path)):
        for wrapper in (wrap(backend), wrap(wrap(backend)), copy.copy(wrap(backend))):
            for protocol in PROTOCOLS:
                assert isinstance(wrapper, protocol) == isinstance(backend, protocol), (backend, protocol)


def test_wrappers_and_runs_travel(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """Wrappers, backends and handles can be pickled and copied; a copy finds the run."""
    backend = ObservedCompute(InProcessCompute(tmp_path / "home"), [])
    run = Run(backend, backend.submit(TrainingJob(model=ModelSpec("sklearn.dummy.DummyClassifier")), tiny_mnist))
    run.wait(DEADLINE)
    process = Run(ProcessCompute(tmp_path / "home"), run.record)
    unpickled = pickle.loads(pickle.dumps(run))  # noqa: S301 - its own
    for each in (unpickled, copy.copy(run), copy.deepcopy(run), copy.deepcopy(process)):
        assert each.refresh().record == run.record
        assert each.logs() == run.logs()


def test_events_come_once_and_in_order(caplog: pytest.LogCaptureFixture) -> None:
    """What a record shows as new is told once; an observer's trouble is a warning, and the others are called."""
    paper, recorder = Submitting(), Recorder()
    backend = ObservedCompute(paper, [Troubled(), recorder])
    backend.submit(ScriptJob("folder"), None)  # type: ignore[arg-type]  # the stub reads none
    backend.get("run")
    paper.states += [RunState.PREPARING, RunState.RUNNING]
    paper.points = (MetricPoint("loss", 1.0, 0, utc_now()),)
    backend.get("run")
    backend.get("run")
    paper.points += (MetricPoint("loss", 0.5, 1, utc_now()),)
    paper.states.append(RunState.CANCEL_REQUESTED)
    backend.get("run")
    paper.states[-1:] = [RunState.CANCELED]
    for _ in range(2):
        backend.get("run")
    assert recorder.events == [
        ("submitted", "run"),
        ("metrics", [("loss", 1.0)]),
        ("state", RunState.RUNNING),
        ("metrics", [("loss", 0.5)]),
        ("state", RunState.CANCEL_REQUESTED),
        ("state", RunState.CANCELED),
        ("finished", RunState.CANCELED),
    ]
    assert len([message for message in caplog.messages if "Troubled" in message]) == len(recorder.events)


def test_a_second_attempt_begins_its_metrics_anew() -> None:
    """The points of an attempt that is repeated aren't taken for the beginning of the next one's."""
    paper, recorder = Submitting(), Recorder()
    backend = ObservedCompute(paper, [recorder])
    backend.submit(ScriptJob("folder"), None)  # type: ignore[arg-type]  # the stub reads none
    for value in (1.0, 2.0):
        paper.points = (MetricPoint("loss", value, 0, utc_now()), MetricPoint("loss", value / 2, 1, utc_now()))
        backend.get("run")
    assert recorder.events[1:] == [
        ("metrics", [("loss", 1.0), ("loss", 0.5)]),
        ("metrics", [("loss", 2.0), ("loss", 1.0)]),
    ]


def test_runs_of_others_arent_observed() -> None:
    """A run that wasn't submitted through the wrapper calls no observer."""
    recorder = Recorder()
    ObservedCompute(Paper(), [recorder]).get("run")
    assert recorder.events == []


class Preparing(Recorder):
    """Adds a tag to each job, and has metrics of each finished run."""

    def observing(self, backend: ComputeBackend) -> None:
        self.events.append(("observing", type(backend).__name__))

    def prepared(self, job: Job) -> Job:
        return attrs.evolve(job, tags={**job.tags, "prepared": "yes"})

    def logged_elsewhere(self, record: RunRecord) -> Sequence[MetricPoint]:
        assert record.state.is_terminal
        return [MetricPoint("elsewhere", float("nan"), 7, record.created_at)]


class Stubborn(RunObserver):
    """Fails at what comes before the run, and at its end."""

    def prepared(self, job: Job) -> Job:
        raise OSError("planted by the test")

    def logged_elsewhere(self, record: RunRecord) -> Sequence[MetricPoint]:
        raise OSError("planted by the test")


def test_observers_prepare_jobs_and_add_metrics(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """The prepared job is submitted, and metrics from elsewhere are the run's own once it has finished, for all."""
    observer, inner = Preparing(), InProcessCompute(tmp_path / "home")
    backend = ObservedCompute(inner, [Stubborn(), observer])
    job = TrainingJob(model=ModelSpec("sklearn.naive_bayes.GaussianNB"))
    run = Run(backend, backend.submit(job, tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.COMPLETED
    assert observer.events[0] == ("observing", "InProcessCompute")
    assert run.record.job.tags == {"prepared": "yes"}
    [point] = run.series("elsewhere")
    assert (str(point.value), point.step, point.time) == ("nan", 7, run.record.created_at)
    assert inner.get(run.id).points[-1].name == "elsewhere"
    assert len(backend.get(run.id).points) == len(run.record.points)
    names = [name for kind, logged in observer.events if kind == "metrics" for name, _ in logged]  # type: ignore[attr-defined]
    assert names.count("elsewhere") == 1


def test_metrics_are_added_to_finished_runs_alone(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """Metrics can't be added to a run that hasn't finished; a wrapper of a backend that keeps none adds none."""
    backend = InProcessCompute(tmp_path / "home", parallel=1)
    (tmp_path / "train.py").write_text("import time; time.sleep(60)")
    run_id = backend.submit(ScriptJob(str(tmp_path), "train.py"), tiny_mnist).id
    with pytest.raises(RunStateError):
        backend.add_points(run_id, [])
    backend.cancel(run_id)
    assert isinstance(DelegatingCompute(backend), SupportsPoints)
    assert not isinstance(DelegatingCompute(Paper()), SupportsPoints)
    stub = Submitting()
    observed = ObservedCompute(stub, [Preparing()])
    observed.submit(ScriptJob("folder"), tiny_mnist)
    stub.states = [RunState.QUEUED, RunState.COMPLETED]
    assert observed.get("run").points == ()
