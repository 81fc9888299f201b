"""The training matrix as blocks of rows: in memory, or in a file that never is in memory as a whole."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import read_idx_header
from mnistkit.errors import DataFormatError

__all__ = ["ArrayRows", "FileRows", "RowBlocks", "SelectedRows", "TransformedRows", "scaled_block", "scaled_rows"]


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


class ArrayRows(RowBlocks):
    """An array in memory: floating, or ``uint8`` that becomes float32 block by block in the processor's cache."""

    def __init__(self, array: NDArray[Any], *, scale: float = 1.0) -> None:
        """Wrap ``array``, ``(n, d)``, or images ``(n, h, w)``; it isn't copied."""
        if array.ndim == 3:  # noqa: PLR2004 - images
            self.image_shape = array.shape[1:]
            array = array.reshape(len(array), -1)
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
        with self._path.open("rb") as file:
            np.copyto(buffer[: stop - start], self._read(file, start, stop - start))
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """See `RowBlocks.take`."""
        taken = np.empty((len(rows), self.n_columns), np.uint8)
        with self._path.open("rb", buffering=0) as file:
            for i, row in enumerate(rows):
                taken[i] = self._read(file, int(row), 1)
        return taken

    def _read(self, file: BinaryIO | FileIO, start: int, count: int) -> NDArray[np.uint8]:
        file.seek(self._offset + start * self.n_columns)
        data = file.read(count * self.n_columns)
        return np.frombuffer(data, np.uint8).reshape(count, self.n_columns)


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
