"""``mnistkit train`` and ``mnistkit sweep``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.interfaces import DataSource
from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE = 120
DIGITS = ("train", "--data", "digits")


def test_it_prints_what_the_tutorial_prints(mnistkit: Program) -> None:
    """Train prints the two metrics first, the model's name, id and version, the run and its folder."""
    outcome = mnistkit(*DIGITS)
    lines = outcome.out.splitlines()
    assert lines[0] == "regularization rate: 0.5"
    assert re.fullmatch(r"accuracy: 0\.9\d{1,3}", lines[1])
    assert "sklearn_digits\tsklearn_digits:1\t1" in lines
    run_id, folder = (line.partition(": ")[2] for line in lines[-2:])
    assert Trainer.local().run(run_id).state is RunState.COMPLETED
    assert Path(folder, "outputs", "model.skops").is_file()
    assert "digits: 1437 images to train on, 360 to test on, 8x8, 10 classes\n" in outcome.err


def test_twice_gives_versions_1_and_2(mnistkit: Program) -> None:
    """A second training of the same name is its next version."""
    assert mnistkit(*DIGITS, "--json").json["model"]["version"] == 1
    assert mnistkit(*DIGITS, "--json").json["model"]["version"] == 2


def test_options_reach_the_run_and_the_model(mnistkit: Program, tiny_mnist: DataSource) -> None:
    """Experiment, name, tags, solver, iterations, seed, limit and format end in the record and in the registry."""
    found = mnistkit(
        "train", "--data", tiny_mnist.uri, "--regularization", "2", "--solver", "liblinear", "--max-iter", "77",
        "--seed", "7", "--limit", "100", "--experiment", "trial", "--name", "other", "--tag", "a=b=c", "--tag", "d=",
        "--format", "joblib", "--json",
    ).json  # fmt: skip
    job = Trainer.local().run(found["run"]["id"]).record.job
    assert (job.kind, job.seed, job.limit, job.experiment) == ("training", 7, 100, "trial")
    assert job.model.params == {"C": 0.5, "solver": "liblinear", "max_iter": 77, "tol": 0.001}
    assert found["run"]["tags"] == found["model"]["tags"] == {"a": "b=c", "d": ""}
    assert found["model"]["id"] == "other:1"
    assert found["model"]["format"] == "joblib"
    assert list(found["model"]["files"]) == ["probe.npz", "sklearn_mnist_model.pkl"]
    assert found["metrics"]["regularization rate"] == 2.0
    assert found["data"] == {"name": found["data"]["name"], "train": 300, "test": 100}


def test_the_accurate_classifier_is_trained_and_loaded(mnistkit: Program) -> None:
    """--solver accurate trains it with the options for the dataset; its model is registered, and loads as it is."""
    found = mnistkit(*DIGITS, "--solver", "accurate", "--seed", "7", "--json").json
    trainer = Trainer.local(data="digits")
    job = trainer.run(found["run"]["id"]).record.job
    assert job.model.type == "mnistkit.estimators.AccurateClassifier"
    assert job.model.params == {"cells": 4, "centre": False}
    assert found["metrics"]["accuracy"] > 0.98
    model = trainer.load(found["model"]["id"])
    assert model.random_state == 7
    assert mnistkit(*DIGITS, "--solver", "accurate").out.startswith("accuracy: 0.9")


def test_parameters_of_the_accurate_classifier_are_set_and_swept(mnistkit: Program) -> None:
    """--set and --grid go beside the options for the dataset, and win over them."""
    train = (*DIGITS, "--solver", "accurate", "--set", "n_landmarks=50", "--set", "cells=5", "--no-register")
    found = mnistkit(*train, "--json").json
    job = Trainer.local(data="digits").run(found["run"]["id"]).record.job
    assert job.model.params == {"cells": 5, "centre": False, "n_landmarks": 50}
    sweep = ("sweep", "--data", "digits", "--solver", "accurate", "--grid", "n_landmarks=20,200", "--no-register")
    runs = mnistkit(*sweep, "--json").json["runs"]
    jobs = [Trainer.local(data="digits").run(run["id"]).record.job for run in runs]
    assert [job.model.params["n_landmarks"] for job in jobs] == [20, 200]
    assert [run["best"] for run in runs] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sweep", "--regularization", "1,2"), "has no regularization rate: use --grid"),
        (("train", "--regularization", "0.8"), "--regularization is for the logistic regression: set parameters of"),
        (("train", "--max-iter", "5"), "--max-iter is for the logistic regression"),
        (("train", "--set", "n_landmark=5"), "Did you mean 'n_landmarks'"),
    ],
)
def test_options_without_effect_on_the_accurate_classifier_are_refused(
    arguments: tuple[str, ...], words: str, mnistkit: Program
) -> None:
    """They are those of the logistic regression."""
    assert words in mnistkit(*arguments, "--data", "digits", "--solver", "accurate", code=2).err


