"""Liblinear with more than two classes: the meaning of class weights, wherever the estimator sits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit.data.dataset import Dataset
from mnistkit.errors import SpecError
from mnistkit.estimators import LiblinearLogisticRegression
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.models.persistence import loads_model
from mnistkit.runs.context import FolderContext
from mnistkit.training import train

EXACT = {"solver": "liblinear", "random_state": 0, "tol": 1e-10, "max_iter": 5000}
WEIGHTED = LogisticRegression(solver="liblinear", C=0.01, class_weight={8: 50.0})


@pytest.fixture(scope="module")
def dataset(tiny_mnist: DataSource, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny MNIST."""
    return Dataset.from_folder(tiny_mnist.fetch(tmp_path_factory.mktemp("data")))


def trained(estimator: Any, dataset: Dataset, folder: Path) -> Any:
    """The model that a job leaves."""
    job = TrainingJob(model=ModelSpec.from_estimator(estimator), limit=100)
    folder.mkdir(exist_ok=True)
    train(job, dataset, FolderContext(folder))
    return loads_model((folder / "outputs" / "model.skops").read_bytes(), "skops")


def test_it_fits_what_scikit_learn_fitted() -> None:
    """Coefficients, intercepts and probabilities are those of scikit-learn 1.6.1, which still took three classes."""
    X, y = load_iris(return_X_y=True)
    model = LiblinearLogisticRegression(class_weight={1: 3.0, 2: 0.5}, **EXACT).fit(X[::3], y[::3])
    expected = [
        [0.301855, 1.149129, -1.732971, -0.795351, 0.174712],
        [0.011049, -1.132299, 1.087429, -1.623625, 1.333408],
        [-0.818485, -0.922457, 1.144372, 1.430521, -0.695743],
    ]
    np.testing.assert_allclose(np.c_[model.coef_, model.intercept_], expected, atol=1e-5)
    probabilities = [[0.824782, 0.173494, 0.001724], [0.044361, 0.807343, 0.148296], [0.001085, 0.392218, 0.606697]]
    np.testing.assert_allclose(model.predict_proba(X[:120:50]), probabilities, atol=1e-5)


def test_balanced_weights_are_those_of_all_classes() -> None:
    """With ``"balanced"`` each class's weight is computed among all classes, as scikit-learn 1.6.1 did."""
    X, y = load_iris(return_X_y=True)
    model = LiblinearLogisticRegression(class_weight="balanced", **EXACT).fit(X[20::3], y[20::3])
    expected = [
        [0.320085, 1.124112, -1.757359, -0.78521, 0.241771],
        [0.598479, -1.170298, -0.157571, -0.206722, 0.140263],
        [-1.31504, -0.678967, 1.836128, 1.060337, -0.609256],
    ]
    np.testing.assert_allclose(np.c_[model.coef_, model.intercept_], expected, atol=1e-5)


@pytest.mark.parametrize("solver", ["liblinear", "lbfgs"])
def test_the_rest_is_scikit_learns(solver: str) -> None:
    """Two classes, and other solvers, are fitted exactly as `LogisticRegression` fits them."""
    X, y = load_iris(return_X_y=True)
    X, y = (X[:100], y[:100]) if solver == "liblinear" else (X, y)
    ours = LiblinearLogisticRegression(solver=solver, random_state=0, max_iter=500).fit(X, y)
    theirs = LogisticRegression(solver=solver, random_state=0, max_iter=500).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))


def test_one_class_weight_is_of_that_class_alone(dataset: Dataset, tmp_path: Path) -> None:
    """A weight of class 8 changes the binary problem of class 8, and no other."""
    plain = trained(LogisticRegression(solver="liblinear", C=0.01), dataset, tmp_path / "plain")
    weighted = trained(WEIGHTED, dataset, tmp_path / "weighted")
    pairs = zip(plain.estimators_, weighted.estimators_, strict=True)
    assert [k for k, (one, other) in enumerate(pairs) if not np.allclose(one.coef_, other.coef_)] == [8]


@pytest.mark.parametrize(
    "estimator",
    [
        GridSearchCV(WEIGHTED, {"C": [0.01]}, cv=2),
        GridSearchCV(LogisticRegression(C=0.01, class_weight={8: 50.0}), {"solver": ["liblinear"]}, cv=2),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression": [WEIGHTED]}, cv=2),
        VotingClassifier([("a", WEIGHTED), ("b", make_pipeline(StandardScaler(), WEIGHTED))], voting="soft"),
        BaggingClassifier(WEIGHTED, n_estimators=2),
        CalibratedClassifierCV(WEIGHTED, cv=2),
        StackingClassifier([("a", WEIGHTED)], cv=2),
    ],
    ids=["search", "solver in a grid", "estimator in a grid", "voting", "bagging", "calibrated", "stacking"],
)
def test_it_is_found_wherever_it_sits(estimator: Any, dataset: Dataset, tmp_path: Path) -> None:
    """Within searches and ensembles it takes ten classes as well, and the model loads."""
    model = trained(estimator, dataset, tmp_path)
    assert len(model.predict_proba(dataset.test.X()[:3])[0]) == 10


def test_a_search_finds_the_same_model(dataset: Dataset, tmp_path: Path) -> None:
    """The best model of a search over one value is the model of a job of its own."""
    search = trained(GridSearchCV(WEIGHTED, {"C": [0.01]}, cv=2), dataset, tmp_path / "search")
    alone = trained(WEIGHTED, dataset, tmp_path / "alone")
    np.testing.assert_allclose(search.best_estimator_.coef_, np.vstack([each.coef_ for each in alone.estimators_]))


def test_ones_own_one_vs_rest_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    """In a `OneVsRestClassifier` of the user's the problems are binary: what is in it stays scikit-learn's."""
    model = trained(OneVsRestClassifier(LogisticRegression(solver="liblinear")), dataset, tmp_path)
    assert {type(each) for each in model.estimators_} == {LogisticRegression}


def test_what_cant_do_it_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """`LogisticRegressionCV` with liblinear is refused before the fit, with the way out."""
    with pytest.raises(SpecError, match=r"GridSearchCV\(LogisticRegression\(solver='liblinear'\)"):
        trained(make_pipeline(StandardScaler(), LogisticRegressionCV(solver="liblinear")), dataset, tmp_path)
    assert not (tmp_path / "outputs" / "model.skops").exists()
