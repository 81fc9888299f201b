"""Shares of rows: which worker holds which, and what it has to load for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from mnistkit.dask.host import Piece
from mnistkit.dask.parts import Part

__all__ = ["Holdings", "Range", "Share", "shares"]

Range = tuple[int, int]
"""The number of the first row, and of the one that it ends before."""


@frozen
class Share:
    """A range of rows, and the worker for it.

    Attributes:
        start: The first row.
        stop: The row that it ends before.
        address: Of the worker.
    """

    start: int
    stop: int
    address: str


def shares(ranges: Sequence[Range], unit: int, workers: Mapping[str, int]) -> list[Share]:
    """Divide each range among workers in proportion to their threads, at multiples of ``unit``.

    Args:
        ranges: Each begins at a multiple of ``unit``.
        unit: Rows.
        workers: Threads by address.
    """
    ends = np.cumsum([0, *workers.values()]) / sum(workers.values())
    found = []
    for start, stop in ranges:
        units = -(-(stop - start) // unit)
        bounds = [min(start + round(float(end) * units) * unit, stop) for end in ends]
        found += [Share(a, b, w) for a, b, w in zip(bounds[:-1], bounds[1:], workers, strict=True) if a < b]
    return found


class Holdings:
    """The ranges of rows that each worker holds, and the parts that the others are loaded from."""

    def __init__(self, parts: Sequence[Part], starts: Sequence[int]) -> None:
        """Note the parts, and the first row of each; ``starts`` has one more number, that of all rows."""
        self._parts, self._starts = parts, starts
        self._held: dict[str, list[Range]] = {}

    def missing(self, share: Share) -> list[Piece]:
        """Return what a worker has to load to hold a share."""
        pieces, at = [], share.start
        for first, end in [*self._held.get(share.address, ()), (share.stop, share.stop)]:
            if at < min(first, share.stop):
                pieces += self._pieces(at, min(first, share.stop))
            at = max(at, end)
        return pieces

    def hold(self, address: str, ranges: Sequence[Range]) -> None:
        """Note that a worker holds these as well."""
        self._held[address] = sorted([*self._held.get(address, ()), *ranges])

    def replace(self, address: str, ranges: Sequence[Range]) -> None:
        """Note that a worker holds these, and no more; none for a worker that is lost."""
        self._held[address] = sorted(ranges)

    def exceeding(self, wanted: Sequence[Share]) -> dict[str, list[Range]]:
        """Return, by each worker that holds what none of its wanted shares has, the ranges that it should keep."""
        found = {}
        for address, held in self._held.items():
            ranges = [(share.start, share.stop) for share in wanted if share.address == address]
            if any(all(end <= a or first >= b for a, b in ranges) for first, end in held):
                found[address] = ranges
        return found

    def _pieces(self, start: int, stop: int) -> list[Piece]:
        """Return the pieces of parts that a range is made of."""
        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        pieces = []
        while start < stop:
            end = min(self._starts[number + 1], stop)
            if start < end:
                first = start - self._starts[number]
                part, first, _ = self._parts[number].reduced(first, first + end - start)
                pieces.append(Piece(start, part, first, end - start))
                start = end
            number += 1
        return pieces
