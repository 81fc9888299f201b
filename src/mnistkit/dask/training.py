"""Fits on rows of a cluster as runs, and scores that the workers compute."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.dask.rows import DaskRows
from mnistkit.errors import UsageError
from mnistkit.evaluation.outputs import predicted_labels, predicted_probabilities
from mnistkit.evaluation.scores import Evaluation, counted, evaluation_of
from mnistkit.tracking.active import ActiveRun
from mnistkit.training import followed, record_scores, regularization_rate

__all__ = ["evaluate_rows", "train_rows"]

Array = NDArray[Any]

_log = logging.getLogger("mnistkit.run")  # its records go to the log of the run

_SCORED_ROWS = 4096
_ROWS_TAG = "rows"


def train_rows(run: ActiveRun, classifier: Any, rows: DaskRows, *, test: DaskRows | None = None) -> Evaluation:
    """Fit a classifier on rows of a cluster, evaluate it and save it, all of it recorded with a run.

    The run gets what `Trainer.train` records: the regularization rate, each step's objective, the seconds, the scores
    and the model, to be registered with ``trainer.register(run)``. A fit whose run is canceled ends after its step.

    Args:
        run: An active one: ``with trainer.start_run() as run:``. The rows must be prepared as its trainer's data is,
            and have the same labels: the model is recorded as one for such images.
        classifier: One of `mnistkit.estimators` that is fitted on rows. It is fitted in place.
        rows: What to fit on, with labels.
        test: Rows to evaluate on, which the workers do; None for the test images of the trainer's data, here.

    Returns:
        The scores.

    Raises:
        UsageError: The rows have no labels, or the model can't be saved.
        ServiceError: There is no worker any more.
    """
    labels = rows.labels
    run.tag(_ROWS_TAG, str(rows))
    rate = regularization_rate(classifier)
    if rate is not None:
        run.log("regularization rate", rate)
    _log.info("fitting %s on %s", classifier, rows)
    start = time.monotonic()
    with followed(classifier, run):
        classifier.fit(rows, labels)
    run.log("training seconds", round(time.monotonic() - start, 3))
    run.save_model(classifier)
    if test is None:
        return run.evaluate(classifier)
    scores = evaluate_rows(classifier, test)
    record_scores(scores, run)
    return scores


def evaluate_rows(
    model: Any, rows: DaskRows, labels: Any = None, class_names: Sequence[str] | None = None
) -> Evaluation:
    """Predict rows where they lie, and return the scores; only counts travel.

    Args:
        model: A fitted classifier of rows, with whole numbers from 0 as labels; it is sent to the workers.
        rows: The rows.
        labels: ``(n,)``; None for the rows' own.
        class_names: One per label; None for the labels themselves.

    Raises:
        UsageError: The model takes other rows, or labels aren't whole numbers, one per row.
        ModelError: Its predictions aren't one label per row.
    """
    y = rows.labels if labels is None else np.asarray(labels)
    if y.shape != (rows.n_rows,) or y.dtype.kind not in "iu" or y.min(initial=0) < 0:
        raise UsageError(f"The labels are {y.dtype} of shape {y.shape}: give whole numbers from 0, one for each row.")
    takes = getattr(model, "n_features_in_", None)
    if takes not in {None, rows.n_columns}:
        raise UsageError(f"The model takes rows of {takes} numbers, but these have {rows.n_columns}.")
    names = _names(model, y) if class_names is None else tuple(class_names)
    if int(y.max(initial=0)) >= len(names):
        raise UsageError(f"There are {len(names)} class names, and a label {int(y.max())}: name each class.")
    work = _BlockScores(model, names)
    found = list(rows.sums(work, y, _SCORED_ROWS, 1))
    counts = np.sum([each[0] for each in found], axis=0).astype(np.int64)
    loss, n_without = np.sum([each[1] for each in found], axis=0)
    return evaluation_of(counts, names, None if n_without else float(loss / len(y)))


@frozen(eq=False)
class _BlockScores:
    """Counts of a block's predictions, the sum of its losses, and the number of rows without probabilities."""

    model: Any
    class_names: Sequence[str]

    def __call__(self, X: Array, y: Array) -> tuple[Array, Array]:
        names, y = self.class_names, y.astype(np.int64)
        counts = counted(y, predicted_labels(self.model, X, names), len(names))
        P = predicted_probabilities(self.model, X, names, of_all=True)
        if P is None:
            return counts, np.array([0.0, len(y)])
        rounding = np.finfo(P.dtype).eps  # as scikit-learn's log_loss: a 0 would be infinitely wrong
        return counts, np.array([-np.log(np.clip(P[np.arange(len(y)), y], rounding, 1 - rounding)).sum(), 0])


def _names(model: Any, y: Array) -> tuple[str, ...]:
    known = np.asarray(getattr(model, "classes_", ()))
    highest = int(known.max(initial=0)) if known.dtype.kind in "iu" else 0
    return tuple(str(label) for label in range(max(highest, int(y.max(initial=0))) + 1))
