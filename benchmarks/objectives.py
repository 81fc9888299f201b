"""What the comparisons of solvers share: the objectives, computed apart from the solvers, and fits that end at one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mnistkit.estimators import ArrayRows, FastLogisticRegression, RowBlocks

__all__ = ["fit_to", "one_vs_rest", "rows_of", "softmax"]


def softmax(X: Any, y: Any, coef: Any, intercept: Any, rate: float) -> float:
    """The multinomial objective, summed in float64."""
    total = rate / 2 * float(np.sum(coef.astype(np.float64) ** 2))
    for start in range(0, len(y), 10_000):
        part = slice(start, start + 10_000)
        Z = (X[part] @ coef.T + intercept).astype(np.float64)
        top = Z.max(axis=1)
        Z -= top[:, None]
        total += float((np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), y[part]]).sum())
    return total


def one_vs_rest(X: Any, y: Any, coef: Any, intercept: Any, rate: float) -> float:
    """The one-vs-rest objective with the intercept penalized, as liblinear has it."""
    signs = np.where(y[:, None] == np.arange(len(intercept)), 1, -1)
    penalty = rate / 2 * (np.sum(coef**2) + np.sum(intercept**2))
    return float(np.logaddexp(0, -signs * (X @ coef.T + intercept)).sum() + penalty)


class _ReachedError(Exception):
    """The objective is as low as it was to be."""


def fit_to(goal: float, rows: RowBlocks, y: Any, rate: float, *, threads: int | None = None) -> float:
    """Fit our multinomial model until its objective is no higher than ``goal``.

    Returns:
        The objective that it ended at.

    Raises:
        RuntimeError: It converged above ``goal``.
    """
    reached: list[float] = []

    def callback(iteration: int, objective: float, gradient: float) -> None:  # noqa: ARG001 - a callback's shape
        reached.append(objective)
        if objective <= goal:
            raise _ReachedError

    model = FastLogisticRegression(C=1 / rate, tol=1e-6, n_jobs=threads, random_state=0, callback=callback)
    try:
        model.fit(rows, y)
    except _ReachedError:
        return reached[-1]
    raise RuntimeError(f"the objective ended at {reached[-1]}, above {goal}")


def rows_of(images: Any) -> ArrayRows:
    """Images as the solver takes them: bytes, scaled to 0..1 in its weights."""
    return ArrayRows(images.reshape(len(images), -1), scale=1 / 255)
