"""Passes over the rows of a problem, block by block and on several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.estimators.objectives import Objective
from mnistkit.estimators.rows import RowBlocks

__all__ = ["Passes", "Problem", "Run", "threads"]

Array = NDArray[Any]

_BLOCK = 1024
_GROUPS = 16


@frozen(eq=False)
class Problem:
    r"""An objective to minimize.

    Attributes:
        rows: The matrix ``(n, d)``.
        labels: ``(n,)`` class numbers.
        weights: ``(n,)`` per sample, or None.
        objective: The loss.
        columns: How many columns the coefficients have.
        penalty: :math:`\lambda`.
        intercept: Whether there is one.
        intercept_penalty: :math:`\lambda` of the intercept.
    """

    rows: RowBlocks
    labels: Array
    weights: Array | None
    objective: Objective
    columns: int
    penalty: float
    intercept: bool
    intercept_penalty: float


Run = Callable[[Callable[[int], Any], int], list[Any]]
"""Calls a function with 0 to n - 1, on some threads; returns the results in order."""


@contextmanager
def threads(count: int) -> Iterator[Run]:
    """Yield a `Run` on so many threads."""
    if count == 1:
        yield lambda work, n: [work(i) for i in range(n)]
        return
    with ThreadPoolExecutor(count) as pool:
        yield lambda work, n: list(pool.map(work, range(n)))


class Passes:
    """A problem's sums over rows. Coefficients are ``(d + 1, k) float64``, margins ``(n, k)`` of the rows' type.

    Rows are summed in groups whose number doesn't depend on that of the threads: neither do the results.

    Attributes:
        problem: What is summed.
        run: The threads.
        dtype: The rows' type.
        shape: ``(n, k)``.
        penalty: ``(d + 1, 1)``: that of the coefficients, and last that of the intercept.
    """

    def __init__(self, problem: Problem, run: Run) -> None:
        rows = problem.rows
        self.problem, self.run = problem, run
        self.dtype, self.shape = rows.dtype, (rows.n_rows, problem.columns)
        self.penalty = np.full((rows.n_columns + 1, 1), problem.penalty)
        self.penalty[-1] = problem.intercept_penalty
        size = max(1, -(-rows.n_rows // _GROUPS))
        self._groups = [
            [(start, min(start + _BLOCK, stop)) for start in range(first, stop, _BLOCK)]
            for first, stop in ((i, min(i + size, rows.n_rows)) for i in range(0, rows.n_rows, size))
        ]

    def zeros(self) -> Array:
        """Coefficients of 0."""
        return np.zeros((self.problem.rows.n_columns + 1, self.problem.columns))

    def dot(self, A: Array, B: Array) -> Array:
        """The inner product of coefficients, one per independent problem."""
        product: Array = np.einsum("ij,ij->j", A, B)
        return product if self.problem.objective.independent else product.sum(keepdims=True)

    def norm(self, A: Array) -> Array:
        """The length of coefficients, one per independent problem."""
        length: Array = np.sqrt(self.dot(A, A))
        return length

    def margins(self, W: Array) -> Array:
        """The margins of coefficients."""
        Z = np.zeros(self.shape, self.dtype)
        weights, intercept = self._scaled(W)

        def work(start: int, stop: int, X: Array, _: None) -> None:
            np.matmul(X, weights, out=Z[start:stop])
            Z[start:stop] += intercept

        if W.any():
            self._over_blocks(work, lambda: None)
        return Z

    def value(self, Z: Array, W: Array, P: Array) -> Array:
        """The objective, one per independent problem; ``P`` gets the probabilities. Reads no rows."""
        problem = self.problem

        def group(index: int) -> Array:
            part = slice(self._groups[index][0][0], self._groups[index][-1][1])
            return problem.objective.losses(Z[part], problem.labels[part], _part(problem.weights, part), P[part])

        losses: Array = np.sum(self.run(group, len(self._groups)), axis=0)
        return losses + 0.5 * self.dot(self.penalty * W, W)

    def gradient(self, P: Array, W: Array) -> Array:
        """The objective's gradient, from the probabilities."""
        problem = self.problem

        def work(start: int, stop: int, X: Array, total: Array) -> None:
            part = slice(start, stop)
            _add(total, X, problem.objective.residuals(P[part], problem.labels[part], _part(problem.weights, part)))

        return self._total(work, W)

    def hessian_times(self, P: Array, S: Array, XS: Array) -> Array:
        """The product of the Hessian with ``S``; ``XS`` gets the margins of ``S``."""
        problem = self.problem
        weights, intercept = self._scaled(S)

        def work(start: int, stop: int, X: Array, total: Array) -> None:
            part = slice(start, stop)
            np.matmul(X, weights, out=XS[part])
            XS[part] += intercept
            _add(total, X, problem.objective.curve(P[part], _part(problem.weights, part), XS[part]))

        return self._total(work, S)

    def _scaled(self, W: Array) -> tuple[Array, Array]:
        return (W[:-1] * self.problem.rows.scale).astype(self.dtype), W[-1].astype(self.dtype)

    def _over_blocks(self, work: Callable[[int, int, Array, Any], None], make: Callable[[], Any]) -> list[Any]:
        """Call ``work(start, stop, rows, accumulator)`` for all blocks; return the groups' accumulators, in order."""
        rows = self.problem.rows

        def group(index: int) -> Any:
            buffer = np.empty((_BLOCK, rows.n_columns), self.dtype)
            result = make()
            for start, stop in self._groups[index]:
                work(start, stop, rows.block(start, stop, buffer), result)
            return result

        return self.run(group, len(self._groups))

    def _total(self, work: Callable[[int, int, Array, Any], None], W: Array) -> Array:
        groups = self._over_blocks(work, lambda: np.zeros((self.problem.columns, len(self.penalty))))
        G: Array = np.sum(groups, axis=0).T
        G[:-1] *= self.problem.rows.scale
        G += self.penalty * W
        if not self.problem.intercept:
            G[-1] = 0
        return G


def _add(total: Array, X: Array, R: Array) -> None:
    total[:, :-1] += R.T @ X
    total[:, -1] += R.sum(axis=0)


def _part(weights: Array | None, part: slice) -> Array | None:
    return None if weights is None else weights[part]
