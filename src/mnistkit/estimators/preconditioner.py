"""Approximate inverses of the Hessian, from rows drawn where the curvature is."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.estimators.passes import Passes, Run

__all__ = ["Inverse", "sampled_inverse"]

Array = NDArray[Any]

_MAX_HESSIAN_ITEMS = 1 << 26


@frozen(eq=False)
class Inverse:
    """An approximate inverse of a Hessian, column by column.

    Attributes:
        columns: ``(d + 1, d + 1)`` per column; None for the identity.
        centered: Whether to take away what all columns share: a softmax doesn't see it, and the penalty wants none.
    """

    columns: tuple[Array, ...] | None
    centered: bool

    def times(self, R: Array, run: Run) -> Array:
        """The product with ``R``, on the threads of ``run``."""
        Q = R
        if self.columns is not None:
            matrices = self.columns
            parts = run(lambda k: matrices[k] @ R[:, k].astype(matrices[k].dtype), len(matrices))
            Q = np.stack(parts, axis=1).astype(float)
        return Q - Q.mean(axis=1, keepdims=True) if self.centered else Q


def sampled_inverse(passes: Passes, P: Any, size: int, rng: np.random.Generator) -> Inverse:
    """Per column the inverse of a Hessian from about ``size`` rows, drawn in proportion to their curvature.

    Where the inverses would take more than 2**26 numbers, there are none: gradients are taken as they are.

    Args:
        passes: The problem.
        P: The field of the probabilities.
        size: How many rows to draw per column; all of them, if there are no more.
        rng: Draws.
    """
    problem = passes.problem
    d = len(passes.penalty)
    centered = not problem.objective.independent
    if problem.columns * d * d > _MAX_HESSIAN_ITEMS:
        return Inverse(None, centered)
    drawn = passes.sample(P, size, rng.integers(2**63, size=problem.columns))

    def column(k: int) -> Array:
        rows, ratios = drawn(k)
        used = np.append(rows.any(axis=0), True)
        A = np.empty((len(rows), np.count_nonzero(used)), passes.dtype)
        A[:, :-1] = rows[:, used[:-1]]
        A[:, :-1] *= problem.rows.scale
        A[:, -1] = problem.intercept
        A *= np.sqrt(ratios)[:, None]
        return _inverse(A.T @ A, used, passes.penalty[:, 0], has_intercept=problem.intercept)

    return Inverse(tuple(passes.run(column, problem.columns)), centered)


def _inverse(H: Array, used: Array, penalty: Array, *, has_intercept: bool) -> Array:
    """The inverse of ``H``, which is 0 but for the ``used`` rows and columns, plus the penalty and a little more."""
    from scipy.linalg import lapack

    diagonal = np.diagonal(H).astype(float)
    ridge = penalty + 1e-6 * diagonal.sum() / len(penalty) + np.finfo(H.dtype).tiny
    if not has_intercept:
        ridge[-1] += 1
    H[np.diag_indices(len(H))] += ridge[used].astype(H.dtype)
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (H,))
    factor, failed = potrf(H, lower=1)
    half, also_failed = potri(factor, lower=1, overwrite_c=1)
    inverse: Array = np.diag(1 / ridge).astype(H.dtype)
    if failed or also_failed:
        inverse[used, used] = 1 / (diagonal + ridge[used])
        return inverse
    lower = np.tril(half)
    inverse[np.ix_(used, used)] = lower + np.tril(lower, -1).T
    return inverse
