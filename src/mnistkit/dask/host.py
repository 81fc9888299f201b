"""The actor that holds rows on a worker, and works on them there."""

from __future__ import annotations

import shutil
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.dask._sdk import can_travel, current_node
from mnistkit.dask.parts import Part, PartInfo, Storage
from mnistkit.dask.shard import Operation, Shard, ShardSpec
from mnistkit.errors import MnistkitError, ServiceError
from mnistkit.estimators.joined_rows import JoinedRows
from mnistkit.estimators.rows import BlockSums, RowBlocks

__all__ = ["Answer", "Piece", "RowsHost", "View"]

Array = NDArray[Any]


@frozen(eq=False)
class Answer:
    """The result of a call, or the error that it raised."""

    value: Any = None
    error: Exception | None = None


@frozen(eq=False)
class Piece:
    """Rows for a host to hold.

    Attributes:
        start: The number of the first one among all rows.
        part: What they are read from.
        first: The number of the first one there.
        n_rows: How many.
    """

    start: int
    part: Part
    first: int
    n_rows: int


@frozen(eq=False)
class View:
    """Features of the rows of a range, or some of the rows, or both.

    Attributes:
        transform: The function and the number of features of `RowBlocks.transform`; None for the rows as they are.
        selected: Numbers within the range; None for all rows.
    """

    transform: tuple[Callable[[Array], Array], int] | None = None
    selected: Array | None = None

    def of(self, rows: RowBlocks) -> RowBlocks:
        """Return what is looked at of the rows of a range."""
        if self.transform is not None:
            rows = rows.transform(*self.transform)
        return rows if self.selected is None else rows.select(self.selected)


class RowsHost:
    """Rows on a worker, as a Dask actor: it is freed with the last future of it, so with the program that made it."""

    def __init__(self, in_memory: bool, scale: float | None, threads: int | None) -> None:  # noqa: FBT001 - a message
        """Hold nothing yet.

        Args:
            in_memory: See `Storage`.
            scale: See there.
            threads: How many work on the rows; None for the worker's own.
        """
        from threadpoolctl import ThreadpoolController

        node = current_node()
        self._threads = threads or node.threads
        folder = Path(node.folder) / "mnistkit" / f"rows-{uuid.uuid4().hex}"
        self._storage = Storage(folder, in_memory, scale)
        self._pool = ThreadPoolExecutor(self._threads)
        self._blas = ThreadpoolController()
        self._pieces: dict[int, tuple[int, RowBlocks]] = {}  # by the first row: the row that it ends before
        self._described: dict[int, RowBlocks] = {}
        self._shards: dict[str, Shard] = {}
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def call(self, pieces: Sequence[Piece], method: str, *arguments: Any) -> Answer:
        """Hold more rows, then call a method; what raises is returned, as all else means that the worker is lost."""
        try:
            with self._blas.limit(limits=1, user_api="blas"):
                for piece in pieces:
                    rows = piece.part.read(piece.first, piece.first + piece.n_rows, self._storage)
                    self._pieces[piece.start] = piece.start + piece.n_rows, rows
                return Answer(getattr(self, method)(*arguments))
        except Exception as error:  # noqa: BLE001 - whatever the user's functions raise
            return Answer(error=_portable(error))

    def describe(self, parts: Mapping[int, Part]) -> dict[int, PartInfo]:
        """Return what parts hold, by their number; keep the rows that had to be read for that."""

        def describe(item: tuple[int, Part]) -> PartInfo:
            number, part = item
            try:
                info, images = part.describe()
            except MnistkitError as error:
                raise type(error)(f"Part {number}: {error}") from error
            if images is not None:
                self._described[number] = self._storage.hold(images)
            return info

        return dict(zip(parts, self._pool.map(describe, parts.items()), strict=True))

    def place(self, starts: Mapping[int, int]) -> list[tuple[int, int]]:
        """Set the first rows of described parts; return the ranges of those that were kept."""
        placed = []
        for number, start in starts.items():
            rows = self._described.pop(number, None)
            if rows is not None and rows.n_rows:
                self._pieces[start] = start + rows.n_rows, rows
                placed.append((start, start + rows.n_rows))
        return placed

    def keep(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Free the rows that lie in none of the ranges; return what is left."""
        for start, (stop, _) in list(self._pieces.items()):
            if all(stop <= first or start >= end for first, end in ranges):
                del self._pieces[start]
        return sorted((start, stop) for start, (stop, _) in self._pieces.items())

    def take(self, numbers: Array) -> Array:
        """Return rows as they are stored."""
        first, end = int(numbers.min()), int(numbers.max()) + 1
        return self._rows(first, end).take(numbers - first)

    def sums(
        self, within: tuple[int, int], view: View, work: BlockSums, values: Array, block_rows: int
    ) -> list[Array] | None:
        """Return the sums of `RowBlocks.sums` over a range; None if no row of it is looked at."""
        total: list[Array] | None = None
        for found in view.of(self._rows(*within)).sums(work, values, block_rows, self._threads):
            if total is None:
                total = [np.array(each, np.promote_types(each.dtype, np.float64)) for each in found]
            else:
                total = [whole + each for whole, each in zip(total, found, strict=True)]
        return total

    def fill(
        self, within: tuple[int, int], view: View, work: Callable[[Array], Array], like: Array, block_rows: int
    ) -> Array:
        """Return the results of `RowBlocks.fill` over a range, in the type and the shape of rows of ``like``."""
        rows = view.of(self._rows(*within))
        out = np.empty((rows.n_rows, *like.shape[1:]), like.dtype)
        rows.fill(work, out, block_rows, self._threads)
        return out

    def perform(self, key: str, spec: ShardSpec | None, operations: Sequence[Operation]) -> Any:
        """Perform operations on a shard, which is made first if a spec is given; return the result of the last one."""
        if spec is not None:
            self._shards[key] = Shard(spec, self._rows(spec.start, spec.stop), partial(_run, self._pool))
        return self._shards[key].perform(operations)

    def end(self, keys: Sequence[str]) -> None:
        """Free shards."""
        for key in keys:
            self._shards.pop(key, None)

    def _rows(self, start: int, stop: int) -> RowBlocks:
        """Return the rows of a range that is held, in one piece or several."""
        found, at = [], start
        for first, (end, rows) in sorted(self._pieces.items(), key=lambda item: item[0]):
            if first <= at < end and at < stop:
                found.append((rows, at - first, min(end, stop) - first))
                at = min(end, stop)
        if at != stop:
            raise LookupError(f"Rows {at} to {stop} aren't on this worker.")
        return JoinedRows(found)


def _run(pool: ThreadPoolExecutor, work: Callable[[int], Any], n: int) -> list[Any]:
    # Not a method: shards that hold their host would leave both to the garbage collector.
    return list(pool.map(work, range(n)))


def _portable(error: Exception) -> Exception:
    """Return an error that can travel."""
    return error if can_travel(error) else ServiceError(f"{type(error).__name__}: {error}")
