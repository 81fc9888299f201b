"""Classifiers whose predictions have an odd shape, type or number, and probabilities that aren't."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import KFold

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import ModelError, UsageError
from mnistkit.evaluation.scores import evaluate, predict
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.models.persistence import loads_model, save_model
from mnistkit.runs.context import FolderContext, read_points
from mnistkit.training import train

NAMES = ("cat", "dog", "emu")
TRUTH = np.array([0, 1, 2, 2], dtype=np.uint8)
RIGHT = np.eye(3)[TRUTH] * 0.7 + 0.1


class Odd(ClassifierMixin, BaseEstimator):
    """Predicts what it is given, for the images in their order."""

    def __init__(self, labels: Any = None, probabilities: Any = None, classes: Any = (0, 1, 2)) -> None:
        self.labels = labels
        self.probabilities = probabilities
        self.classes = classes

    def fit(self, X: Any, y: Any) -> Odd:
        """Learn nothing."""
        if self.classes is not None:
            self.classes_ = np.array(self.classes)
        return self

    def predict(self, X: Any) -> Any:
        """Return the labels."""
        if str(self.labels) == "broken":
            raise ValueError(self.labels)
        return np.array(self.labels)[: len(X)]

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities, as they are."""
        if self.probabilities is None:
            raise NotImplementedError
        return self.probabilities


@pytest.fixture
def dataset() -> Dataset:
    """Four images of three classes."""
    split = Split(images=np.arange(16, dtype=np.uint8).reshape(4, 2, 2), labels=TRUTH)
    return Dataset(name="animals", version="1", uri="animals", class_names=NAMES, train=split, test=split)


@pytest.mark.parametrize(
    "labels",
    [
        [[0], [1], [2], [2]],
        [0.0, 1.0, 2.0, 2.0],
        ["0", "1", "2", "2"],
        ["cat", "dog", "emu", "emu"],
        np.array(["cat", 1, 2.0, "2"], dtype=object),
        np.array([0, 1, 2, 2], dtype=np.uint8),
    ],
    ids=["column", "floats", "texts", "names", "objects", "bytes"],
)
def test_labels_of_any_type_are_read(labels: Any, dataset: Dataset) -> None:
    """What means the right label counts as right, in accuracy, confusion and single predictions."""
    model = Odd(labels, RIGHT).fit(None, None)
    evaluation = evaluate(model, dataset)
    assert evaluation.accuracy == 1.0
    assert evaluation.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 2))
    assert evaluation.log_loss == pytest.approx(-np.log(0.8))
    found = predict(model, dataset.test)
    if labels is not None and np.asarray(labels).dtype.kind in "iuf":
        assert found.right.tolist() == [True] * 4
        assert found.confidence is not None
        np.testing.assert_allclose(found.confidence, 0.8)


def test_what_is_no_label_is_wrong(dataset: Dataset) -> None:
    """Fractions, NaN and unknown words are wrong predictions: the others count."""
    assert evaluate(Odd([0.4, np.nan, 2.0, 2.0]).fit(None, None), dataset).accuracy == 0.5
    assert evaluate(Odd(["cow", "dog", "nan", "2"]).fit(None, None), dataset).accuracy == 0.5


@pytest.mark.parametrize("labels", [[0, 1, 2], [[0, 1]] * 4, 0], ids=["too few", "two each", "a number"])
def test_other_numbers_of_labels_are_refused(labels: Any, dataset: Dataset) -> None:
    """Anything but one label per image is an error that has both numbers."""

    class Wrong(Odd):
        def predict(self, X: Any) -> Any:
            return np.array(labels)

    with pytest.raises(ModelError, match=r"Wrong.predict returned an array of shape .* for 4 images"):
        evaluate(Wrong().fit(None, None), dataset)


