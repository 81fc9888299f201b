"""The facade."""

from __future__ import annotations

import copy
import math
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit import Dataset, Trainer, best_run, load_dataset
from mnistkit.errors import (
    InvalidNameError,
    NotFoundError,
    RunFailedError,
    RunStateError,
    SpecError,
    UnknownNameError,
    UsageError,
)
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob
from mnistkit.local import FolderRegistry, InProcessCompute, ProcessCompute
from mnistkit.runs.context import get_context
from mnistkit.runs.record import RunState

QUICK = {"max_iter": 20}


@pytest.fixture
def trainer(tiny_mnist: DataSource) -> Trainer:
    """Everything local, on the tiny MNIST, in the test's own home."""
    return Trainer.local(data=tiny_mnist)


def test_train_register_load(trainer: Trainer) -> None:
    """The README's way: train, register, load, predict; twice gives versions 1 and 2."""
    run = trainer.train(make_pipeline(StandardScaler(), LogisticRegression(C=2, **QUICK)))
    for version in (1, 2):
        model = trainer.register(run, "sklearn_mnist", tags={"by": "test"}, description="a test")
        assert model.id == f"sklearn_mnist:{version}"
    assert model.metrics == run.metrics
    assert (model.run_id, model.tags, model.format) == (run.id, {"by": "test"}, "skops")
    classifier = trainer.load("sklearn_mnist:1")
    _, (X_test, y_test) = trainer.dataset().as_sklearn()
    assert classifier.score(X_test, y_test) == run.metrics["accuracy"]


def test_a_trainer_says_what_it_ties_together(trainer: Trainer) -> None:
    """Its repr names data, experiment, backend and registry."""
    expected = (
        f"Trainer('{trainer.data.uri}', experiment='sklearn-mnist', compute=InProcessCompute, models=FolderRegistry)"
    )
    assert repr(trainer) == expected


def test_everything_goes_to_the_home(trainer: Trainer, tmp_path: Path) -> None:
    """Runs and models are kept in MNISTKIT_HOME, or where ``home=`` says; nothing appears elsewhere."""
    run = trainer.train(LogisticRegression(**QUICK))
    assert Path(run.record.url).parent == tmp_path / "mnistkit-home" / "runs"
    other = Trainer.local(data=trainer.data, home=tmp_path / "other")
    assert not other.runs()
    other.train(LogisticRegression(**QUICK))
    assert len(other.runs()) == len(trainer.runs()) == 1


def test_sweep_tries_every_combination(trainer: Trainer) -> None:
    """A sweep has one run per combination, in order, and the best one can be registered."""
    runs = trainer.sweep(LogisticRegression(**QUICK), {"C": [0.01, 1], "fit_intercept": [True, False]}, parallel=2)
    assert [run.state for run in runs] == [RunState.COMPLETED] * 4
    params = [run.record.job.model.params for run in runs]  # type: ignore[union-attr]
    assert [each.get("C", 1.0) for each in params] == [0.01, 0.01, 1, 1]
    best = best_run(runs, "accuracy")
    assert best.metrics["accuracy"] == max(run.metrics["accuracy"] for run in runs)
    assert trainer.register(best, "best").run_id == best.id


def test_failures_dont_stop_a_sweep(trainer: Trainer) -> None:
    """A combination that fails is a Failed run; the others complete."""
    runs = trainer.sweep(LogisticRegression(**QUICK), [{"C": -1}, {"C": 1}], parallel=1)
    assert [run.state for run in runs] == [RunState.FAILED, RunState.COMPLETED]


@pytest.mark.parametrize(
    ("grid", "words"),
    [({"CC": [1]}, "CC"), ({"C": 5}, "lists of values"), ([], "nothing to try"), ({"C": []}, "C")],
)
def test_a_bad_sweep_submits_nothing(trainer: Trainer, grid: Any, words: str) -> None:
    """A parameter that doesn't exist, or an empty grid, is an error before anything runs."""
    with pytest.raises(UsageError, match=words):
        trainer.sweep(LogisticRegression(), grid)
    with pytest.raises(UsageError, match="parallel=0"):
        trainer.sweep(LogisticRegression(), {"C": [1]}, parallel=0)
    assert not trainer.runs()


