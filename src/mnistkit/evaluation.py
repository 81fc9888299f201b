"""How good a classifier is on labelled data, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.dataset import Split

__all__ = ["ClassScore", "Evaluation", "evaluate"]


@frozen(kw_only=True)
class ClassScore:
    """How well one class is recognised.

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
    """How good a classifier is on one split.

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


def evaluate(model: Any, split: Split, class_names: Sequence[str]) -> Evaluation:
    """Ask a fitted classifier for every image of ``split`` and count.

    Args:
        model: A fitted scikit-learn classifier of ``(n, h*w)`` float32 in 0..1.
        split: The labelled images.
        class_names: One per label, label 0 first.
    """
    return score(model, split.X(), split.y, class_names)


def score(model: Any, X: NDArray[np.floating], y: NDArray[np.int64], class_names: Sequence[str]) -> Evaluation:
    """`evaluate` on arrays that are already at hand: ``X`` is ``(n, h*w)``, ``y`` is ``(n,)``."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.arange(len(class_names))
    predicted, loss = _predict(model, X, y, labels)
    precision, recall, f1, support = precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0)
    return Evaluation(
        accuracy=float(np.mean(predicted == y)),
        n=len(y),
        classes=tuple(
            ClassScore(name=name, precision=float(p), recall=float(r), f1=float(f), support=int(s))
            for name, p, r, f, s in zip(class_names, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion_matrix(y, predicted, labels=labels)),
        log_loss=loss,
    )


def _predict(
    model: Any, X: NDArray[np.floating], y: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float | None]:
    from sklearn.metrics import log_loss

    predicted = np.asarray(model.predict(X))
    if not hasattr(model, "predict_proba") or not np.array_equal(model.classes_, labels):
        return predicted, None
    return predicted, float(log_loss(y, model.predict_proba(X), labels=labels))
