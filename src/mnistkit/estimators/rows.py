"""The training matrix as blocks of rows: in memory, or in a file that never is in memory as a whole."""

from __future__ import annotations

import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import read_idx_header
from mnistkit.errors import DataFormatError
from mnistkit.estimators.parallel import blocks, for_each, in_order

__all__ = [
    "ArrayRows", "BlockSums", "FileRows", "RowBlocks", "SelectedRows", "TransformedRows", "scaled_block", "scaled_rows",
]  # fmt: skip

BlockSums = Callable[[NDArray[np.floating], NDArray[Any]], tuple[NDArray[Any], ...]]
"""Returns sums over a block, of its rows ``(b, d)``, scaled, and its values ``(b,)``: arrays that add up."""

_CACHED_BLOCK_ROWS = 1024

_buffers = threading.local()  # bytes of the last block that a thread read from a file: memory that it uses again


class RowBlocks(ABC):
    """A matrix ``(n, d)`` that is read in blocks of rows; its values are ``scale`` times what the blocks hold.

    Solvers fold the scale into their weights: bytes are never multiplied one by one.

    Attributes:
        n_rows: n.
        n_columns: d.
        scale: What the blocks' values are to be multiplied by.
        dtype: The floating type of the blocks.
        image_shape: ``(h, w)`` where a row is an image of which this is known; None elsewhere.
    """

    n_rows: int
    n_columns: int
    scale: float
    dtype: np.dtype[np.floating]
    image_shape: tuple[int, int] | None = None

    @abstractmethod
    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """Rows ``start`` to ``stop``, unscaled, ``(stop - start, d)``: a view of the matrix, or of ``buffer``.

        May be called from several threads at once, each with a buffer of its own.
        """

    @abstractmethod
    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """The given rows, unscaled and in the type that they are stored in, ``(len(rows), d)``; a copy."""

    # What follows is done where the rows lie. Here that is this process; rows that lie elsewhere override it.

    def select(self, numbers: NDArray[np.intp]) -> RowBlocks:
        """Return the rows of these numbers, in that order; nothing is read yet."""
        return SelectedRows(self, numbers)

    def transform(self, function: Callable[[NDArray[np.floating]], NDArray[np.floating]], n_columns: int) -> RowBlocks:
        """Return features of the rows, computed when they are read; memory doesn't grow with them."""
        return TransformedRows(self, function, n_columns)

    def in_memory(self, max_bytes: int, n_threads: int) -> RowBlocks:
        """Return the rows as an array if it takes at most so many bytes, else as they are."""
        if self.n_rows * self.n_columns * self.dtype.itemsize > max_bytes:
            return self
        array = np.empty((self.n_rows, self.n_columns), self.dtype)

        def work(block: tuple[int, int]) -> None:
            read = self.block(*block, array[slice(*block)])
            if not np.may_share_memory(read, array):
                array[slice(*block)] = read

        for_each(work, blocks(self.n_rows, _CACHED_BLOCK_ROWS), n_threads)
        return ArrayRows(array, scale=self.scale)

    def sums(
        self, work: BlockSums, values: NDArray[Any], block_rows: int, n_threads: int
    ) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield sums that add up to those over all rows, in an order that doesn't depend on the threads.

        Args:
            work: Computes the sums of a block; called from several threads.
            values: ``(n,)``, one per row: ``work`` gets those of its block.
            block_rows: Rows per block.
            n_threads: Threads.
        """

        def of_block(block: tuple[int, int]) -> tuple[NDArray[Any], ...]:
            return work(scaled_block(self, *block), values[slice(*block)])

        yield from in_order(of_block, blocks(self.n_rows, block_rows), n_threads)

    def fill(
        self,
        work: Callable[[NDArray[np.floating]], NDArray[Any]],
        out: NDArray[Any],
        block_rows: int,
        n_threads: int,
    ) -> None:
        """Compute something for each row.

        Args:
            work: Computes it for a block of rows, ``(b, d)``, scaled; called from several threads.
            out: ``(n, ...)``: gets the results.
            block_rows: Rows per block. Blocks begin at multiples of it, wherever the rows lie.
            n_threads: Threads.
        """

        def of_block(block: tuple[int, int]) -> None:
            out[slice(*block)] = work(scaled_block(self, *block))

        for_each(of_block, blocks(self.n_rows, block_rows), n_threads)


class ArrayRows(RowBlocks):
    """An array in memory: floating, or ``uint8`` that becomes float32 block by block in the processor's cache."""

    def __init__(self, array: NDArray[Any], *, scale: float = 1.0) -> None:
        """Wrap ``array``, ``(n, d)``, or images ``(n, h, w)``; it isn't copied."""
        if array.ndim == 3:  # noqa: PLR2004 - images
            self.image_shape = array.shape[1:]
            array = array.reshape(len(array), math.prod(self.image_shape))
        self.n_rows, self.n_columns = array.shape
        self.scale = scale
        self.dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
        self._array = array

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """See `RowBlocks.block`."""
        rows: NDArray[Any] = self._array[start:stop]
        if rows.dtype == self.dtype:
            return rows
        np.copyto(buffer[: stop - start], rows)
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        return self._array[rows]