def test_a_failing_training_raises(trainer: Trainer) -> None:
    """`train` of something that fails raises its error; the run is kept, and can't be registered."""
    with pytest.raises(RunFailedError, match="C"):
        trainer.train(LogisticRegression(C=-1))
    [run] = trainer.runs()
    with pytest.raises(RunStateError, match=rf"Run {run.id} is Failed: .*C"):
        trainer.register(run, "sklearn_mnist")
    assert trainer.models.names() == ()


def test_bad_input_is_refused_before_training(trainer: Trainer) -> None:
    """No classifier, a bad experiment name and an unknown dataset are errors before anything is spent."""
    with pytest.raises(SpecError, match="can't predict classes"):
        trainer.train(LinearRegression())
    with pytest.raises(InvalidNameError, match="experiment name"):
        Trainer.local(experiment="a/b")
    with pytest.raises(UnknownNameError, match="there are digits"):
        Trainer.local(data="nothing")
    assert not trainer.runs()


def test_register_refuses_a_bad_name(trainer: Trainer) -> None:
    """A model name with a slash is refused with the rule, and nothing is registered."""
    run = trainer.train(LogisticRegression(**QUICK))
    with pytest.raises(InvalidNameError, match="1 to 64 ASCII letters"):
        trainer.register(run, "a/b")
    assert trainer.models.names() == ()


def test_a_scripts_model_is_registered(trainer: Trainer, tmp_path: Path) -> None:
    """A script's pickle is registered as joblib, whatever it holds; without a model the error lists the files."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "import os, sys\nos.mkdir('outputs')\n"
        "for name in sys.argv[2:]:\n    open('outputs/' + name, 'w').write('bytes')\n"
    )
    run = trainer.submit(ScriptJob(str(folder), "train.py", (DATA_FOLDER, "sklearn_mnist_model.pkl", "a.txt"))).wait()
    assert run.record.experiment == "sklearn-mnist"
    assert trainer.register(run, "m").format == "joblib"
    assert trainer.register(run, "m", file="outputs/a.txt").format == "files"
    run = trainer.submit(ScriptJob(str(folder), "train.py", (DATA_FOLDER, "a.txt"))).wait()
    with pytest.raises(NotFoundError, match=r"no model; it left outputs/a\.txt"):
        trainer.register(run, "m")
    run = trainer.submit(ScriptJob(str(folder), "train.py", (DATA_FOLDER, "a.pkl", "b.pkl"))).wait()
    with pytest.raises(NotFoundError, match="say which"):
        trainer.register(run, "m")


def test_metrics_that_json_cant_say_dont_stop_a_registration(trainer: Trainer, tmp_path: Path) -> None:
    """NaN and infinite metrics stay with the run."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "from mnistkit import get_context\nc = get_context()\nc.log('loss', float('nan'))\nc.log('accuracy', 1)\n"
        "(c.outputs / 'model.pkl').write_text('bytes')\n"
    )
    run = trainer.submit(ScriptJob(str(folder))).wait()
    assert math.isnan(run.metrics["loss"])
    assert trainer.register(run, "m").metrics == {"accuracy": 1.0}


def test_runs_are_found_again(trainer: Trainer) -> None:
    """A run is found by its id, and among those of its experiment."""
    run = trainer.train(LogisticRegression(**QUICK), tags={"a": "b"})
    assert trainer.run(run.id).record == run.record
    assert [each.id for each in trainer.runs()] == [run.id]
    assert run.record.tags == {"a": "b"}
    assert not Trainer.local(data=trainer.data, experiment="other").runs()


