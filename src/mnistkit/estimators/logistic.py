"""Logistic regression with scikit-learn's interface and objectives, and a faster solver."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mnistkit.errors import UsageError
from mnistkit.estimators.newton import Problem, Solution, minimize
from mnistkit.estimators.objectives import Multinomial, OneVsRest
from mnistkit.estimators.rows import ArrayRows, RowBlocks

__all__ = ["FastLogisticRegression", "WarmStart"]

Array = NDArray[Any]


class FastLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""L2-regularized logistic regression: scikit-learn's optimum, in a fraction of the time on data like MNIST.

    Minimizes, with :math:`\lambda = 1/C`,
    :math:`\sum_i s_i \ell(y_i, W^T x_i + b) + \frac{\lambda}{2} \lVert W \rVert^2`: for ``"multinomial"`` with the
    cross-entropy of a softmax, what ``LogisticRegression(solver="lbfgs")`` minimizes; for ``"ovr"`` with one logistic
    loss per class, what liblinear minimizes (there with ``penalize_intercept=True``). Two classes are one binary
    problem either way. See `mnistkit.estimators.newton` for the method. The whole data is used in each step; the
    result is deterministic for a seed, and the same for any number of threads.

    float32 stays float32 (sums are float64), ``uint8`` is read as it is, and other types become float64.

    Args:
        objective: ``"multinomial"`` or ``"ovr"``.
        C: The inverse of the regularization rate, above 0.
        tol: Stops once the gradient's norm is this fraction of that at zero coefficients.
        max_iter: Newton steps at most.
        fit_intercept: Whether there is an intercept.
        penalize_intercept: Whether the intercept is regularized as the other coefficients are.
        class_weight: Weights by class, or ``"balanced"``.
        warm_start: Begin where the last fit ended.
        n_jobs: Threads; None for one per core, negative numbers as in joblib: -1 for all cores, -2 for all but one.
        random_state: Of the rows that the solver draws.
        callback: Called as ``callback(iteration, objective, relative_gradient)`` after each step on the whole data.

    Attributes:
        classes_: The class labels, sorted.
        coef_: ``(k, d)``; a single row for two classes.
        intercept_: ``(k,)``.
        n_iter_: Newton steps taken, ``(1,) int32``.
        objective_: The objective's value, summed over independent problems.
        converged_: Whether the gradient fell below ``tol``.
        n_features_in_: d.
    """

    def __init__(
        self,
        objective: Literal["multinomial", "ovr"] = "multinomial",
        *,
        C: float = 1.0,
        tol: float = 1e-4,
        max_iter: int = 100,
        fit_intercept: bool = True,
        penalize_intercept: bool = False,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        callback: Callable[[int, float, float], object] | None = None,
    ) -> None:
        self.objective = objective
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept
        self.penalize_intercept = penalize_intercept
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.callback = callback

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FastLogisticRegression:
        """Fit the coefficients.

        Args:
            X: ``(n, d)``, dense; or `RowBlocks`, for data that isn't in memory, or lies on a cluster.
            y: ``(n,)`` class labels.
            sample_weight: ``(n,)``, not negative; None for 1 each.

        Raises:
            ValueError: As scikit-learn: shapes that don't fit, NaN or infinite values, fewer than two classes.
        """
        rows, codes, weights = self._validated(X, y, sample_weight)
        self._adopt(self._solve(rows, codes, weights, self._start(rows)))
        return self

    def path(
        self, X: Any, y: Any, Cs: Iterable[float], sample_weight: Any = None
    ) -> tuple[FastLogisticRegression, ...]:
        """Fit one estimator per C, each starting where the one with the next smaller C ended.

        Args:
            X: As in `fit`.
            y: As in `fit`.
            Cs: In any order.
            sample_weight: As in `fit`.

        Returns:
            Fitted estimators in the order of ``Cs``; this one isn't changed.
        """
        path = WarmStart()
        Cs = list(Cs)
        fitted = {C: path.fit(clone(self).set_params(C=C), X, y, sample_weight) for C in sorted(set(Cs))}
        return tuple(fitted[C] for C in Cs)

    def decision_function(self, X: Any) -> Array:
        """The margins: ``(n, k)``, or ``(n,)`` for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        margins: Array = X @ self.coef_.T + self.intercept_
        return margins[:, 0] if len(self.classes_) == 2 else margins  # noqa: PLR2004 - one column for two classes

    def predict(self, X: Any) -> Array:
        """The most probable class of each row, ``(n,)``."""
        margins = self.decision_function(X)
        codes = (margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)
        labels: Array = self.classes_[codes]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, ``(n, k)``; for ``"ovr"`` the classes' own, normalized to sum 1."""
        margins = self.decision_function(X)
        if margins.ndim == 1:
            return cast("Array", softmax(np.stack([np.zeros_like(margins), margins], axis=1), copy=False))
        if self.objective == "multinomial":
            return cast("Array", softmax(margins))
        probabilities = 1 / (1 + np.exp(-margins))
        return cast("Array", probabilities / probabilities.sum(axis=1, keepdims=True))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def to_sklearn(self) -> Any:
        """The same fitted model as scikit-learn's: a `LogisticRegression`, for ``"ovr"`` in a `OneVsRestClassifier`."""
        check_is_fitted(self)
        if self.objective == "multinomial" or len(self.classes_) == 2:  # noqa: PLR2004 - a binary problem
            return self._sklearn(self.classes_, self.coef_, self.intercept_)
        outer = OneVsRestClassifier(LogisticRegression(C=self.C, fit_intercept=self.fit_intercept))
        outer.estimators_ = [
            self._sklearn(np.array([0, 1]), self.coef_[k : k + 1], self.intercept_[k : k + 1])
            for k in range(len(self.classes_))
        ]
        outer.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(self.classes_)
        outer.classes_, outer.n_features_in_ = self.classes_, self.n_features_in_
        return outer

    @classmethod
    def from_sklearn(cls, model: Any) -> FastLogisticRegression:
        """A fitted `LogisticRegression` as one of these, to continue from with ``warm_start``.

        Raises:
            UsageError: It isn't a fitted, L2-regularized one.
        """
        if not isinstance(model, LogisticRegression) or not hasattr(model, "coef_"):
            raise UsageError(f"{model!r:.80} is no fitted LogisticRegression.")
        one = cls(C=model.C, fit_intercept=model.fit_intercept, warm_start=True, class_weight=model.class_weight)
        one.classes_, one.n_features_in_ = model.classes_, model.n_features_in_
        one.coef_, one.intercept_ = model.coef_.copy(), np.atleast_1d(model.intercept_).copy()
        one.n_iter_, one.converged_, one.objective_ = np.zeros(1, np.int32), False, float("nan")
        return one

    def _sklearn(self, classes: Array, coef: Array, intercept: Array) -> Any:
        model = LogisticRegression(C=self.C, fit_intercept=self.fit_intercept, class_weight=self.class_weight)
        model.classes_, model.coef_, model.intercept_ = classes, coef.copy(), intercept.copy()
        model.n_features_in_, model.n_iter_ = self.n_features_in_, self.n_iter_.copy()
        return model

    def _check_parameters(self) -> None:
        if self.objective not in {"multinomial", "ovr"}:
            raise ValueError(f"objective={self.objective!r}: use 'multinomial' or 'ovr'.")
        for name, value in (("C", self.C), ("tol", self.tol), ("max_iter", self.max_iter)):
            if not isinstance(value, (int, float, np.number)) or not value > 0 or not np.isfinite(value):
                raise ValueError(f"{name}={value!r}: use a finite number above 0.")

    def _validated(self, X: Any, y: Any, sample_weight: Any) -> tuple[RowBlocks, Array, Array | None]:
        self._check_parameters()
        if isinstance(X, RowBlocks):
            rows, y = X, np.asarray(y)
            self.n_features_in_ = rows.n_columns
            if y.shape != (rows.n_rows,):
                raise ValueError(f"y has shape {y.shape}, but there are {rows.n_rows} rows.")
        else:
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32, np.uint8], order="C")
            rows = ArrayRows(X)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        codes = codes.astype(np.min_scalar_type(len(self.classes_)))
        if len(self.classes_) < 2:  # noqa: PLR2004 - nothing to tell apart
            raise ValueError(
                f"The data has only one class, {self.classes_.tolist()[0]!r}: at least 2 classes are needed."
            )
        return rows, codes, self._weights(rows, y, codes, sample_weight)

    def _weights(self, rows: RowBlocks, y: Array, codes: Array, sample_weight: Any) -> Array | None:
        if sample_weight is None and self.class_weight is None:
            return None
        shaped = np.empty((rows.n_rows, 0))
        weights: Array = _check_sample_weight(sample_weight, shaped, dtype=rows.dtype, ensure_non_negative=True)
        if self.class_weight is not None:
            weights = weights * compute_class_weight(self.class_weight, classes=self.classes_, y=y)[codes]
        return weights.astype(rows.dtype)

    def _start(self, rows: RowBlocks) -> Array | None:
        if not self.warm_start or not hasattr(self, "coef_") or self.coef_.shape != (self._columns(), rows.n_columns):
            return None
        start: Array = np.concatenate([self.coef_, self.intercept_[:, None]], axis=1).T
        return start

    def _columns(self) -> int:
        return len(self.classes_) if len(self.classes_) > 2 else 1  # noqa: PLR2004 - two are one binary problem

    def _solve(self, rows: RowBlocks, codes: Array, weights: Array | None, start: Array | Solution | None) -> Solution:
        from joblib import cpu_count, effective_n_jobs

        columns = self._columns()
        problem = Problem(
            rows=rows,
            labels=codes,
            weights=weights,
            objective=Multinomial() if self.objective == "multinomial" and columns > 1 else OneVsRest(),
            columns=columns,
            penalty=1 / self.C,
            intercept=self.fit_intercept,
            intercept_penalty=1 / self.C if self.penalize_intercept else 0.0,
        )
        return minimize(
            problem,
            start=start,
            tol=self.tol,
            max_iter=self.max_iter,
            n_threads=cpu_count() if self.n_jobs is None else effective_n_jobs(self.n_jobs),
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            callback=self.callback,
        )

    def _adopt(self, solution: Solution) -> None:
        dtype = solution.dtype
        self.coef_ = np.ascontiguousarray(solution.coefficients[:-1].T, dtype=dtype)
        self.intercept_ = solution.coefficients[-1].astype(dtype)
        self.n_iter_ = np.array([solution.iterations], dtype=np.int32)
        self.objective_ = float(solution.objective.sum())
        self.converged_ = solution.converged
        if not solution.converged:
            warnings.warn(
                f"FastLogisticRegression failed to converge in {solution.iterations} Newton steps. "
                "Increase max_iter or tol, or scale the data.",
                ConvergenceWarning,
                stacklevel=3,
            )


class WarmStart:
    """Fits of one problem with several C: each starts where the last one ended, with its preconditioner.

    Fit in order of growing C. All fits must be on the same rows and labels.
    """

    def __init__(self) -> None:
        self._solution: Solution | None = None

    @property
    def has_solution(self) -> bool:
        """Return True if the next fit starts from the solution of an earlier one."""
        return self._solution is not None

    def fit(
        self, estimator: FastLogisticRegression, X: Any, y: Any, sample_weight: Any = None
    ) -> FastLogisticRegression:
        """Fit ``estimator`` in place and return it; see `FastLogisticRegression.fit`.

        Args:
            estimator: Differs from the last one in ``C`` only.
            X: The same as in the last fit.
            y: The same.
            sample_weight: The same.
        """
        rows, codes, weights = estimator._validated(X, y, sample_weight)  # noqa: SLF001 - of this module
        self._solution = estimator._solve(rows, codes, weights, self._solution)  # noqa: SLF001 - the same
        estimator._adopt(self._solution)  # noqa: SLF001 - the same
        return estimator