def test_no_register_leaves_the_registry_alone(mnistkit: Program) -> None:
    """With --no-register there is a run but no model."""
    assert mnistkit(*DIGITS, "--no-register", "--json").json["model"] is None
    assert Trainer.local().models.names() == ()


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "-inf", "1e-320"])
def test_a_regularization_that_cannot_be_is_explained(mnistkit: Program, rate: str) -> None:
    """A rate that isn't finite and above 0 is refused with the reason, before anything is written."""
    err = mnistkit(*DIGITS, "--regularization", rate, code=2).err
    assert f"--regularization {float(rate):g}" in err
    assert "C is 1/regularization" in err
    assert not Path(os.environ["MNISTKIT_HOME"]).exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--data", "mnits"), "there are digits, idx:FOLDER, mnist"),
        (("--data", "idx:nowhere"), "nowhere is not a folder"),
        (("--name", "a/b"), "'a/b' isn't a valid model name: use 1 to 64 ASCII letters"),
        (("--experiment", "../x"), "isn't a valid experiment name"),
        (("--tag", "novalue"), "write KEY=VALUE"),
    ],
)
def test_bad_input_is_refused_before_training(mnistkit: Program, options: tuple[str, str], expected: str) -> None:
    """What can't be right is explained in one paragraph, and no run is made."""
    outcome = mnistkit("train", "--data", "digits", *options, code=1 if "nowhere" in expected else 2)
    assert expected in outcome.err
    assert outcome.out == ""
    assert not Trainer.local().runs()


def test_a_home_that_cannot_be_written_is_named(
    mnistkit: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the path and the variable that moves it; the exit code is 1."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNISTKIT_HOME", str(tmp_path / "file" / "home"))
    err = mnistkit(*DIGITS, code=1).err
    assert str(tmp_path / "file") in err
    assert "MNISTKIT_HOME" in err


def test_a_folder_that_lacks_a_file_is_explained(mnistkit: Program, write_dataset: Callable[..., Path]) -> None:
    """A folder of IDX files without the test labels names what is missing."""
    folder = write_dataset(np.zeros((4, 4, 4), dtype=np.uint8), np.arange(4, dtype=np.uint8))
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert "lacks t10k-labels-idx1-ubyte" in mnistkit("train", "--data", f"idx:{folder}", code=1).err


def test_a_failed_run_says_why_and_where_its_log_is(mnistkit: Program, one_class: str) -> None:
    """A training that fails exits with 1, names the run, its error and the command that shows its log."""
    outcome = mnistkit("train", "--data", one_class, code=1)
    (run,) = Trainer.local().runs()
    assert f"Run {run.id} is Failed: ValueError" in outcome.err
    assert f"mnistkit runs logs {run.id}" in outcome.err
    assert Trainer.local().models.names() == ()


def test_the_configuration_is_followed(mnistkit: Program) -> None:
    """Data, experiment and model name come from mnistkit.toml where no option says otherwise."""
    Path("mnistkit.toml").write_text('data = "digits"\nexperiment = "mine"\nmodel = "ours"\n', encoding="utf-8")
    found = mnistkit("train", "--json").json
    assert (found["run"]["data"], found["run"]["experiment"], found["model"]["name"]) == ("digits", "mine", "ours")


def test_a_sweep_registers_the_best(mnistkit: Program) -> None:
    """A sweep makes one run per rate, in order, marks the most accurate and registers that one."""
    found = mnistkit("sweep", "--data", "digits", "--regularization", "1000,0.5", "--parallel", "1", "--json").json
    assert [run["metrics"]["regularization rate"] for run in found["runs"]] == [1000.0, 0.5]
    assert [run["best"] for run in found["runs"]] == [False, True]
    assert found["model"]["run_id"] == found["runs"][1]["id"]


