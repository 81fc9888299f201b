"""Logistic regression by liblinear for any number of classes, which scikit-learn no longer fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from mnistkit.errors import SpecError

__all__ = ["LiblinearLogisticRegression", "with_multiclass_liblinear"]

_PLAIN = "sklearn.linear_model.LogisticRegression"
_OURS = "mnistkit.estimators.LiblinearLogisticRegression"
_WRAPPERS = "sklearn.multiclass."


class LiblinearLogisticRegression(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's `LogisticRegression`, whose solver ``"liblinear"`` takes more than two classes.

    Each class is fitted against the rest, as liblinear itself does and as scikit-learn did until 1.7: class ``k``'s
    weight of ``class_weight`` multiplies the loss of its own images in the problem of class ``k``, all others count 1.
    Other solvers, and two classes, are scikit-learn's. Parameters and attributes are those of `LogisticRegression`,
    so that it takes its place within searches, ensembles and pipelines.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LiblinearLogisticRegression:
        """Fit in place, and return itself, as `sklearn.linear_model.LogisticRegression.fit` does."""
        classes, codes = np.unique(np.asarray(y), return_inverse=True)
        if self.solver != "liblinear" or len(classes) <= 2:  # noqa: PLR2004 - a binary problem
            super().fit(X, y, sample_weight)
            return self
        weights = compute_class_weight(self.class_weight, classes=classes, y=np.asarray(y))
        fitted = [self._binary(weight).fit(X, codes == k, sample_weight) for k, weight in enumerate(weights)]
        self.classes_ = classes
        self.coef_ = np.vstack([each.coef_ for each in fitted])
        self.intercept_ = np.concatenate([np.atleast_1d(each.intercept_) for each in fitted])
        self.n_iter_ = np.concatenate([each.n_iter_ for each in fitted])
        self.n_features_in_ = fitted[0].n_features_in_
        if hasattr(fitted[0], "feature_names_in_"):
            self.feature_names_in_ = fitted[0].feature_names_in_
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return ``(n, k)`` probabilities: those of the binary problems, divided by their sum."""
        check_is_fitted(self)
        if self.solver != "liblinear" or len(self.classes_) <= 2:  # noqa: PLR2004 - a binary problem
            return super().predict_proba(X)
        found = expit(self.decision_function(X))
        total = found.sum(axis=1, keepdims=True)
        total[total == 0] = 1  # as OneVsRestClassifier: of an image unlike any class all are 0
        return found / total

    def to_sklearn(self) -> LogisticRegression | OneVsRestClassifier:
        """Return the same fitted model as scikit-learn's own classes: of several classes a `OneVsRestClassifier`."""
        check_is_fitted(self)
        plain = LogisticRegression(**self._params())
        if self.solver != "liblinear" or len(self.classes_) <= 2:  # noqa: PLR2004 - a binary problem
            plain.__dict__.update(self.__dict__)
            return plain
        weights = self.class_weight if isinstance(self.class_weight, Mapping) else {}
        outer = OneVsRestClassifier(plain)
        outer.estimators_ = []
        for k, label in enumerate(self.classes_):
            binary = self._binary(weights.get(label, 1.0))
            binary.classes_ = np.array([0, 1])
            binary.coef_, binary.intercept_ = self.coef_[k : k + 1], self.intercept_[k : k + 1]
            binary.n_iter_, binary.n_features_in_ = self.n_iter_[k : k + 1], self.n_features_in_
            outer.estimators_.append(binary)
        outer.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(self.classes_)
        outer.classes_, outer.n_features_in_ = self.classes_, self.n_features_in_
        return outer

    def _binary(self, weight: float) -> LogisticRegression:
        return LogisticRegression(**{**self._params(), "class_weight": {1: float(weight)}})

    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = self.get_params(deep=False)
        return params


def with_multiclass_liblinear(type_path: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a model's spec in which liblinear fits more than two classes, wherever in the model it is.

    Args:
        type_path: The import path of the model's class, as `mnistkit.ModelSpec` has it.
        params: Its parameters as JSON, as `mnistkit.ModelSpec` has them.

    Raises:
        SpecError: The model holds a ``LogisticRegressionCV`` with liblinear, which can't do that.
    """
    # The whole spec decides: in a grid the solver is named beside the estimator, not in it.
    return _replaced_spec(type_path, params) if "liblinear" in json.dumps(dict(params)) else (type_path, dict(params))


def _replaced_spec(type_path: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if type_path == "sklearn.linear_model.LogisticRegressionCV" and params.get("solver") == "liblinear":
        raise SpecError(
            "LogisticRegressionCV(solver='liblinear') can't learn more than two classes: use another solver, or "
            "GridSearchCV(LogisticRegression(solver='liblinear'), {'C': [...]})."
        )
    if type_path.startswith(_WRAPPERS):  # it makes binary problems of its own
        return type_path, dict(params)
    return _OURS if type_path == _PLAIN else type_path, {name: _replaced(value) for name, value in params.items()}


def _replaced(value: Any) -> Any:
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    content = value.get("$estimator")
    if isinstance(content, Mapping):
        type_path, params = _replaced_spec(content["type"], content["params"])
        return {"$estimator": {"type": type_path, "params": params}}
    return {key: _replaced(item) for key, item in value.items()}
