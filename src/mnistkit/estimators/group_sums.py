"""Sums over groups of rows, as a Newton method needs them: computed where the rows lie, finished elsewhere.

The groups follow from the number of rows alone. A group's sum is computed block after block, by one thread; so it is
the same to the last bit on whichever thread or computer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.estimators.objectives import Objective
from mnistkit.estimators.rows import RowBlocks

__all__ = ["Group", "GroupSums", "Run", "row_groups", "uniforms"]

Array = NDArray[Any]
Group = tuple[int, int]
"""The first row of a group, and the one that it ends before."""

Run = Callable[[Callable[[int], Any], int], list[Any]]
"""Calls a function with 0 to n - 1, on some threads; returns the results in order."""

_BLOCK_ROWS = 1024
_CACHE_LINE_BYTES = 64
_MIN_GROUPS = 16
_MAX_GROUPS = 1024  # of sums that travel on each pass
_GROUP_ROWS = 1 << 16  # of large data, whose groups then outnumber the threads of a cluster


def row_groups(n_rows: int) -> list[Group]:
    """Return the groups of so many rows: 16, or up to 1024 if they would have more than 65,536 rows each."""
    size = max(1, min(-(-n_rows // _MIN_GROUPS), _GROUP_ROWS), -(-n_rows // _MAX_GROUPS))
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def uniforms(seed: int, start: int, stop: int) -> Array:
    """Return numbers ``start`` to ``stop`` of ``default_rng(seed).random(n, np.float32)``, without those before."""
    rng = np.random.default_rng(seed)
    rng.bit_generator.advance(start // 2)  # type: ignore[attr-defined] # of PCG64: a step gives two of them
    drawn: Array = rng.random(stop - start + start % 2, dtype=np.float32)
    return drawn[start % 2 :]


class _Scratch:
    """Memory that one thread uses again for each block."""

    def __init__(self, d: int, k: int, dtype: np.dtype[np.floating]) -> None:
        self.rows = _aligned((_BLOCK_ROWS, d), dtype)
        self.result, self.other = _aligned((_BLOCK_ROWS, k), dtype), _aligned((_BLOCK_ROWS, k), dtype)
        self.product = _aligned((k, d), dtype)


class GroupSums:
    """The terms of an objective, summed over each group of some rows. The penalty, and the rows' scale, aren't in them.

    Values per row are ``(n, k)`` of the rows' type: margins ``Z``, probabilities ``P``, margins of a direction ``XS``.

    Args:
        rows: The rows.
        labels: ``(n,)`` class numbers.
        weights: ``(n,)`` per sample, or None.
        objective: The loss.
        columns: k.
        groups: The groups, in numbers of these rows, one after another.
        run: The threads.
    """

    def __init__(
        self,
        rows: RowBlocks,
        *,
        labels: Array,
        weights: Array | None,
        objective: Objective,
        columns: int,
        groups: Sequence[Group],
        run: Run,
    ) -> None:
        self.rows, self.labels, self.weights, self.objective = rows, labels, weights, objective
        self._columns, self._groups, self._run = columns, groups, run
        self._scratch = threading.local()

    def field(self) -> Array:
        """Return a 0 for each row and column."""
        return np.zeros((self.rows.n_rows, self._columns), self.rows.dtype)

    def margins(self, weights: Array, intercept: Array, Z: Array) -> None:
        """Compute the margins of coefficients ``(d, k)`` and ``(k,)`` into ``Z``."""

        def work(part: slice, X: Array, _: _Scratch, __: None) -> None:
            np.matmul(X, weights, out=Z[part])
            Z[part] += intercept

        self._over_blocks(work, lambda: None)

    def losses(self, Z: Array, P: Array) -> Array:
        """Return the losses, ``(groups, problems)``; ``P`` gets the probabilities. Reads no rows."""

        def group(index: int) -> Array:
            part = slice(*self._groups[index])
            return self.objective.losses(Z[part], self.labels[part], self._weights(part), P[part])

        return np.stack(self._run(group, len(self._groups)))

    def gradients(self, P: Array) -> Array:
        """Return the gradients, ``(groups, k, d + 1)``, from the probabilities."""

        def work(part: slice, X: Array, scratch: _Scratch, total: Array) -> None:
            out = scratch.result[: len(X)]
            R = self.objective.residuals(P[part], self.labels[part], self._weights(part), out)
            _add(total, X, R, scratch.product)

        return self._totals(work)

    def products(self, P: Array, weights: Array, intercept: Array, XS: Array) -> Array:
        """Return the Hessian's products with a direction, ``(groups, k, d + 1)``; ``XS`` gets its margins."""

        def work(part: slice, X: Array, scratch: _Scratch, total: Array) -> None:
            np.matmul(X, weights, out=XS[part])
            XS[part] += intercept
            out, other = scratch.result[: len(X)], scratch.other[: len(X)]
            R = self.objective.curve(P[part], self._weights(part), XS[part], out, other)
            _add(total, X, R, scratch.product)

        return self._totals(work)

    def curvatures(self, P: Array) -> tuple[Array, Array]:
        """Return the curvature of each column and row, ``(k, n)``, and its sums, ``(groups, k)``."""
        curvatures = np.empty((self._columns, self.rows.n_rows), self.rows.dtype)

        def group(index: int) -> list[float]:
            part, sums = slice(*self._groups[index]), []
            for k in range(self._columns):
                values = self.objective.curvatures(P[part], self._weights(part), k)
                curvatures[k, part] = values
                sums.append(float(values.sum(dtype=np.float64)))
            return sums

        return curvatures, np.array(self._run(group, len(self._groups)))

    def scale_chances(self, chances: Array, factors: Array, *, has_certain: bool) -> Array:
        """Multiply chances ``(k, n)`` in place by a factor per column.

        Args:
            chances: To draw a row.
            factors: ``(k,)``, of the rows' type.
            has_certain: Those that were 1 or more become 1.

        Returns:
            ``(groups, k, 2)``: how many are 1 or more now, and the sum of the others.
        """

        def group(index: int) -> list[tuple[int, float]]:
            part, found = slice(*self._groups[index]), []
            for k in range(self._columns):
                values = chances[k, part]
                certain = values >= 1 if has_certain else None
                values *= factors[k]
                if certain is not None:
                    values[certain] = 1
                certain = values >= 1
                found.append((int(certain.sum()), float(values[~certain].sum(dtype=np.float64))))
            return found

        return np.array(self._run(group, len(self._groups)))

    def draw(self, P: Array, chances: Array, column: int, seed: int, first: int) -> tuple[Array, Array]:
        """Draw rows for a column with their chances, clipped to what isn't 0 and is at most 1.

        Args:
            P: Probabilities.
            chances: ``(k, n)``.
            column: Of them.
            seed: Of the numbers that decide, one for each row of the whole data.
            first: The number of our first row in the whole data.

        Returns:
            The rows as they are stored, and the curvature of each over its chance.
        """
        chance = np.clip(chances[column], np.finfo(np.float32).tiny, 1)
        chosen = np.flatnonzero(uniforms(seed, first, first + len(chance)) < chance)
        weights = None if self.weights is None else self.weights[chosen]
        curvature = self.objective.curvatures(P[chosen], weights, column)
        return self.rows.take(chosen), curvature / chance[chosen]

    def _weights(self, part: slice) -> Array | None:
        return None if self.weights is None else self.weights[part]

    def _totals(self, work: Callable[[slice, Array, _Scratch, Array], None]) -> Array:
        return np.stack(self._over_blocks(work, lambda: np.zeros((self._columns, self.rows.n_columns + 1))))

    def _over_blocks(self, work: Callable[[slice, Array, _Scratch, Any], None], make: Callable[[], Any]) -> list[Any]:
        """Call ``work(part, rows, scratch, accumulator)`` for all blocks; return the groups' accumulators, in order."""

        def group(index: int) -> Any:
            first, end = self._groups[index]
            scratch, result = self._own_scratch(), make()
            for start in range(first, end, _BLOCK_ROWS):
                stop = min(start + _BLOCK_ROWS, end)
                work(slice(start, stop), self.rows.block(start, stop, scratch.rows), scratch, result)
            return result

        return self._run(group, len(self._groups))

    def _own_scratch(self) -> _Scratch:
        scratch: _Scratch | None = getattr(self._scratch, "value", None)
        if scratch is None:
            scratch = self._scratch.value = _Scratch(self.rows.n_columns, self._columns, self.rows.dtype)
        return scratch


def _aligned(shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Array:
    """Return an empty array that begins with a line of the processor's cache: a pass is 5 % faster."""
    size = shape[0] * shape[1] * dtype.itemsize
    memory = np.empty(size + _CACHE_LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % _CACHE_LINE_BYTES
    aligned: Array = memory[first : first + size].view(dtype).reshape(shape)
    return aligned


def _add(total: Array, X: Array, R: Array, product: Array) -> None:
    total[:, :-1] += np.matmul(R.T, X, out=product)
    total[:, -1] += R.sum(axis=0)
