"""Scores of a classifier on labelled data, as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from mnistkit.evaluation.outputs import predicted_labels, predicted_probabilities
from mnistkit.utils.arguments import check_type
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Cell, Summary, SummaryTable

__all__ = [
    "EVALUATION_FILE",
    "ClassScore",
    "Evaluation",
    "SplitPredictions",
    "counted",
    "evaluate",
    "evaluation_of",
    "predict",
    "score",
    "wilson_interval",
]

EVALUATION_FILE = "evaluation.json"
"""The name of the file, among a run's outputs, that holds its evaluation as JSON."""

_MAX_MISTAKES = 10
_SCORES = ("class", "recall#", "its 95% interval#", "precision#", "F1#", "test images#")


@frozen(kw_only=True)
class ClassScore:
    """The scores of one class.

    Attributes:
        name: The class.
        precision: Of what was taken for it, the share that was; 0 if nothing was.
        recall: Of what it was, the share that was taken for it; 0 if there was none.
        f1: The harmonic mean of the two.
        support: How many there were.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@frozen(kw_only=True)
class Evaluation:
    """The scores of a classifier on one split.

    Attributes:
        accuracy: The share of right answers, 0 to 1.
        n: How many were asked.
        classes: One score per class, in label order.
        confusion: Counts: rows are true classes, columns predicted ones.
        log_loss: The mean negative log-likelihood in nats, where the classifier gives probabilities for all classes.
    """

    accuracy: float
    n: int
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    log_loss: float | None = None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The lowest and highest accuracy that go well with these answers; see `wilson_interval`."""
        return wilson_interval(round(self.accuracy * self.n), self.n, confidence)

    def describe(self) -> Summary:
        """Return accuracy, the scores of each class, the most frequent mistakes, and the confusion matrix."""
        low, high = self.interval()
        wrong = self.n - round(self.accuracy * self.n)
        names = [each.name for each in self.classes]
        counts = ("true class", *(f"{name}#" for name in names))
        confusion: list[tuple[Cell, ...]] = [(name, *row) for name, row in zip(names, self.confusion, strict=True)]
        return Summary(
            title="Evaluation",
            facts={
                "Accuracy": f"{self.accuracy:.2%}",
                "95% interval": f"{low:.2%} to {high:.2%}",
                "Wrong predictions": f"{wrong:,} of {self.n:,} images",
                "Log loss": self.log_loss,
            },
            tables=(
                SummaryTable(title="Scores of each class", columns=_SCORES, rows=map(_class_row, self.classes)),
                SummaryTable(
                    title="Most frequent mistakes",
                    columns=("true class", "predicted class", "images#", "share of the true class#"),
                    rows=_mistakes(names, np.array(self.confusion)),
                ),
                SummaryTable(title="Confusion matrix", columns=counts, rows=confusion, is_folded=True),
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())


@frozen(kw_only=True, eq=False)
class SplitPredictions:
    """The class that a classifier predicts for each image of a split.

    Attributes:
        truth: ``(n,) int64``: the labels.
        predicted: ``(n,) int64``: what it took them for.
        confidence: ``(n,) float64``: the probability that it gave to its answer, 0 to 1; None if it gives none.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64] | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(n,)``: where it was right."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right


def evaluate(model: Any, data: Dataset | Split, class_names: Sequence[str] | None = None) -> Evaluation:
    """Predict every image with a fitted classifier, and return the scores.

    Args:
        model: A fitted scikit-learn classifier of ``(n, h*w)`` float32 in 0..1.
        data: A dataset, of which the test split is asked for, or a split.
        class_names: One per label, label 0 first; None for the dataset's own, or for the labels themselves.

    Raises:
        UsageError: It is neither, there is no image, or the model takes images of another size.
    """
    check_data(data)
    split = data.test if isinstance(data, Dataset) else data
    if class_names is None:
        class_names = _class_names(data, model)
    X = _asked(model, split)
    return score(model, X, split.y, class_names)


def predict(model: Any, split: Split) -> SplitPredictions:
    """Predict every image of ``split`` with a fitted classifier: the class and its probability.

    Args:
        model: A fitted scikit-learn classifier of ``(n, h*w)`` float32 in 0..1.
        split: The labelled images.

    Raises:
        UsageError: There is no image, or the model takes images of another size.
    """
    X = _asked(model, split)
    names = _class_names(split, model)
    predicted, probabilities = predicted_labels(model, X, names), predicted_probabilities(model, X, names)
    if probabilities is None or not np.isin(predicted, np.arange(len(names))).all():
        return SplitPredictions(truth=split.y, predicted=predicted)
    return SplitPredictions(truth=split.y, predicted=predicted, confidence=probabilities[np.arange(len(X)), predicted])


def score(model: Any, X: NDArray[np.floating], y: NDArray[np.int64], class_names: Sequence[str]) -> Evaluation:
    """`evaluate` on arrays that are already at hand: ``X`` is ``(n, h*w)``, ``y`` is ``(n,)``."""
    from sklearn.metrics import log_loss

    labels = np.arange(len(class_names))
    predicted = predicted_labels(model, X, class_names)
    probabilities = predicted_probabilities(model, X, class_names, of_all=True)
    loss = None if probabilities is None else float(log_loss(y, probabilities, labels=labels))
    return evaluation_of(counted(y, predicted, len(class_names)), class_names, loss)


def counted(y: NDArray[np.integer], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return how often each class was taken for each: ``(k, k + 1)``, the last column for what is no class, -1."""
    counts = np.zeros((n_classes, n_classes + 1), np.int64)
    np.add.at(counts, (y, np.where((predicted >= 0) & (predicted < n_classes), predicted, n_classes)), 1)
    return counts


def evaluation_of(counts: NDArray[np.int64], class_names: Sequence[str], loss: float | None) -> Evaluation:
    """Return the scores that counts give; see `counted`.

    Args:
        counts: Of at least one image.
        class_names: One per class.
        loss: The log loss, or None.
    """
    right, support = counts.diagonal(), counts.sum(axis=1)
    predicted = counts[:, :-1].sum(axis=0)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(predicted + support, 1)
    return Evaluation(
        accuracy=float(right.sum() / counts.sum()),
        n=int(counts.sum()),
        classes=tuple(
            ClassScore(name=name, precision=float(p), recall=float(r), f1=float(f), support=int(s))
            for name, p, r, f, s in zip(class_names, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(tuple(int(count) for count in row[:-1]) for row in counts),
        log_loss=loss,
    )


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The lowest and highest true share that go well with ``right`` of ``n``: Wilson's score interval.

    With p = right/n and z the normal quantile of 1 - (1 - confidence)/2 it is::

        (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), 209-212. It stays within 0 and 1 and is close to its nominal coverage
    also for few images and shares near 1, where the usual ``p ± z √(p(1 - p)/n)`` fails: L. D. Brown, T. T. Cai and
    A. DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001), 101-133.

    Args:
        right: How many.
        n: Of how many.
        confidence: The share of samples whose interval holds the truth, between 0 and 1.

    Raises:
        UsageError: ``right`` of ``n`` can't be, or ``confidence`` isn't between 0 and 1.
    """
    if not 0 <= right <= n or n < 1:
        raise UsageError(f"right={right}, n={n}: count at least one image, and 0 to n right ones.")
    z = quantile(confidence)
    p, square = right / n, z * z / n
    middle = (p + square / 2) / (1 + square)
    half = z * math.sqrt(p * (1 - p) / n + square / (4 * n)) / (1 + square)
    return (0.0 if right == 0 else middle - half), (1.0 if right == n else middle + half)


def quantile(confidence: float) -> float:
    """Return the number of standard errors each way that hold a share of a normal distribution: 1.96 for 0.95.

    Raises:
        UsageError: It isn't between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence={confidence}: use a share between 0 and 1, such as 0.95.")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _class_row(each: ClassScore) -> tuple[str, ...]:
    span = ""
    if each.support:
        low, high = wilson_interval(round(each.recall * each.support), each.support)
        span = f"{low:.1%} to {high:.1%}"
    return each.name, f"{each.recall:.1%}", span, f"{each.precision:.1%}", f"{each.f1:.1%}", f"{each.support:,}"


def _mistakes(names: Sequence[str], counts: NDArray[np.int64]) -> list[tuple[str, ...]]:
    """Return the pairs of classes that are confused most often: true class, predicted class, images, share."""
    errors = counts * ~np.eye(len(counts), dtype=bool)
    order = np.argsort(-errors, axis=None, kind="stable")[:_MAX_MISTAKES]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, errors.shape), strict=True) if errors[i, j]]
    return [(names[i], names[j], f"{errors[i, j]:,}", f"{errors[i, j] / counts[i].sum():.1%}") for i, j in pairs]


def check_data(data: Any) -> None:
    """Refuse data that has to be made a dataset first.

    Raises:
        UsageError: It is neither a dataset nor a split.
    """
    use = "a Dataset or a Split: load_dataset(uri) or Dataset.from_arrays(X, y) makes one"
    check_type(data, (Dataset, Split), "data", use)


def _class_names(data: Dataset | Split, model: Any) -> Sequence[str]:
    if isinstance(data, Dataset):
        return data.class_names
    known = np.asarray(getattr(model, "classes_", ()))
    highest = int(known.max(initial=0)) if known.dtype.kind in "iubf" else len(known) - 1
    return [str(label) for label in range(max(highest, int(data.labels.max(initial=0))) + 1)]


def _asked(model: Any, split: Split) -> NDArray[np.floating]:
    """The images as the model takes them."""
    takes, (h, w) = getattr(model, "n_features_in_", None), split.images.shape[1:]
    if not len(split):
        raise UsageError("There is no image to ask for: use a split that holds some.")
    if takes not in {None, h * w}:
        raise UsageError(
            f"The model takes images of {takes} pixels, but these have {h}x{w}: use the data that it was trained on."
        )
    return split.X()


EVALUATION_FILE = "evaluation.json"
