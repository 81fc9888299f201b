"""Linear classifiers as numbers alone: coefficients and intercepts in an ``.npz``, the rest in JSON.

Any language can read the two files; loading them runs no code, and needs neither scikit-learn nor skops. What lies
where is in the reference, under "Files".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, ModelError, UsageError
from mnistkit.models.archives import arrays_to_bytes, read_arrays
from mnistkit.utils.files import write_atomically
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["ARRAYS_FILE", "HEADER_FILE", "LinearModel", "loads_linear", "save_linear"]

HEADER_FILE: Final = "model.linear.json"
"""The file with the class labels and how margins become probabilities."""

ARRAYS_FILE: Final = "model.linear.npz"
"""The file beside it with ``coef`` and ``intercept``."""

Array = NDArray[Any]
Link = Literal["softmax", "logistic", "none"]

_MAX_HEADER = 16 << 20
_LABEL_TYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")


class LinearModel:
    """A fitted linear classifier: labels from margins, margins from ``X @ coef.T + intercept``.

    ``predict_proba`` is there only if the model that was saved had it.

    Attributes:
        classes_: ``(n_classes,)``: the labels, sorted.
        coef_: ``(k, d)``; a single row for two classes.
        intercept_: ``(k,)``.
        link: How margins become probabilities: ``"softmax"``, ``"logistic"`` (one class against the rest, normalized
            to sum 1) or ``"none"``.
        n_features_in_: d.
    """

    def __init__(self, classes: Array, coef: Array, intercept: Array, link: Link) -> None:
        rows = len(classes) if len(classes) > 2 else 1  # noqa: PLR2004 - two classes are one margin
        if len(classes) < 2 or coef.shape[0] != rows or intercept.shape != (rows,):  # noqa: PLR2004 - nothing to tell apart
            raise UsageError(
                f"{len(classes)} classes need coef ({rows}, d) and intercept ({rows},); "
                f"got {coef.shape} and {intercept.shape}."
            )
        self.classes_ = classes
        self.coef_ = coef
        self.intercept_ = intercept
        self.link = link
        self.n_features_in_ = coef.shape[1]

    def decision_function(self, X: Any) -> Array:
        """The margins of ``X``, ``(n, d)``: ``(n, k)``, or ``(n,)`` for two classes."""
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:  # noqa: PLR2004 - rows of features
            raise ValueError(f"X has shape {X.shape}; expected (n, {self.n_features_in_}).")
        margins: Array = X @ self.coef_.T + self.intercept_
        return margins[:, 0] if len(self.intercept_) == 1 else margins

    def predict(self, X: Any) -> Array:
        """The label of each row, ``(n,)``."""
        margins = self.decision_function(X)
        codes = (margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)
        labels: Array = self.classes_[codes]
        return labels

    @property
    def predict_proba(self) -> Any:
        """The probability of each class: call it with ``X``; returns ``(n, n_classes)``.

        Raises:
            AttributeError: The model that was saved had no probabilities.
        """
        if self.link == "none":
            raise AttributeError("This linear model has no probabilities: use decision_function.")
        return self._probabilities

    def _probabilities(self, X: Any) -> Array:
        margins = self.decision_function(X)
        if self.link == "softmax":
            margins = np.stack([np.zeros_like(margins), margins], axis=1) if margins.ndim == 1 else margins
            powers: Array = np.exp(margins - margins.max(axis=1, keepdims=True))
            powers /= powers.sum(axis=1, keepdims=True)
            return powers
        with np.errstate(over="ignore"):  # exp of a large number is infinite, and its inverse is 0, as it should be
            each: Array = 1 / (1 + np.exp(-margins))
        if each.ndim == 1:
            both: Array = np.stack([1 - each, each], axis=1)
            return both
        total = each.sum(axis=1, keepdims=True)
        shares: Array = np.where(total > 0, each / np.where(total > 0, total, 1), 1 / each.shape[1])
        return shares

    def to_sklearn(self) -> Any:
        """The same model as one of scikit-learn's classes."""
        from sklearn.svm import LinearSVC

        from mnistkit.estimators import FastLogisticRegression

        objective: Literal["multinomial", "ovr"] = "multinomial" if self.link == "softmax" else "ovr"
        model = LinearSVC() if self.link == "none" else FastLogisticRegression(objective)
        model.classes_, model.coef_, model.intercept_ = self.classes_, self.coef_, self.intercept_
        model.n_features_in_, model.n_iter_ = self.n_features_in_, np.zeros(1, np.int32)
        return model if self.link == "none" else model.to_sklearn()


@frozen(kw_only=True)
class _Header:
    format: Literal["mnistkit-linear"] = "mnistkit-linear"
    schema: Literal[1] = 1
    classes: Sequence[Any]
    classes_dtype: str
    n_features: int
    link: Link


def save_linear(model: LinearModel, folder: Path) -> Path:
    """Write both files into a folder, the numbers first, and return the one with the JSON."""
    dtype = "str" if model.classes_.dtype.kind == "U" else str(model.classes_.dtype)
    if dtype not in (*_LABEL_TYPES, "str"):
        raise UsageError(f"Can't write labels of type {dtype} as linear: use integers or texts.")
    header = _Header(
        classes=model.classes_.tolist(), classes_dtype=dtype, n_features=model.n_features_in_, link=model.link
    )
    write_atomically(folder / ARRAYS_FILE, arrays_to_bytes({"coef": model.coef_, "intercept": model.intercept_}))
    write_atomically(folder / HEADER_FILE, to_json(header))
    return folder / HEADER_FILE


def loads_linear(header: bytes, arrays: bytes, source: str = "the model") -> LinearModel:
    """Read the content of the two files that `save_linear` wrote.

    Args:
        header: Of `HEADER_FILE`.
        arrays: Of `ARRAYS_FILE`.
        source: What it is, for messages.

    Raises:
        UnsafeModelError: The arrays' headers claim what isn't there, or they hold something else than numbers.
        ModelError: The files are damaged, or don't belong together.
    """
    if len(header) > _MAX_HEADER:
        raise ModelError(f"{source}: {HEADER_FILE} has {len(header)} bytes; it may have {_MAX_HEADER}.")
    try:
        told: _Header = from_json(header, _Header, HEADER_FILE)
        found = read_arrays(arrays, {"coef": 2, "intercept": 1}, f"{source}: {ARRAYS_FILE}")
        model = LinearModel(_labels(told), found["coef"], found["intercept"], told.link)
    except (ValueError, OverflowError) as error:  # also ours
        raise ModelError(f"{source} is no linear model: {error}") from error
    if model.n_features_in_ != told.n_features or {model.coef_.dtype.kind, model.intercept_.dtype.kind} != {"f"}:
        raise ModelError(
            f"{source}: {ARRAYS_FILE} holds {model.coef_.dtype} of shape {model.coef_.shape}; "
            f"{HEADER_FILE} says {told.n_features} features, and floating-point numbers are expected."
        )
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        raise ModelError(f"{source}: its coefficients aren't finite.")
    return model


def _labels(header: _Header) -> Array:
    if header.classes_dtype not in (*_LABEL_TYPES, "str"):
        raise DataFormatError(f"{HEADER_FILE}: classes_dtype {header.classes_dtype!r:.40} isn't one of a label.")
    kinds = (str,) if header.classes_dtype == "str" else (bool, int, float)
    if not all(isinstance(each, kinds) for each in header.classes):
        raise DataFormatError(f"{HEADER_FILE}: the classes aren't all of type {header.classes_dtype}.")
    return np.array(header.classes, dtype=header.classes_dtype)
