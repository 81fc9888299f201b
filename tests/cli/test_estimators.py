"""Any estimator from the command line: ``mnistkit train --estimator`` and ``mnistkit sweep --grid``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

Program = Callable[..., Any]

MODULE = """
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

import helper_of_mine


class Wrapped(ClassifierMixin, BaseEstimator):
    def __init__(self, smoothing=1e-9):
        self.smoothing = smoothing

    def fit(self, X, y):
        self.inner_ = GaussianNB(var_smoothing=self.smoothing * helper_of_mine.FACTOR).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def make_model(smoothing=1e-3):
    return Wrapped(smoothing)
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's in the working directory, with one that it imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("model_of_mine.py").write_text(MODULE)
    Path("helper_of_mine.py").write_text("FACTOR = 2\n")
    yield "model_of_mine"
    for name in ("model_of_mine", "helper_of_mine"):
        sys.modules.pop(name, None)


def test_any_classifier_is_trained_and_registered(mnistkit: Program) -> None:
    """A class with parameters is trained like the default one; what it has is in the record, and it is registered."""
    found = mnistkit(
        "train", "--data", "digits", "--estimator", "sklearn.svm:SVC", "--set", "C=10", "--set", "gamma=scale",
        "--set", "kernel=poly", "--json",
    ).json  # fmt: skip
    job = Trainer.local(data="digits").run(found["run"]["id"]).record.job
    assert (job.model.type, job.model.params) == ("sklearn.svm.SVC", {"C": 10, "kernel": "poly"})
    assert found["model"]["id"] == "sklearn_digits:1"
    assert found["metrics"]["accuracy"] > 0.95


@pytest.mark.parametrize("backend", ["in-process", "process"])
def test_a_function_of_the_working_directory(
    mnistkit: Program, module: str, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """A function in a module of the working directory makes the estimator; its modules are kept with the run."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", backend)
    arguments = ("train", "--data", "digits", "--no-register", "--estimator", f"{module}:make_model")
    found = mnistkit(*arguments, "--set", "smoothing=0.01", "--json").json
    run = Trainer.local(data="digits").run(found["run"]["id"])
    assert (run.record.job.model.type, run.record.job.model.params) == (f"{module}.Wrapped", {"smoothing": 0.01})
    code = Path(run.record.url) / "code"
    assert {path.name: path.read_text() for path in code.iterdir()} == {
        "model_of_mine.py": MODULE,
        "helper_of_mine.py": "FACTOR = 2\n",
    }


def test_a_sweep_over_any_parameters(mnistkit: Program) -> None:
    """Every combination of the grids is trained, the table has a column for each parameter, the best is registered."""
    outcome = mnistkit(
        "sweep", "--data", "digits", "--limit", "200", "--estimator", "sklearn.svm:SVC", "--set", "gamma=scale",
        "--grid", "C=0.01,10", "--grid", "kernel=rbf,poly",
    )  # fmt: skip
    header, *rows = outcome.out.splitlines()
    assert header.split() == ["run", "C", "kernel", "accuracy", "log", "loss", "seconds", "state"]
    assert [row.split()[1:3] for row in rows[:4]] == [["0.01", "rbf"], ["0.01", "poly"], ["10", "rbf"], ["10", "poly"]]
    assert rows[4].startswith("sklearn_digits\tsklearn_digits:1")


def test_a_grid_of_the_default_classifier(mnistkit: Program) -> None:
    """Without --estimator a grid is over the parameters of the logistic regression."""
    found = mnistkit(
        "sweep", "--data", "digits", "--no-register", "--grid", "C=0.1,1", "--solver", "lbfgs", "--json"
    ).json
    jobs = [Trainer.local().run(run["id"]).record.job for run in found["runs"]]
    assert [job.model.params["C"] for job in jobs] == [0.1, 1]
    assert jobs[0].model.type == "sklearn.linear_model.LogisticRegression"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "--estimator", "sklearn.svm:SVC", "--set", "c=1"), "SVC has no parameter 'c'; it has C, "),
        (("train", "--estimator", "sklearn.svm:SVC", "--set", "C"), "write NAME=VALUE"),
        (("train", "--estimator", "sklearn.svm:SVC", "--set", "C=1", "--set", "C=2"), "--set C is given twice"),
        (("train", "--estimator", "sklearn.svm:SVC", "--regularization", "0.5"), "--regularization is for"),
        (("train", "--estimator", "sklearn.svm:SVC", "--max-iter", "5"), "--max-iter is for"),
        (("train", "--estimator", "sklearn.preprocessing:StandardScaler"), "has no predict"),
        (("train", "--estimator", "nowhere_at_all:Model"), "no module 'nowhere_at_all'"),
        (("train", "--set", "C=1"), "needs --estimator"),
        (("sweep",), "Say what to try"),
        (("sweep", "--regularization", "1", "--grid", "C=1"), "in one way"),
        (("sweep", "--regularization", "1", "--estimator", "sklearn.svm:SVC"), "use --grid"),
        (("sweep", "--estimator", "sklearn.svm:SVC", "--grid", "c=1,2"), "Invalid parameter 'c'"),
        (("sweep", "--grid", "C="), "separated by commas"),
        (("sweep", "--grid", "C=1", "--set", "tol=1"), "needs --estimator"),
    ],
)
def test_what_can_not_be_right_is_refused(mnistkit: Program, arguments: tuple[str, ...], expected: str) -> None:
    """A wrong name, parameter or combination of options is explained, and nothing is trained."""
    outcome = mnistkit(*arguments, "--data", "digits", code=2)
    assert expected in outcome.err
    assert not Trainer.local().runs()


def test_no_package_is_shadowed(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the working directory that has a package's name isn't imported in its place."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("psutil.py").write_text("raise SystemExit('planted by the test')\n")
    Path("sklearn.py").write_text("raise SystemExit('planted by the test')\n")
    found = mnistkit(
        "train", "--data", "digits", "--no-register", "--estimator", "sklearn.naive_bayes:GaussianNB", "--json"
    ).json
    assert found["run"]["state"] == str(RunState.COMPLETED)
