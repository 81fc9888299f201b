"""Ranges of several matrices as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError
from mnistkit.estimators.rows import RowBlocks

__all__ = ["JoinedRows"]


class JoinedRows(RowBlocks):
    """Ranges of other `RowBlocks` of one kind, one after another."""

    def __init__(self, parts: Sequence[tuple[RowBlocks, int, int]]) -> None:
        """Join ``parts``: each is rows, with the first one to take and the one to stop before; at least one part.

        Raises:
            DataFormatError: They have different columns, types or scales.
        """
        first = parts[0][0]
        kind = (first.n_columns, first.dtype, first.scale)
        for number, (rows, _, _) in enumerate(parts):
            if (rows.n_columns, rows.dtype, rows.scale) != kind:
                raise DataFormatError(
                    f"Part {number} has {rows.n_columns} columns of {rows.dtype}, times {rows.scale:.4g}, but part 0 "
                    f"has {kind[0]} of {kind[1]}, times {kind[2]:.4g}: join rows of one kind."
                )
        self._parts = list(parts)
        self._ends = np.cumsum([stop - start for _, start, stop in parts])
        self.n_rows, (self.n_columns, self.dtype, self.scale) = int(self._ends[-1]), kind
        self.image_shape = first.image_shape

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """See `RowBlocks.block`."""
        number = int(np.searchsorted(self._ends, start, side="right"))
        if stop <= self._ends[number]:
            rows, shift = self._of(number)
            return rows.block(start + shift, stop + shift, buffer)
        for at in range(number, len(self._parts)):
            rows, shift = self._of(at)
            a, b = max(start, int(self._ends[at - 1]) if at else 0), min(stop, int(self._ends[at]))
            if a >= b:
                break
            place = buffer[a - start : b - start]
            read = rows.block(a + shift, b + shift, place)
            if not np.may_share_memory(read, place):
                place[:] = read
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        rows = np.asarray(rows)
        numbers = np.searchsorted(self._ends, rows, side="right")
        taken: NDArray[np.generic] | None = None
        for number in np.unique(numbers):
            here, (part, shift) = numbers == number, self._of(int(number))
            found = part.take(rows[here] + shift)
            if taken is None:
                taken = np.empty((len(rows), self.n_columns), found.dtype)
            taken[here] = found
        return self._parts[0][0].take(rows) if taken is None else taken

    def _of(self, number: int) -> tuple[RowBlocks, int]:
        """Return the rows of a part, and what to add to our numbers for theirs."""
        rows, _, stop = self._parts[number]
        return rows, stop - int(self._ends[number])
