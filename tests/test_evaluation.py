"""Evaluation against scikit-learn's own figures and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mnistkit.codec import from_json, to_json
from mnistkit.dataset import Dataset
from mnistkit.evaluation import Evaluation, evaluate, score
from mnistkit.interfaces import DataSource


@pytest.fixture(scope="module")
def dataset(tiny_mnist: DataSource, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny MNIST."""
    return Dataset.from_folder(tiny_mnist.fetch(tmp_path_factory.mktemp("data")))


def test_figures_by_hand() -> None:
    """Two classes, three images, one mistake: every figure as computed by hand."""
    X = np.array([[0.0], [1.0], [1.0]])
    y = np.array([0, 1, 0])
    model = LogisticRegression(C=1e6).fit(X[:2], y[:2])
    evaluation = score(model, X, y, ["zero", "one"])
    assert evaluation.accuracy == pytest.approx(2 / 3)
    assert evaluation.confusion == ((1, 1), (0, 1))
    zero, one = evaluation.classes
    assert (zero.name, zero.precision, zero.recall, zero.support) == ("zero", 1.0, 0.5, 2)
    assert (one.precision, one.recall, one.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    expected = -np.mean(np.log(model.predict_proba(X)[np.arange(3), y]))
    assert evaluation.log_loss == pytest.approx(expected)


def test_it_agrees_with_score(dataset: Dataset) -> None:
    """Accuracy is the classifier's own score, and the confusion matrix counts every image."""
    (X, y), (X_test, y_test) = dataset.as_sklearn()
    model = LogisticRegression(max_iter=200).fit(X, y)
    evaluation = evaluate(model, dataset.test, dataset.class_names)
    assert evaluation.accuracy == pytest.approx(model.score(X_test, y_test))
    assert np.sum(evaluation.confusion) == evaluation.n == len(y_test)
    assert np.trace(evaluation.confusion) == round(evaluation.accuracy * evaluation.n)


def test_no_log_loss_without_probabilities(dataset: Dataset) -> None:
    """A classifier without probabilities, or one that knows only some classes, has no log loss."""
    (X, y), _ = dataset.as_sklearn()
    assert evaluate(LinearSVC().fit(X, y), dataset.test, dataset.class_names).log_loss is None
    some = DummyClassifier().fit(X[y < 3], y[y < 3])
    assert evaluate(some, dataset.test, dataset.class_names).log_loss is None


def test_evaluations_come_back_the_same() -> None:
    """An evaluation is the same after a trip through JSON."""
    evaluation = score(DummyClassifier().fit([[0], [1]], [0, 1]), np.zeros((4, 1)), np.array([0, 1, 1, 1]), ["a", "b"])
    assert from_json(to_json(evaluation), Evaluation, "evaluation.json") == evaluation