def test_the_configuration_file_is_used(
    tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`from_config` takes data, experiment and backends from mnistkit.toml; arguments win."""
    (tmp_path / "mnistkit.toml").write_text(f'data = "{tiny_mnist.uri}"\nexperiment = "from-file"\n')
    monkeypatch.chdir(tmp_path)
    trainer = Trainer.from_config()
    assert (trainer.data.uri, trainer.experiment) == (tiny_mnist.uri, "from-file")
    assert Trainer.from_config(data="digits", experiment="mine").experiment == "mine"


def test_load_dataset_goes_through_the_cache(tmp_path: Path) -> None:
    """`load_dataset` fetches into the user's cache, once."""
    dataset = load_dataset("digits")
    folder = tmp_path / "mnistkit-cache" / "datasets" / "digits"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert load_dataset("digits").sha256 == dataset.sha256
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert (dataset.name, dataset.uri, len(dataset.train), len(dataset.test)) == ("digits", "digits", 1437, 360)


def test_nothing_but_this_machine_is_needed(trainer: Trainer) -> None:
    """Training, registering and loading open no socket beyond loopback: the guard of all tests would raise."""
    assert get_context() is not None
    trainer.load(trainer.register(trainer.train(LogisticRegression(**QUICK)), "m").name)


INTERRUPTED = """
import sys
from mnistkit import Trainer
from mnistkit.data.folders import DigitsSource
sys.path.insert(0, sys.argv[2])
from slow_classifier import Slow
try:
    Trainer.local(data=DigitsSource(), home=sys.argv[1]).train(Slow())
except KeyboardInterrupt:
    print("interrupted")
"""
SLOW = """
import time
from sklearn.base import BaseEstimator, ClassifierMixin
from mnistkit import get_context
class Slow(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        print("begun")
        while not get_context().should_stop:
            time.sleep(0.01)
        return self
    def predict(self, X):
        return [0] * len(X)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_interrupted_training_is_canceled(tmp_path: Path) -> None:
    """Ctrl-C in a blocking `train` cancels the run and raises KeyboardInterrupt."""
    (tmp_path / "slow_classifier.py").write_text(SLOW)
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(home), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        trainer = Trainer.local(data="digits", home=home)
        deadline = 60
        while not (trainer.runs() and "begun" in trainer.runs()[0].logs()):
            assert process.poll() is None
            deadline -= 1
            assert deadline
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert output == "interrupted\n"
    [run] = trainer.runs()
    assert run.state is RunState.CANCELED


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - written a moment ago


@pytest.mark.parametrize("backend", [InProcessCompute, ProcessCompute])
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, _pickled])
def test_trainers_runs_and_sweeps_copy(
    backend: Callable[[Path], ComputeBackend], again: Callable[[Any], Any], tmp_path: Path
) -> None:
    """A trainer, a run and a sweep are of use after copying and pickling: they read the same runs."""
    compute = backend(tmp_path / "home")
    trainer = Trainer(data="digits", compute=compute, models=FolderRegistry(tmp_path / "home"))
    sweep = trainer.sweep(LogisticRegression(max_iter=5), {"C": [1, 2]}, limit=50)
    other = again(trainer)
    assert [run.id for run in other.runs()] == [run.id for run in trainer.runs()]
    assert again(sweep[0]).refresh().record == sweep[0].record
    copied = again(sweep)
    assert (copied.name, copied.params, copied.best().id) == (sweep.name, sweep.params, sweep.best().id)
    assert other.train(LogisticRegression(max_iter=5), limit=50).state is RunState.COMPLETED


@pytest.mark.parametrize("backend", ["in-process", "process"])
def test_a_trainer_takes_arrays(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays are trained on, also in another process; reuse recognizes them, and a later program finds them again."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", backend)
    digits = load_dataset("digits")
    X, y = digits.train.images[:300], digits.train.labels[:300]
    trainer = Trainer.local(data=(X / 255, y), home=tmp_path)
    run = trainer.train(LogisticRegression(C=0.3, max_iter=200))
    assert run.metrics["accuracy"] > 0.8
    again = Trainer.local(data=Dataset.from_arrays(X, y), home=tmp_path)
    assert again.explain_reuse(again.job(LogisticRegression(C=0.3, max_iter=200))).run_id == run.id
    version = again.register(run, "digits")
    assert version.input is not None
    assert (
        again.predict(digits.test.images, "digits").labels.tolist() == again.predict(digits.test, run).labels.tolist()
    )
    assert load_dataset(run.record.data).sha256 == again.dataset().sha256
