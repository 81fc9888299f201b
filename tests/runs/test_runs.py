"""Records, the handle on a run, and the choice of the best."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest

from mnistkit.errors import NotFoundError, RunFailedError, RunTimeoutError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run, best_run
from mnistkit.utils.clock import utc_now

NOW = utc_now()
JOB = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression"))


def ended(index: int, accuracy: float | None, state: RunState = RunState.COMPLETED) -> Run:
    """A run that ended, the later the higher its index."""
    at = NOW + timedelta(seconds=index)
    points = () if accuracy is None else (MetricPoint("accuracy", accuracy, None, at),)
    record = RunRecord(
        id=f"run-{index}",
        job=JOB,
        data="digits",
        transitions=(Transition(RunState.QUEUED, at), Transition(state, at)),
        points=points,
    )
    return Run(InProcessCompute("unused"), record)


def test_the_highest_or_lowest_finite_value_wins() -> None:
    """The best run has the highest value, or the lowest with mode='min'."""
    runs = [ended(0, 0.5), ended(1, 0.9), ended(2, 0.7)]
    assert best_run(runs, "accuracy") is runs[1]
    assert best_run(runs, "accuracy", mode="min") is runs[0]


def test_nan_infinity_failures_and_ties() -> None:
    """Of 0.9, NaN, infinity, a failed 1.0 and another 0.9, the first 0.9 wins, in whatever order they come."""
    runs = [ended(0, 0.9), ended(1, math.nan), ended(2, math.inf), ended(3, 1.0, RunState.FAILED), ended(4, 0.9)]
    assert best_run(runs, "accuracy").id == "run-0"
    assert best_run(reversed(runs), "accuracy").id == "run-0"


def test_no_best_run_says_why() -> None:
    """Without a candidate the error tells each run's state and metrics."""
    with pytest.raises(NotFoundError, match="run-0 is Failed with no metrics"):
        best_run([ended(0, None, RunState.FAILED)], "accuracy")
    with pytest.raises(UsageError, match="'best'"):
        best_run([], "accuracy", mode="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("state", list(RunState))
def test_terminal_states(state: RunState) -> None:
    """Completed, Failed and Canceled are terminal, and nothing else."""
    assert state.is_terminal == (state.value in {"Completed", "Failed", "Canceled"})
    assert str(state) == state.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script's folder."""
    path = tmp_path / "script"
    path.mkdir()
    return path


def test_waiting_has_a_deadline(tmp_path: Path, folder: Path, tiny_mnist: DataSource) -> None:
    """A wait that times out says so and leaves the run going; the next wait goes on."""
    (folder / "train.py").write_text("import time\ntime.sleep(60)\n")
    backend = InProcessCompute(tmp_path / "home")
    run = Run(backend, backend.submit(ScriptJob(str(folder)), tiny_mnist))
    with pytest.raises(RunTimeoutError, match="it goes on"):
        run.wait(timeout=0.2)
    run.cancel()
    assert run.wait(30).state is RunState.CANCELED
    with pytest.raises(RunFailedError, match="Canceled"):
        run.result()


def test_logs_can_be_followed(tmp_path: Path, folder: Path, tiny_mnist: DataSource) -> None:
    """Following yields the log as it grows, all of it and once, and ends with the run."""
    (folder / "train.py").write_text(
        "import time\nfor i in range(5):\n    print('line', i, flush=True)\n    time.sleep(0.1)\n"
    )
    backend = InProcessCompute(tmp_path / "home")
    run = Run(backend, backend.submit(ScriptJob(str(folder)), tiny_mnist))
    pieces = list(run.logs(follow=True))
    assert len(pieces) > 1
    assert "".join(pieces) == run.logs() == "".join(f"line {i}\n" for i in range(5))
    assert run.state is RunState.COMPLETED


def test_a_failed_run_raises_with_its_error(tmp_path: Path, folder: Path, tiny_mnist: DataSource) -> None:
    """`result` of a failed run raises what went wrong, the last lines of its log, and where to look."""
    (folder / "train.py").write_text("print('no such file')\nraise SystemExit(7)\n")
    backend = InProcessCompute(tmp_path / "home")
    run = Run(backend, backend.submit(ScriptJob(str(folder)), tiny_mnist))
    with pytest.raises(RunFailedError, match=r"exited with code 7\. Its log.*run\.logs.*\nno such file$"):
        run.result()


def test_series_lists_what_there_is() -> None:
    """A metric that wasn't logged is an error that lists the others."""
    with pytest.raises(NotFoundError, match="it has accuracy"):
        ended(0, 0.5).series("loss")
    assert [point.value for point in ended(0, 0.5).series("accuracy")] == [0.5]
    assert repr(ended(0, 0.5)) == "Run('run-0', Completed, accuracy=0.5)"
