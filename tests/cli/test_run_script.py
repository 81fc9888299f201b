"""``mnistkit run``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.trainer import Trainer

Program = Callable[..., Any]

SCRIPT = """
import argparse

from helper import fitted
from mnistkit import get_context, save_model
from mnistkit.data import Dataset

parser = argparse.ArgumentParser()
parser.add_argument("--data-folder")
parser.add_argument("--regularization", type=float)
options = parser.parse_args()
print("it began")
run = get_context()
run.log("regularization rate", options.regularization)
if options.data_folder:
    dataset = Dataset.from_folder(__import__("pathlib").Path(options.data_folder))
    classifier = fitted(dataset, options.regularization)
    run.log("accuracy", classifier.score(dataset.test.X(), dataset.test.y))
    save_model(classifier, run.outputs)
"""

HELPER = """
from sklearn.linear_model import LogisticRegression

def fitted(dataset, rate):
    return LogisticRegression(C=1 / rate, tol=0.01).fit(dataset.train.X()[:300], dataset.train.y[:300])
"""


@pytest.fixture
def script() -> str:
    """A script in a folder of its own."""
    Path("mine").mkdir()
    Path("mine/train.py").write_text(SCRIPT)
    Path("mine/helper.py").write_text(HELPER)
    return "mine/train.py"


def test_a_script_is_a_run(mnistkit: Program, script: str) -> None:
    """The script runs with its arguments in a copy of its folder; metrics, output and tags are the run's."""
    outcome = mnistkit(
        "run", script, "--data", "digits", "--experiment", "mine", "--tag", "a=b", "--", "--regularization", "0.5"
    )
    assert "regularization rate: 0.5\n" in outcome.out
    (record,) = Trainer.local().compute.runs("mine")
    assert f"run: {record.id}" in outcome.out
    assert f"Submitted run {record.id}." in outcome.err
    assert (record.job.entry_script, record.job.arguments) == ("train.py", ("--regularization", "0.5"))
    assert record.tags == {"a": "b"}
    assert mnistkit("runs", "logs", record.id).out == "it began\n"
    assert (Path(record.url) / "code" / "helper.py").read_text() == HELPER


def test_its_model_is_registered(mnistkit: Program, script: str) -> None:
    """With --register the model in ./outputs becomes a version; the data's folder stands where the placeholder was."""
    found = mnistkit(
        "run", script, "--data", "digits", "--register", "scripted", "--json", "--",
        "--regularization", "0.5", "--data-folder", "${DATA_FOLDER}",
    ).json  # fmt: skip
    assert found["model"]["id"] == "scripted:1"
    assert found["model"]["metrics"]["accuracy"] == found["metrics"]["accuracy"] > 0.8
    assert Trainer.local().load("scripted").C == 2


def test_failures_are_exit_codes(mnistkit: Program, script: str) -> None:
    """A script that fails ends with 1 and names its log, as does one without a model to register; bad input is 2."""
    outcome = mnistkit("run", script, "--data", "digits", "--", "--regularization", "much", code=1)
    assert "exited with code 2" in outcome.err
    assert "mnistkit runs logs" in outcome.err
    arguments = ("run", script, "--data", "digits", "--register", "scripted", "--", "--regularization", "1")
    assert "left no model" in mnistkit(*arguments, code=1).err
    assert "its scripts: helper.py, train.py" in mnistkit("run", "mine/nothing.py", code=1).err
    assert "isn't a valid model name" in mnistkit("run", script, "--register", "a/b", code=2).err
    assert len(Trainer.local().compute.runs()) == 2


def test_a_script_that_tracks_itself_is_told(mnistkit: Program) -> None:
    """`Trainer.start_run` in a script that is a run already fails with what to do instead."""
    Path("own.py").write_text(
        "from mnistkit import Trainer\nwith Trainer.local(data='digits').start_run():\n    pass\n"
    )
    mnistkit("run", "own.py", "--data", "digits", code=1)
    assert "log to that run, mnistkit.get_context()" in mnistkit("runs", "logs", "latest").out
