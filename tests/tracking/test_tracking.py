"""Runs that the program carries out itself: `Trainer.start_run`."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mnistkit import get_context
from mnistkit.data.dataset import Dataset
from mnistkit.errors import MnistkitError, RunNotFoundError, RunStateError, SpecError, StorageError, UsageError
from mnistkit.evaluation.results import run_evaluation, run_model
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.models.input import INPUT_FILE
from mnistkit.models.probe import PROBE_FILE
from mnistkit.reports.run import run_report
from mnistkit.runs.context import RUN_FOLDER_VARIABLE, ConsoleContext
from mnistkit.runs.observers import RunObserver
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run, best_run
from mnistkit.trainer import Trainer
from support.stub_backend import Paper


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """A trainer on the digits, which keeps its runs in a folder of the test's."""
    home = tmp_path / "home"
    return Trainer(data="digits", compute=InProcessCompute(home), models=FolderRegistry(home / "models"))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The data."""
    return Trainer.local(data="digits").dataset()


@pytest.fixture(scope="module")
def fitted(digits: Dataset) -> GaussianNB:
    """A classifier that was fitted on it."""
    return GaussianNB(var_smoothing=1e-3).fit(digits.train.X(), digits.train.y)


def test_a_block_is_a_run(trainer: Trainer, fitted: GaussianNB, capsys: pytest.CaptureFixture[str]) -> None:
    """What the block logs, saves and prints is the run's; afterwards it can be found, loaded and registered."""
    with trainer.start_run("my fit", tags={"purpose": "test"}) as run:
        assert trainer.run(run.id).state is RunState.RUNNING
        for step in range(3):
            run.log("loss", 1 / (step + 1), step=step)
        run.log_image("square", np.zeros((4, 4), dtype=np.uint8))
        run.log_confusion_matrix("pairs", [[1, 0], [0, 1]], ["a", "b"])
        run.tag("stage", "first")
        print("seen and kept")
        scores = run.evaluate(fitted)
        assert run.save_model(fitted).parent == run.outputs
    record = trainer.run(run.id).record
    assert record == run.record
    assert (run.state, record.job.describe().title, record.experiment) == (
        RunState.COMPLETED,
        "my fit",
        "sklearn-mnist",
    )
    assert record.tags == {"purpose": "test", "stage": "first", "classifier": "GaussianNB(var_smoothing=0.001)"}
    assert [point.value for point in run.series("loss")] == [1, 1 / 2, 1 / 3]
    assert run.metrics["accuracy"] == scores.accuracy == run_evaluation(run).accuracy > 0.7
    assert run.metrics["log loss"] == scores.log_loss
    expected = {"model.skops", PROBE_FILE, INPUT_FILE, "evaluation.json", "square.png", "pairs.json"}
    assert {file for file in run.files if file.startswith("outputs/")} == {f"outputs/{name}" for name in expected}
    assert record.versions["scikit-learn"]
    assert record.provenance is not None
    assert record.job.fingerprint is not None
    assert len(record.job.fingerprint.data) > 0
    assert capsys.readouterr().out == "seen and kept\n"
    assert run.logs().startswith("seen and kept\n")
    assert "accuracy on the test images" in run.logs()
    assert isinstance(run_model(run), GaussianNB)
    version = trainer.register(run, "digits")
    assert (version.run_id, version.metrics["accuracy"]) == (run.id, scores.accuracy)
    assert version.input is not None
    assert version.input.size.startswith("8")
    assert best_run([run], "accuracy") is run
    assert "my fit" in run_report(run)


def test_it_is_the_context_of_the_block(trainer: Trainer) -> None:
    """Functions that log to `get_context` log to the run, inside the block alone."""
    with trainer.start_run() as run:
        assert get_context() is run
        get_context().log("deep", 1)
        threads: list[object] = []
        thread = threading.Thread(target=lambda: threads.append(get_context()))
        thread.start()
        thread.join()
    assert isinstance(threads[0], ConsoleContext)  # threads of the block's own don't belong to it
    assert isinstance(get_context(), ConsoleContext)
    assert run.metrics == {"deep": 1}


