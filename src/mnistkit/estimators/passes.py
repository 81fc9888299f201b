"""Passes over the rows of a problem, by threads of this process or wherever the rows lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.estimators.group_sums import GroupSums, Run, row_groups
from mnistkit.estimators.objectives import Objective
from mnistkit.estimators.rows import RowBlocks

__all__ = ["Drawn", "LocalPasses", "PassedElsewhere", "Passes", "Problem", "Run", "passes_over", "threads"]

Array = NDArray[Any]
Drawn = Callable[[int], tuple[Array, Array]]
"""Returns the rows that were drawn for a column, as they are stored, and the curvature of each over its chance."""

_N_CORRECTIONS = 3
_TINY = float(np.finfo(np.float32).tiny)


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


@contextmanager
def threads(count: int) -> Iterator[Run]:
    """Yield a `Run` on so many threads."""
    if count == 1:
        yield lambda work, n: [work(i) for i in range(n)]
        return
    with ThreadPoolExecutor(count) as pool:
        yield lambda work, n: list(pool.map(work, range(n)))


class Passes(ABC):
    """A problem's sums over rows. Coefficients are ``(d + 1, k) float64``.

    A *field* holds a number per row and column, such as margins and probabilities, where the rows lie. Its user only
    multiplies fields by numbers per column (``*``, ``*=``), and adds one to another (``+=``): here it is an array
    ``(n, k)`` of the rows' type.

    Rows are summed in groups that depend on their number alone (`mnistkit.estimators.group_sums`): so results don't
    depend on the threads, nor on where the rows lie.

    Attributes:
        problem: What is summed.
        run: Threads of this process.
        dtype: The rows' type.
        shape: ``(n, k)``.
        penalty: ``(d + 1, 1)``: that of the coefficients, and last that of the intercept.
    """

    def __init__(self, problem: Problem, run: Run) -> None:
        """Prepare for a problem; nothing is read yet."""
        rows = problem.rows
        self.problem, self.run = problem, run
        self.dtype, self.shape = rows.dtype, (rows.n_rows, problem.columns)
        self.penalty = np.full((rows.n_columns + 1, 1), problem.penalty)
        self.penalty[-1] = problem.intercept_penalty

    @abstractmethod
    def field(self) -> Any:
        """Return a field of zeros."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held for this problem where the rows lie; idempotent."""

    def zeros(self) -> Array:
        """Return coefficients of 0."""
        return np.zeros((self.problem.rows.n_columns + 1, self.problem.columns))

    def dot(self, A: Array, B: Array) -> Array:
        """Return the inner product of coefficients, one per independent problem."""
        product: Array = np.einsum("ij,ij->j", A, B)
        return product if self.problem.objective.independent else product.sum(keepdims=True)

    def norm(self, A: Array) -> Array:
        """Return the length of coefficients, one per independent problem."""
        length: Array = np.sqrt(self.dot(A, A))
        return length

    def margins(self, W: Array) -> Any:
        """Return the field of the margins of coefficients."""
        Z = self.field()
        if W.any():
            self._margins(*self._scaled(W), Z)
        return Z

    def value(self, Z: Any, W: Array, P: Any) -> Array:
        """Return the objective, one per independent problem; ``P`` gets the probabilities. Reads no rows."""
        losses: Array = self._losses(Z, P).sum(axis=0)
        return losses + 0.5 * self.dot(self.penalty * W, W)

    def gradient(self, P: Any, W: Array) -> Array:
        """Return the objective's gradient, from the probabilities."""
        return self._finished(self._gradients(P), W)

    def hessian_times(self, P: Any, S: Array, XS: Any) -> Array:
        """Return the product of the Hessian with ``S``; ``XS`` gets the margins of ``S``."""
        return self._finished(self._products(P, *self._scaled(S), XS), S)

    def sample(self, P: Any, size: int, seeds: Array) -> Drawn:
        """Draw rows for each column, with chances in proportion to their curvature that sum to ``size``.

        All rows are drawn if there are no more. What would be drawn more than once leaves room for the others.

        Args:
            P: The field of the probabilities.
            size: How many rows to draw per column, about.
            seeds: ``(k,)``: one number per row and column decides, whose seed this is.
        """
        chances, sums = self._curvatures(P)
        if self.shape[0] <= size:
            return self._draw(P, chances, None, seeds)
        factors = (size / np.maximum(sums.sum(axis=0), _TINY)).astype(self.dtype)
        for correction in range(_N_CORRECTIONS):
            found = self._scale_chances(chances, factors, has_certain=correction > 0).sum(axis=0)
            factors = ((size - found[:, 0]) / np.maximum(found[:, 1], _TINY)).astype(self.dtype)
        return self._draw(P, chances, factors, seeds)

    @abstractmethod
    def _margins(self, weights: Array, intercept: Array, Z: Any) -> None: ...

    @abstractmethod
    def _losses(self, Z: Any, P: Any) -> Array: ...

    @abstractmethod
    def _gradients(self, P: Any) -> Array: ...

    @abstractmethod
    def _products(self, P: Any, weights: Array, intercept: Array, XS: Any) -> Array: ...

    @abstractmethod
    def _curvatures(self, P: Any) -> tuple[Any, Array]: ...

    @abstractmethod
    def _scale_chances(self, chances: Any, factors: Array, *, has_certain: bool) -> Array: ...

    @abstractmethod
    def _draw(self, P: Any, chances: Any, factors: Array | None, seeds: Array) -> Drawn:
        """Draw rows for each column, with a last correction of the chances; None for all rows."""

    def _scaled(self, W: Array) -> tuple[Array, Array]:
        return (W[:-1] * self.problem.rows.scale).astype(self.dtype), W[-1].astype(self.dtype)

    def _finished(self, groups: Array, W: Array) -> Array:
        """Return the whole sum: of all groups, with the rows' scale and the penalty."""
        G: Array = groups.sum(axis=0).T
        G[:-1] *= self.problem.rows.scale
        G += self.penalty * W
        if not self.problem.intercept:
            G[-1] = 0
        return G


