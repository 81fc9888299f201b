"""Evaluation against scikit-learn's own figures and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from mnistkit.evaluation.scores import Evaluation, evaluate, predict, score, wilson_interval
from mnistkit.interfaces import DataSource
from mnistkit.utils.serialization import from_json, to_json


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


def test_a_dataset_or_a_split_may_be_given(dataset: Dataset) -> None:
    """Of a dataset it is the test split that is asked for, with its class names; of a split labels name the classes."""
    (X, y), _ = dataset.as_sklearn()
    model = LogisticRegression(max_iter=200).fit(X, y)
    assert evaluate(model, dataset) == evaluate(model, dataset.test, dataset.class_names)
    assert [each.name for each in evaluate(model, dataset.train).classes] == list("0123456789")
    assert evaluate(model, dataset.train).n == len(dataset.train)


def test_images_of_another_size_are_refused(dataset: Dataset) -> None:
    """A model of other images, or a split without any, is refused before scikit-learn stumbles over it."""
    model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(UsageError, match="takes images of 4 pixels, but these have 28x28"):
        evaluate(model, dataset)
    with pytest.raises(UsageError, match="no image"):
        predict(model, Split(images=np.zeros((0, 2, 2), np.uint8), labels=np.zeros(0, np.uint8)))


def test_predictions_have_the_confidence_of_the_answer(dataset: Dataset) -> None:
    """The confidence is the probability of the class that was predicted, also where the labels aren't 0, 1, 2."""
    (X, y), (X_test, y_test) = dataset.as_sklearn()
    model = LogisticRegression(max_iter=200).fit(X[y > 4], y[y > 4])
    found = predict(model, dataset.test)
    assert np.array_equal(found.predicted, model.predict(X_test))
    assert found.confidence == pytest.approx(model.predict_proba(X_test).max(axis=1))
    assert np.array_equal(found.right, found.predicted == y_test)
    assert predict(LinearSVC().fit(X, y), dataset.test).confidence is None


@pytest.mark.parametrize(
    ("right", "n", "expected"),
    [
        (7, 10, (0.3968, 0.8922)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (9264, 10_000, (0.9211, 0.9314)),
        (1, 1, (0.2065, 1.0)),
    ],
)
def test_wilson_intervals(right: int, n: int, expected: tuple[float, float]) -> None:
    """The intervals are those of scipy's own Wilson method, and within 0 and 1."""
    from scipy.stats import binomtest

    theirs = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson_interval(right, n) == pytest.approx(expected, abs=5e-5)


def test_intervals_cover_what_they_should() -> None:
    """About 95 in 100 samples have an interval that holds the truth, also near 1, where the usual one fails."""
    n, truth = 100, 0.98
    counts = np.random.default_rng(0).binomial(n, truth, 4000)
    ends = {k: wilson_interval(int(k), n) for k in set(counts.tolist())}
    covered = np.mean([ends[k][0] <= truth <= ends[k][1] for k in counts.tolist()])
    assert 0.93 <= covered <= 0.99
    shares = counts / n
    half = 1.96 * np.sqrt(shares * (1 - shares) / n)
    assert np.mean(np.abs(shares - truth) <= half) < 0.9


def test_an_evaluation_has_its_interval() -> None:
    """The interval of an evaluation is that of its right answers; more confidence is wider, and has to be a share."""
    evaluation = score(DummyClassifier().fit([[0], [1]], [0, 1]), np.zeros((4, 1)), np.array([0, 0, 0, 1]), ["a", "b"])
    assert evaluation.interval() == wilson_interval(3, 4)
    low, high = evaluation.interval(0.99)
    assert low < evaluation.interval()[0] < 0.75 < evaluation.interval()[1] < high
    for confidence in (0, 1, 95):
        with pytest.raises(UsageError, match="share between 0 and 1"):
            evaluation.interval(confidence)
    for right, n in ((-1, 4), (5, 4), (0, 0)):
        with pytest.raises(UsageError, match="count at least one image"):
            wilson_interval(right, n)