@pytest.mark.parametrize(
    ("probabilities", "classes", "reason"),
    [
        (np.where(RIGHT > 0.5, np.nan, RIGHT), (0, 1, 2), "4 of 4 images have NaN"),
        (RIGHT * 3 - 1, (0, 1, 2), "aren't at least 0 with a sum of 1"),
        (RIGHT[:, 0], (0, 1, 2), "shape (4,) for 4 images"),
        (RIGHT[:3], (0, 1, 2), "shape (3, 3) for 4 images"),
        (RIGHT[:, :2] / RIGHT[:, :2].sum(axis=1, keepdims=True), (0, 1), "of 2 classes, and the data has 3"),
        (RIGHT, None, "no classes_"),
        (None, (0, 1, 2), "NotImplementedError"),
    ],
    ids=["nan", "scores", "one number", "too few", "fewer classes", "no classes_", "raises"],
)
def test_probabilities_that_are_none_are_left_out(
    probabilities: Any, classes: Any, reason: str, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """Without usable probabilities the accuracy counts, the log loss is None, and a note says why."""
    model = Odd([0, 1, 2, 2], probabilities, classes).fit(None, None)
    with caplog.at_level(logging.WARNING, "mnistkit"):
        evaluation = evaluate(model, dataset)
    assert (evaluation.accuracy, evaluation.log_loss) == (1.0, None)
    assert reason in caplog.text
    if classes != (0, 1):  # of single predictions the probability of what was predicted is known
        assert predict(model, dataset.test).confidence is None


def test_columns_follow_classes(dataset: Dataset) -> None:
    """Columns in another order, or named as the classes, are put in the order of the labels."""
    model = Odd([0, 1, 2, 2], RIGHT[:, [2, 0, 1]], ("emu", "cat", "dog")).fit(None, None)
    assert evaluate(model, dataset).log_loss == pytest.approx(-np.log(0.8))


def test_a_model_is_kept_whatever_it_predicts(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A job whose model can't be evaluated, or raises where it should predict, completes without accuracy."""
    (tmp_path / "odd").mkdir()
    (tmp_path / "raises").mkdir()
    spec = ModelSpec(f"{__name__}.Odd", {"labels": [0]})
    assert train(TrainingJob(model=spec), dataset, FolderContext(tmp_path / "odd")) is None
    assert [point.name for point in read_points(tmp_path / "odd")] == ["training seconds"]
    assert {path.name for path in (tmp_path / "odd" / "outputs").iterdir()} == {"model.skops", "input.json"}
    spec = ModelSpec(f"{__name__}.Odd", {"labels": "broken"})
    with caplog.at_level(logging.WARNING, "mnistkit.run"):
        assert train(TrainingJob(model=spec), dataset, FolderContext(tmp_path / "raises")) is None
    assert "left out the evaluation: ValueError: broken" in caplog.text
    assert (tmp_path / "raises" / "outputs" / "model.skops").is_file()


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        (np.zeros((1, 8)), None),
        (np.eye(8), None),
        (np.zeros(3), None),
        (np.zeros(8, dtype="S1"), None),
        (np.zeros(8, dtype=complex), None),
        (np.zeros(8, dtype="M8[D]"), None),
        (np.zeros(8), np.zeros((3, 8, 2))),
        (np.zeros(8), sparse.csr_matrix(np.eye(8))),
    ],
    ids=["a row", "one-hot", "too few", "bytes", "complex", "dates", "a list of classes", "sparse"],
)
def test_a_model_can_be_loaded_whatever_it_predicts(tmp_path: Path, labels: Any, probabilities: Any) -> None:
    """A probe that couldn't be read again isn't written: it would keep its model from being loaded."""
    rows = np.zeros((8, 2))
    model = Odd(labels, probabilities).fit(None, None)
    with pytest.raises(UsageError, match="can't predict the probe"):
        save_model(model, tmp_path, probe=rows)
    assert not list(tmp_path.iterdir())


def test_a_search_that_cant_be_written_leaves_its_best_model(dataset: Dataset, tmp_path: Path) -> None:
    """The format skops can't express scipy's discrete distributions: what was fitted is kept without the search."""
    from sklearn.model_selection import RandomizedSearchCV
    from sklearn.tree import DecisionTreeClassifier

    search = RandomizedSearchCV(DecisionTreeClassifier(), {"max_depth": stats.randint(1, 4)}, n_iter=2, cv=KFold(2))
    job = TrainingJob(model=ModelSpec.from_estimator(search))
    found = train(job, dataset, FolderContext(tmp_path))
    data = (tmp_path / "outputs" / "model.skops").read_bytes()
    kept = loads_model(data, "skops", trusted=["sklearn.tree._tree.Tree"])
    assert isinstance(kept, DecisionTreeClassifier)
    assert found is not None
    assert found.accuracy == kept.score(dataset.test.X(), dataset.test.y)