class LocalPasses(Passes):
    """Passes over rows that this process reads."""

    def __init__(self, problem: Problem, run: Run) -> None:
        """Prepare for a problem; nothing is read yet."""
        super().__init__(problem, run)
        self._sums = GroupSums(
            problem.rows, labels=problem.labels, weights=problem.weights, objective=problem.objective,
            columns=problem.columns, groups=row_groups(problem.rows.n_rows), run=run,
        )  # fmt: skip

    def field(self) -> Array:
        """See `Passes.field`."""
        return self._sums.field()

    def close(self) -> None:
        """See `Passes.close`."""

    def _margins(self, weights: Array, intercept: Array, Z: Array) -> None:
        self._sums.margins(weights, intercept, Z)

    def _losses(self, Z: Array, P: Array) -> Array:
        return self._sums.losses(Z, P)

    def _gradients(self, P: Array) -> Array:
        return self._sums.gradients(P)

    def _products(self, P: Array, weights: Array, intercept: Array, XS: Array) -> Array:
        return self._sums.products(P, weights, intercept, XS)

    def _curvatures(self, P: Array) -> tuple[Array, Array]:
        return self._sums.curvatures(P)

    def _scale_chances(self, chances: Array, factors: Array, *, has_certain: bool) -> Array:
        return self._sums.scale_chances(chances, factors, has_certain=has_certain)

    def _draw(self, P: Array, chances: Array, factors: Array | None, seeds: Array) -> Drawn:
        if factors is None:
            chances[:] = 1
        else:
            self._scale_chances(chances, factors, has_certain=True)
        return lambda k: self._sums.draw(P, chances, k, seeds[k], 0)


@runtime_checkable
class PassedElsewhere(Protocol):
    """Rows that aren't read by this process: they make the passes over them."""

    def passes(self, problem: Problem, run: Run) -> Passes:
        """Return the passes over a problem whose rows these are."""


def passes_over(problem: Problem, run: Run) -> Passes:
    """Return the passes over a problem: those of its rows, or of this process."""
    rows = problem.rows
    return rows.passes(problem, run) if isinstance(rows, PassedElsewhere) else LocalPasses(problem, run)
