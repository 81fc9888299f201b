"""Fitted scikit-learn models as one matrix and one vector: scalers folded into the classifier that follows them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import UsageError
from mnistkit.models.linear import LinearModel, Link

__all__ = ["fold"]

Array = NDArray[Any]

_CLASSIFIERS: Final[dict[str, Link]] = {
    "LogisticRegression": "softmax",
    "LogisticRegressionCV": "softmax",
    "LinearSVC": "none",
    "RidgeClassifier": "none",
    "RidgeClassifierCV": "none",
    "Perceptron": "none",
}
_TOLERANCE = 1e-6


def fold(model: Any) -> LinearModel:
    """A fitted linear classifier, or a Pipeline of scalers that ends in one, as a `LinearModel` that says the same.

    Knows LogisticRegression, LogisticRegressionCV, SGDClassifier, LinearSVC, RidgeClassifier, RidgeClassifierCV,
    Perceptron, a OneVsRestClassifier of these, and FastLogisticRegression; StandardScaler, MinMaxScaler and
    MaxAbsScaler. The result is compared with the model's own margins and probabilities on made-up rows.

    Raises:
        UsageError: It is something else; or it says something else than its matrix and vector do.
    """
    if isinstance(model, LinearModel):
        return model
    name = type(model).__name__
    try:
        classifier, scalers = _parts(model)
        linear = _classifier(classifier)
        for scaler in reversed(scalers):
            factor, shift = _affine(scaler, linear.n_features_in_)
            coef = linear.coef_.astype(np.float64)
            linear = LinearModel(linear.classes_, coef * factor, linear.intercept_ + coef @ shift, linear.link)
        difference = _difference(linear, model)
    except AttributeError as error:
        raise UsageError(f"Can't write {name} as linear: {error}. Is it fitted?") from error
    if difference:
        raise UsageError(f"Can't write {name} as linear: {difference}. Use format='skops'.")
    return linear


def _parts(model: Any) -> tuple[Any, list[Any]]:
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        return model, []
    steps = [step for _, step in model.steps if step is not None and step != "passthrough"]
    classifier, scalers = _parts(steps[-1])
    return classifier, steps[:-1] + scalers


def _classifier(model: Any) -> LinearModel:
    from sklearn.linear_model import SGDClassifier
    from sklearn.multiclass import OneVsRestClassifier

    from mnistkit.estimators import FastLogisticRegression

    name = type(model).__name__
    if isinstance(model, OneVsRestClassifier):
        return _one_vs_rest(model)
    if isinstance(model, FastLogisticRegression):
        return _linear(model, "softmax" if model.objective == "multinomial" else "logistic")
    if isinstance(model, SGDClassifier):
        return _linear(model, "logistic" if hasattr(model, "predict_proba") else "none")
    if not type(model).__module__.startswith("sklearn.") or name not in _CLASSIFIERS:
        raise UsageError(
            f"Can't write {name} as linear: it is none of {', '.join(_CLASSIFIERS)}, SGDClassifier, "
            "FastLogisticRegression, nor a Pipeline or OneVsRestClassifier of these. Use format='skops'."
        )
    return _linear(model, _CLASSIFIERS[name])


def _linear(model: Any, link: Link) -> LinearModel:
    coef = np.atleast_2d(model.coef_)
    coef = coef if coef.dtype.kind == "f" else coef.astype(np.float64)
    intercept = np.broadcast_to(np.asarray(model.intercept_, dtype=coef.dtype), len(coef)).copy()
    classes = np.asarray(model.classes_)
    return LinearModel(classes.astype(str) if classes.dtype.kind == "O" else classes, coef, intercept, link)


def _one_vs_rest(model: Any) -> LinearModel:
    if getattr(model, "multilabel_", False):
        raise UsageError("Can't write a classifier of several labels at once as linear. Use format='skops'.")
    each = [_classifier(estimator) for estimator in model.estimators_]
    link: Link = "none" if any(one.link == "none" for one in each) else "logistic"
    coef, intercept = np.concatenate([one.coef_ for one in each]), np.concatenate([one.intercept_ for one in each])
    return LinearModel(np.asarray(model.classes_), coef, intercept, link)


def _affine(scaler: Any, n: int) -> tuple[Array, Array]:
    """``(factor, shift)``, each ``(n,)``: the scaler returns ``X * factor + shift``."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

    if getattr(scaler, "clip", False):
        raise UsageError(f"Can't write a pipeline with {scaler} as linear: clipping isn't. Use format='skops'.")
    if isinstance(scaler, StandardScaler):
        factor = 1 / np.asarray(scaler.scale_, np.float64) if scaler.with_std else np.ones(n)
        return factor, -np.asarray(scaler.mean_, np.float64) * factor if scaler.with_mean else np.zeros(n)
    if isinstance(scaler, MinMaxScaler):
        return np.asarray(scaler.scale_, np.float64), np.asarray(scaler.min_, np.float64)
    if isinstance(scaler, MaxAbsScaler):
        return 1 / np.asarray(scaler.scale_, np.float64), np.zeros(n)
    raise UsageError(
        f"Can't write a pipeline with {type(scaler).__name__} as linear: of what comes before the classifier it knows "
        "StandardScaler, MinMaxScaler and MaxAbsScaler. Use format='skops'."
    )


def _difference(linear: LinearModel, model: Any) -> str:
    """How the two differ on made-up rows, in words; empty if they don't."""
    X = np.random.default_rng(0).random((16, linear.n_features_in_))
    pairs = [("margins", linear.decision_function(X), model.decision_function(X))]
    if hasattr(model, "predict_proba") != hasattr(linear, "predict_proba"):
        return "its probabilities are no softmax and no logistic function of its margins"
    if hasattr(model, "predict_proba"):
        pairs.append(("probabilities", linear.predict_proba(X), model.predict_proba(X)))
    for what, ours, theirs in pairs:
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE):
            return f"its {what} aren't those of one matrix and one vector"
    return ""