def test_what_raises_is_failed(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    """A block that raises is Failed, with the error, the traceback from the block on, and the log up to there."""
    with pytest.raises(ValueError, match="planted"), trainer.start_run() as run:  # noqa: PT012 - the block is the subject
        run.log("loss", 1)
        print("before")
        raise ValueError("planted by the test; token=hunter22")
    assert (run.state, run.error) == (RunState.FAILED, "ValueError: planted by the test; token=***")
    traceback = run.record.traceback or ""
    assert traceback.splitlines()[1].strip().startswith(f'File "{__file__}"')
    assert "starting.py" not in traceback
    assert run.logs() == f"before\n{traceback}"
    assert "hunter22" not in run.logs()
    assert run.metrics == {"loss": 1}
    assert run.record.attempts[0].cause == "error"
    with pytest.raises(RunStateError, match="Failed"):
        trainer.register(run, "digits")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (KeyboardInterrupt(), RunState.CANCELED),
        (SystemExit(0), RunState.COMPLETED),
        (SystemExit(), RunState.COMPLETED),
        (SystemExit("no data"), RunState.FAILED),
    ],
    ids=["Ctrl-C", "exit with 0", "exit", "exit with a message"],
)
def test_interruptions_and_exits(trainer: Trainer, raised: BaseException, state: RunState) -> None:
    """Ctrl-C cancels the run, an exit with 0 completes it, and any other exit fails it; each leaves the block."""
    with pytest.raises(type(raised)), trainer.start_run(capture=False) as run:
        raise raised
    assert run.state is state


def test_its_end_can_be_requested(trainer: Trainer) -> None:
    """A block that ends because its run was canceled leaves a Canceled run; one that didn't look is Completed."""
    with trainer.start_run() as run:
        assert not run.should_stop
        trainer.run(run.id).cancel()
        assert trainer.run(run.id).state is RunState.CANCEL_REQUESTED
        while not run.should_stop:
            pass
    assert run.state is RunState.CANCELED
    with trainer.start_run() as other:
        trainer.run(other.id).cancel()
    assert other.state is RunState.COMPLETED


