"""The supervisor of run folders: what it decides for one run never happens to another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import DataFolder
from mnistkit.data.source import DataSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.context import RunContext
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.supervisor import Limits, supervise
from mnistkit.runs.record import RunRecord, RunState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

DEADLINE = 60.0
LIMITS = Limits(grace=0.5)


def job(place: int, **more: Any) -> TrainingJob:
    """A job of a group, told from the others by its seed."""
    return TrainingJob(model=ModelSpec("mnistkit.estimators.FastLogisticRegression"), seed=place, **more)


@pytest.fixture
def data(tiny_mnist: DataSource, tmp_path: Path) -> DataFolder:
    """What the jobs are said to train on."""
    return DataFolder(str(tiny_mnist.fetch(tmp_path / "data")), tiny_mnist.uri, owned=False)


class Group:
    """Run folders of jobs, and what happens in them, by place."""

    def __init__(self, root: Path, data: DataFolder, jobs: list[TrainingJob]) -> None:
        self.store = RunStore(root)
        self.data = data
        self.ids = [self.store.create(each, data.uri) for each in jobs]

    def supervised(self, train: Callable[..., object]) -> list[RunRecord]:
        """Bring them to their ends in a process of its own, and return their records."""
        process = multiprocessing.get_context("fork").Process(
            target=supervise, args=(self.store, self.ids, self.data, LIMITS, train)
        )
        process.start()
        process.join(DEADLINE)
        assert process.exitcode == 0
        return [self.store.read(run_id) for run_id in self.ids]

    def cancel(self, place: int) -> None:
        """Ask for a run's end, as any process may."""
        self.store.request_cancel(self.ids[place])


@pytest.fixture
def group(tmp_path: Path, data: DataFolder) -> Callable[..., Group]:
    """Make a group of jobs."""
    return lambda *jobs: Group(tmp_path / "runs", data, list(jobs))


def test_canceling_at_the_end_of_a_run_spares_the_next(group: Callable[..., Group]) -> None:
    """A run that is canceled as it completes is Completed or Canceled; the next one completes, at its first attempt."""
    runs = group(*(job(place) for place in range(30)))

    def train(which: TrainingJob, dataset: Dataset, context: RunContext, path: object) -> None:
        del dataset, path
        if which.seed % 2 == 0:
            runs.cancel(which.seed)
        time.sleep(0.002 * (which.seed % 7))  # the supervisor looks sooner or later than it reads the result
        context.log("place", which.seed)

    records = runs.supervised(train)
    assert {record.state for record in records[::2]} <= {RunState.CANCELED, RunState.COMPLETED}
    assert [(record.state, len(record.attempts)) for record in records[1::2]] == [(RunState.COMPLETED, 1)] * 15
    assert [[point.value for point in record.points] for record in records[1::2]] == [[n] for n in range(1, 30, 2)]


def test_nothing_of_the_next_run_happens_once_the_end_is_decided(
    group: Callable[..., Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the child of a canceled run is being ended, its result may come; it starts no other run even then."""
    runs = group(job(0), job(1))
    gate = runs.store.folder(runs.ids[0]) / "decided"
    end = processes.end_processes

    def late_end(*arguments: Any, **more: Any) -> None:
        gate.touch()
        time.sleep(0.3)  # for what has been decided to take effect: the child finishes its run meanwhile
        end(*arguments, **more)

    monkeypatch.setattr(processes, "end_processes", late_end)

    def train(which: TrainingJob, dataset: Dataset, context: RunContext, path: object) -> None:
        del dataset, path
        context.log("process", os.getpid())
        if which.seed == 0:
            runs.cancel(0)
            while not gate.exists():
                time.sleep(0.01)

    first, second = runs.supervised(train)
    assert first.state is RunState.COMPLETED  # a cancellation is a request: the result came before the end did
    assert second.state is RunState.COMPLETED
    assert len(second.attempts) == len(second.points) == 1
    assert first.metrics["process"] != second.metrics["process"]


def test_a_timeout_belongs_to_one_run(group: Callable[..., Group]) -> None:
    """A run that is late fails by its timeout; the next one has its whole time."""
    runs = group(job(0, timeout=0.3), job(1, timeout=DEADLINE), job(2, timeout=0.3))

    def train(which: TrainingJob, *_: object) -> None:
        time.sleep(0 if which.seed == 1 else DEADLINE)

    first, second, third = runs.supervised(train)
    assert [attempt.cause for attempt in first.attempts] == ["timeout"]
    assert (second.state, len(second.attempts)) == (RunState.COMPLETED, 1)
    assert [attempt.cause for attempt in third.attempts] == ["timeout"]


def test_an_exit_belongs_to_one_run(group: Callable[..., Group]) -> None:
    """A run whose process is killed fails by that, with its own retries; those after it are run in another process."""
    runs = group(job(0), job(1, retries=1), job(2))

    def train(which: TrainingJob, *_: object) -> None:
        if which.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    first, second, third = runs.supervised(train)
    assert (first.state, third.state) == (RunState.COMPLETED, RunState.COMPLETED)
    assert [attempt.signal for attempt in second.attempts] == ["SIGKILL", "SIGKILL"]
    assert len(first.attempts) == len(third.attempts) == 1


def test_a_process_that_doesnt_exit_is_ended(group: Callable[..., Group], monkeypatch: pytest.MonkeyPatch) -> None:
    """A result stands although the process hangs after it, and is no timeout."""
    monkeypatch.setattr(processes, "_leave", lambda _: time.sleep(600))  # as at the exit of a job's own threads
    begun = time.monotonic()
    (record,) = group(job(0, timeout=2 * DEADLINE)).supervised(lambda *_: None)
    assert record.state is RunState.COMPLETED, record.error
    assert time.monotonic() - begun < DEADLINE


def test_output_goes_to_the_log_of_its_run(group: Callable[..., Group]) -> None:
    """Each run's log holds what it wrote, first and last lines included."""
    runs = group(*(job(place) for place in range(10)))

    def train(which: TrainingJob, *_: object) -> None:
        print(f"first of {which.seed}")
        os.write(1, b"x" * 100_000 + b"\n")
        print(f"last of {which.seed}")

    runs.supervised(train)
    for place, run_id in enumerate(runs.ids):
        text = runs.store.read_log(run_id, 0)
        assert text.startswith(f"first of {place}\n")
        assert text.endswith(f"last of {place}\n")
        assert text.count("first") == 1
