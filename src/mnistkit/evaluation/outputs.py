"""Outputs of classifiers of any make: predicted labels and probabilities in one form, or the reason why not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import ModelError

__all__ = ["normalized", "predicted_labels", "predicted_probabilities"]

_log = logging.getLogger("mnistkit.run.evaluation")  # below the logger whose records go to the log of the run

_NO_LABEL = -1
_SUM_TOLERANCE = 1e-3


def predicted_labels(model: Any, X: NDArray[np.floating], class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return what a classifier predicts for each row, as labels.

    Columns ``(n, 1)``, floats such as ``3.0``, and texts such as ``"3"`` or a class's name are the labels that they
    mean; anything else is -1, which is never right.

    Args:
        model: A fitted classifier.
        X: ``(n, h*w)``.
        class_names: One per label, label 0 first.

    Returns:
        ``(n,) int64``.

    Raises:
        ModelError: It doesn't predict one label per row.
    """
    found = np.asarray(model.predict(X))
    if found.shape not in {(len(X),), (len(X), 1)}:
        raise ModelError(
            f"{type(model).__name__}.predict returned an array of shape {found.shape} for {len(X)} images: it must "
            f"return one label per image, shape ({len(X)},)."
        )
    return _labels(found.ravel(), class_names)


def predicted_probabilities(
    model: Any, X: NDArray[np.floating], class_names: Sequence[str], *, of_all: bool = False
) -> NDArray[np.float64] | None:
    """Return the probabilities of all classes for each row; None, with a note in the log, if they can't be used.

    Args:
        model: A fitted classifier.
        X: ``(n, h*w)``.
        class_names: One per label, label 0 first.
        of_all: Require probabilities of all classes; else those that the model lacks are 0.

    Returns:
        ``(n, k) float64``, a column per label in order: finite, at least 0, with a sum of 1; or None.
    """
    if not hasattr(model, "predict_proba"):
        return None
    found = classes = None
    try:
        found, classes = np.asarray(model.predict_proba(X), dtype=np.float64), getattr(model, "classes_", None)
        reason = _problem(found, len(X)) or _missing(classes, found.shape[1], class_names, of_all=of_all)
    except Exception as error:  # noqa: BLE001 - the code of any model: its accuracy counts all the same
        reason = f"{type(error).__name__}: {error}"
    if reason or found is None:
        _log.warning(
            "left out what needs probabilities, as those of %s can't be used: %s", type(model).__name__, reason
        )
        return None
    probabilities = np.zeros((len(X), len(class_names)))
    probabilities[:, _labels(np.asarray(classes), class_names)] = found
    return normalized(probabilities, found)


def normalized(probabilities: NDArray[np.float64], found: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return probabilities whose sum is 1 in each row; of a model in float32 it is 1 to 7 digits only.

    Args:
        probabilities: ``(n, k)``.
        found: ``(n, j)`` whose sums count; None for those of ``probabilities``.
    """
    sums = (probabilities if found is None else found).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # a sum of 0 is the caller's to refuse
        shares: NDArray[np.float64] = probabilities / sums
    return shares


def _labels(values: NDArray[Any], class_names: Sequence[str]) -> NDArray[np.int64]:
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        is_whole = np.isfinite(values) & (values == np.round(values))
        return np.where(is_whole, np.where(is_whole, values, 0), _NO_LABEL).astype(np.int64)
    by_name = {name: label for label, name in enumerate(class_names)}
    return np.array([_label(value, by_name) for value in values.tolist()], dtype=np.int64)


def _label(value: object, by_name: dict[str, int]) -> int:
    if isinstance(value, str) and value in by_name:
        return by_name[value]
    try:
        number = float(value)  # type: ignore[arg-type]  # anything: what isn't a number raises
    except (TypeError, ValueError):
        return _NO_LABEL
    return int(number) if number.is_integer() else _NO_LABEL


def _problem(found: NDArray[np.float64], n: int) -> str:
    """Return why numbers can't be probabilities; empty if they can."""
    if found.ndim != 2 or len(found) != n:  # noqa: PLR2004 - rows of classes
        return f"predict_proba returned an array of shape {found.shape} for {n} images"
    if not np.isfinite(found).all():
        return f"{int((~np.isfinite(found)).any(axis=1).sum())} of {n} images have NaN or infinite ones"
    if found.min(initial=0) < 0 or not np.allclose(found.sum(axis=1), 1, atol=_SUM_TOLERANCE):
        return "they aren't at least 0 with a sum of 1"
    return ""


def _missing(classes: Any, n_columns: int, class_names: Sequence[str], *, of_all: bool) -> str:
    """Return why it is unknown which columns are of which classes, or which classes lack one; empty if neither."""
    if classes is None:
        return "the classifier has no classes_, so that the order of the columns is unknown"
    labels = set(_labels(np.asarray(classes), class_names).tolist())
    every = set(range(len(class_names)))
    if n_columns != len(labels) or not labels <= every or (of_all and labels != every):
        return f"they are of {n_columns} classes, and the data has {len(class_names)}"
    return ""