def test_a_sweep_prints_a_table(mnistkit: Program) -> None:
    """For people a sweep prints a row per run and says which is the best."""
    out = mnistkit("sweep", "--data", "digits", "--regularization", "1000,0.5", "--no-register").out
    header, first, second = out.splitlines()
    assert header.startswith("run ")
    assert "best" not in first
    assert second.endswith("best")


@pytest.mark.parametrize("rates", ["1,x", "", "1,,2", "0.5,0"])
def test_rates_that_cannot_be_are_refused(mnistkit: Program, rates: str) -> None:
    """A sweep refuses rates that are no numbers above 0 before it trains."""
    assert "--regularization" in mnistkit("sweep", "--data", "digits", "--regularization", rates, code=2).err
    assert not Trainer.local().runs()


def test_a_solver_that_has_not_converged_is_noted_once(start: Start) -> None:
    """scikit-learn's ConvergenceWarning becomes one note that names the option; the command succeeds."""
    out, err = start(*DIGITS, "--max-iter", "2").communicate(timeout=DEADLINE)
    assert "accuracy" in out
    assert err.count("before the solver had converged") == 1
    assert "--max-iter" in err
    assert "ConvergenceWarning" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
def test_interrupting_cancels_the_run_and_ends_at_once(start: Start, write_dataset: Callable[..., Path]) -> None:
    """Ctrl-C during a fit that would take for ever exits with 130, says what was canceled, and the run is Canceled."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
    folder = write_dataset(images, random.integers(0, 10, 20_000, dtype=np.uint8))
    process = start("train", "--data", f"idx:{folder}", "--solver", "saga", "--max-iter", "1000000")
    assert process.stderr is not None
    while "Submitted run" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    (run,) = Trainer.local().runs()
    *before, last = err.splitlines()
    assert last == f"Interrupted: canceled run {run.id}."
    assert before in ([], [f"Run {run.id} is Queued."])  # which comes first depends on the machine
    assert run.state is RunState.CANCELED


@pytest.mark.mnist
def test_real_mnist_gives_the_tutorials_accuracy(mnistkit: Program) -> None:
    """With 5000 images of the real MNIST the accuracy is where a logistic regression's is."""
    found = mnistkit("train", "--limit", "5000", "--solver", "liblinear", "--regularization", "20", "--json").json
    assert found["data"] == {"name": "mnist", "train": 60000, "test": 10000}
    assert 0.86 < found["metrics"]["accuracy"] < 0.92


def test_reuse_takes_the_earlier_run(mnistkit: Program) -> None:
    """With --reuse a second training is none: the same run, the same version, and a note that says so."""
    first = mnistkit(*DIGITS, "--json").json
    again = mnistkit(*DIGITS, "--reuse")
    assert f"Reused run {first['run']['id']}" in again.err
    assert "sklearn_digits\tsklearn_digits:1\t1" in again.out
    assert mnistkit(*DIGITS, "--reuse", "--json").json == {**first, "reused": True}
    assert len(Trainer.local().runs()) == 1
    assert mnistkit(*DIGITS, "--reuse", "--name", "other", "--json").json["model"]["id"] == "other:1"


def test_reuse_says_why_there_is_none(mnistkit: Program) -> None:
    """Where no run can be reused, a note says what differs, and one is trained."""
    first = mnistkit(*DIGITS, "--json").json["run"]["id"]
    outcome = mnistkit(*DIGITS, "--reuse", "--seed", "7", "--json")
    assert f"the nearest run, {first}, differs" in outcome.err
    assert "seed: 42 -> 7" in outcome.err
    assert (outcome.json["reused"], outcome.json["run"]["id"] != first) == (False, True)


def test_explain_trains_nothing(mnistkit: Program) -> None:
    """With --explain the nearest run and the differences are printed, as text or JSON; nothing is fetched or run."""
    assert mnistkit("train", "--explain").out == "Nothing to reuse: there is no earlier run to compare with.\n"
    run_id = mnistkit(*DIGITS, "--json").json["run"]["id"]
    assert f"Run {run_id} can be reused" in mnistkit(*DIGITS, "--explain").out
    assert "    C: 2.0 -> 0.5\n" in mnistkit(*DIGITS, "--explain", "--regularization", "2").out
    assert mnistkit(*DIGITS, "--explain", "--limit", "9", "--json").json == {
        "reuses": False,
        "run": run_id,
        "state": "Completed",
        "differences": [{"part": "parameters", "item": "limit", "old": None, "new": "9"}],
    }
    assert len(Trainer.local().runs()) == 1