class FileRows(RowBlocks):
    """The images of a plain IDX file, read from it again on each pass: memory stays bounded whatever its size."""

    def __init__(self, path: str | os.PathLike[str], *, scale: float = 1 / 255) -> None:
        """Look at ``path``: an uncompressed IDX file of ``(n, h, w) uint8``.

        Raises:
            DataFormatError: It isn't one.
        """
        dtype, shape = read_idx_header(path)
        if dtype != np.uint8 or len(shape) < 2:  # noqa: PLR2004 - rows and columns
            raise DataFormatError(f"{path} holds {dtype} of shape {shape}: expected images, (n, h, w) unsigned bytes.")
        self.n_rows, self.n_columns = shape[0], math.prod(shape[1:])
        self.image_shape = (shape[1], shape[2]) if len(shape) == 3 else None  # noqa: PLR2004 - images
        self.scale = scale
        self.dtype = np.dtype(np.float32)
        self._path = Path(path)
        self._offset = 4 + 4 * len(shape)

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """See `RowBlocks.block`."""
        size = (stop - start) * self.n_columns
        if getattr(_buffers, "bytes", None) is None or len(_buffers.bytes) < size:
            _buffers.bytes = np.empty(size, np.uint8)
        read: NDArray[np.uint8] = _buffers.bytes[:size]
        self._read([(start, read)])
        np.copyto(buffer[: stop - start], read.reshape(stop - start, self.n_columns))
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        taken = np.empty((len(rows), self.n_columns), np.uint8)
        self._read([(int(row), taken[i]) for i, row in enumerate(rows)])
        return taken

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return rows ``start`` to ``stop`` as they are stored, ``(stop - start, d) uint8``."""
        rows = np.empty((stop - start, self.n_columns), np.uint8)
        self._read([(start, rows.reshape(-1))])
        return rows

    def _read(self, parts: Sequence[tuple[int, NDArray[np.uint8]]]) -> None:
        """Fill each array with the bytes from a row on."""
        with self._path.open("rb", buffering=0) as file:
            for start, part in parts:
                file.seek(self._offset + start * self.n_columns)
                view, done = memoryview(part), 0  # type: ignore[arg-type] # an array is a buffer, which Python 3.12 has a type for
                while done < len(view):
                    count = file.readinto(view[done:])
                    if not count:
                        raise DataFormatError(f"{self._path} has become shorter while it was read.")
                    done += count


class SelectedRows(RowBlocks):
    """Some rows of other `RowBlocks`, in a given order; they are read when a block is."""

    def __init__(self, rows: RowBlocks, selected: NDArray[np.intp]) -> None:
        """Select by number: ``selected`` is ``(n,)``; each may occur more than once."""
        self.n_rows, self.n_columns = len(selected), rows.n_columns
        self.scale, self.dtype, self.image_shape = rows.scale, rows.dtype, rows.image_shape
        self._rows, self._selected = rows, selected

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """See `RowBlocks.block`."""
        np.copyto(buffer[: stop - start], self._rows.take(self._selected[start:stop]))
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        return self._rows.take(self._selected[rows])


class TransformedRows(RowBlocks):
    """Features of other `RowBlocks`, computed anew for each block: memory doesn't grow with the rows."""

    def __init__(
        self, rows: RowBlocks, transform: Callable[[NDArray[np.floating]], NDArray[np.floating]], n_columns: int
    ) -> None:
        """Transform ``rows``.

        Args:
            rows: What to transform.
            transform: From ``(b, d)``, scaled, to ``(b, n_columns) float32``, row by row; called from several threads.
            n_columns: How many features there are.
        """
        self.n_rows, self.n_columns = rows.n_rows, n_columns
        self.scale, self.dtype = 1.0, np.dtype(np.float32)
        self._rows, self._transform = rows, transform

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """See `RowBlocks.block`."""
        np.copyto(buffer[: stop - start], self._transform(scaled_block(self._rows, start, stop)))
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        features: NDArray[np.generic] = self._transform(scaled_rows(self._rows, rows))
        return features


def scaled_block(rows: RowBlocks, start: int, stop: int) -> NDArray[np.floating]:
    """Return rows ``start`` to ``stop`` with their scale, in a buffer of their own or as a view; not to be written."""
    block = rows.block(start, stop, np.empty((stop - start, rows.n_columns), rows.dtype))
    return _scaled(rows, block)


def scaled_rows(rows: RowBlocks, numbers: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return the given rows with their scale, ``(len(numbers), d)``, in the blocks' type."""
    return _scaled(rows, rows.take(numbers).astype(rows.dtype, copy=False))


def _scaled(rows: RowBlocks, values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values if rows.scale == 1 else values * rows.dtype.type(rows.scale)