def test_output_is_captured_or_not(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``capture=False`` the log stays empty; what is printed is shown either way, warnings as well."""
    with trainer.start_run(capture=False) as run:
        print("shown alone")
    assert (run.logs(), capsys.readouterr().out) == ("", "shown alone\n")


def test_a_run_in_a_run_needs_its_parent(trainer: Trainer) -> None:
    """A run in the block of another is refused, unless it is said to be a part of it; then each has its own metrics."""
    with trainer.start_run("sweep") as sweep:
        with pytest.raises(UsageError, match=r"start_run\(parent=run\)"), trainer.start_run():
            pass
        for smoothing in (1e-9, 1e-3):
            with trainer.start_run(f"{smoothing:g}", parent=sweep) as trial:
                trial.log("accuracy", smoothing)
                assert get_context() is trial
            assert get_context() is sweep
        sweep.log("best", 1)
    parts = [run for run in trainer.runs() if run.record.tags.get("parent") == sweep.id]
    assert [run.metrics for run in parts] == [{"accuracy": 1e-3}, {"accuracy": 1e-9}]
    assert (sweep.state, sweep.metrics) == (RunState.COMPLETED, {"best": 1})
    with trainer.start_run(parent=sweep.id) as later:
        pass
    assert later.record.tags["parent"] == sweep.id
    with pytest.raises(RunNotFoundError), trainer.start_run(parent="20000101-000000-ffffff"):
        pass
    assert len(trainer.runs()) == 4


def test_threads_track_runs_of_their_own(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks of several threads at once are runs that share neither metrics nor output."""

    def fit(number: int) -> None:
        with trainer.start_run(str(number)) as run:
            print(f"thread {number}")
            barrier.wait(10)
            run.log("number", number)
            barrier.wait(10)

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=fit, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = {run.record.job.describe().title: run for run in trainer.runs()}
    assert [(runs[str(n)].metrics, runs[str(n)].logs()) for n in range(3)] == [
        ({"number": n}, f"thread {n}\n") for n in range(3)
    ]
    assert sorted(capsys.readouterr().out.split("\n")[:-1]) == [f"thread {n}" for n in range(3)]


def test_after_the_block_it_is_a_run_like_any_other(trainer: Trainer, fitted: GaussianNB) -> None:
    """Logging and saving are refused once the block has ended, waiting before; tags, notes and copies work."""
    with trainer.start_run() as run, pytest.raises(RunStateError, match="when its block ends"):
        run.wait()
    for call in (
        lambda: run.log("a", 1),
        lambda: run.outputs,
        lambda: run.log_image("a", np.zeros((2, 2), dtype=np.uint8)),
        lambda: run.save_model(fitted),
        lambda: run.evaluate(fitted),
    ):
        with pytest.raises(RunStateError, match="in its block"):
            call()
    run.tag("late", "yes")
    run.note("kept")
    assert run.wait().state is RunState.COMPLETED
    assert (run.record.tags, run.record.note) == ({"late": "yes"}, "kept")
    copy = pickle.loads(pickle.dumps(run))  # noqa: S301 - our own
    assert type(copy) is Run
    assert copy.refresh().record == run.record


def test_what_is_no_fitted_classifier_is_refused(trainer: Trainer) -> None:
    """An unfitted classifier, and what is none, are refused before anything is written; the run can carry on."""
    with trainer.start_run() as run:
        for call in (run.save_model, run.evaluate):
            with pytest.raises(UsageError, match="isn't fitted"):
                call(make_pipeline(StandardScaler(), LogisticRegression()))
            with pytest.raises(SpecError):
                call(StandardScaler())
    assert run.state is RunState.COMPLETED
    assert not any(file.startswith("outputs/") for file in run.files)


def test_a_model_of_other_rows_is_kept_without_input(
    trainer: Trainer, digits: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """A classifier that takes something else than the images is saved, but described as nothing that it isn't."""
    model = LinearSVC(max_iter=10).fit(digits.train.X()[:100, :20], digits.train.y[:100])
    with trainer.start_run() as run:
        run.save_model(model)
        with pytest.raises(UsageError, match="20 pixels"):
            run.evaluate(model)
    assert set(run.files) == {"logs/std_log.txt", "outputs/model.skops"}
    assert "takes rows of 20 numbers" in caplog.text


def test_a_later_model_replaces_the_first(trainer: Trainer, digits: Dataset, fitted: GaussianNB) -> None:
    """The run has one model, the last one, whatever the formats: no file of an earlier one stays, no probe either."""
    part = LinearSVC(max_iter=10).fit(digits.train.X()[:100, :20], digits.train.y[:100])
    logistic = LogisticRegression(tol=0.1).fit(digits.train.X(), digits.train.y)
    with trainer.start_run() as run:
        run.save_model(logistic, model_format="linear")
        run.save_model(part)
    assert {file for file in run.files if file.startswith("outputs/")} == {"outputs/model.skops"}
    with trainer.start_run() as run:
        run.save_model(fitted, model_format="joblib")
        run.save_model(logistic, model_format="linear")
    assert trainer.register(run, "digits").format == "linear"


def test_an_end_that_can_not_be_recorded(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    """Where the run's folder has gone, the block's own error is what the caller gets; else it is a storage error."""
    with pytest.raises(ValueError, match="mine"), trainer.start_run() as run:  # noqa: PT012 - the block is the subject
        shutil.rmtree(run.record.url)
        raise ValueError("mine")
    assert f"The end of run {run.id} can't be recorded" in caplog.text
    with pytest.raises(StorageError, match="can't be recorded"), trainer.start_run() as run:
        shutil.rmtree(run.record.url)


def test_programs_that_the_block_starts_may_print(trainer: Trainer, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output has the descriptor that it has outside: programs can be started with it."""
    with trainer.start_run():
        subprocess.run([sys.executable, "-c", "print('from outside')"], stdout=sys.stdout, check=True)
    assert capfd.readouterr().out == "from outside\n"


def test_nothing_is_tracked_where_it_can_not_be(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend without run folders, a program that is a run already and a bad name are refused, with what to do."""
    elsewhere = Trainer(data="digits", compute=Paper(), models=trainer.models)
    with pytest.raises(UsageError, match="Paper runs jobs elsewhere"), elsewhere.start_run():
        pass
    with pytest.raises(UsageError, match="name="):
        trainer.start_run(" ")
    monkeypatch.setenv(RUN_FOLDER_VARIABLE, "somewhere")
    with pytest.raises(UsageError, match="as a run already"), trainer.start_run():
        pass
    assert not trainer.runs()


def test_observers_see_it(trainer: Trainer) -> None:
    """Observers of a trainer are called for tracked runs as for submitted ones."""

    class Recorder(RunObserver):
        def submitted(self, record: RunRecord) -> None:
            events.append(record.state)

        def finished(self, record: RunRecord) -> None:
            events.append(record.state)

    events: list[RunState] = []
    watched = Trainer(data="digits", compute=trainer.compute, models=trainer.models, observers=[Recorder()])
    with watched.start_run():
        pass
    assert events == [RunState.RUNNING, RunState.COMPLETED]


def test_isolated_backends_keep_them_too(trainer: Trainer, tmp_path: Path) -> None:
    """The backend of `Trainer.local` keeps tracked runs beside its own, and finds them in other processes."""
    local = Trainer(data="digits", compute=ProcessCompute(tmp_path / "home"), models=trainer.models)
    with local.start_run() as run:
        run.log("a", 1)
    assert trainer.run(run.id).record == run.record


def test_no_model_is_lost_for_want_of_data(tmp_path: Path, fitted: GaussianNB) -> None:
    """A model is saved without input and probe where the data can't be had; evaluating it raises the reason."""
    home = tmp_path / "home"
    gone = Trainer(data=f"idx:{tmp_path}/gone", compute=InProcessCompute(home), models=FolderRegistry(home / "models"))
    with gone.start_run() as run:
        run.save_model(fitted)
        with pytest.raises(MnistkitError, match="gone"):
            run.evaluate(fitted)
    assert "outputs/model.skops" in run.files
