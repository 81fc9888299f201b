"""The training matrix as blocks of rows: in memory, or in a file that never is in memory as a whole."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import read_idx_header
from mnistkit.errors import DataFormatError

__all__ = ["ArrayRows", "FileRows", "RowBlocks"]


class RowBlocks(ABC):
    """A matrix ``(n, d)`` that is read in blocks of rows; its values are ``scale`` times what the blocks hold.

    Solvers fold the scale into their weights: bytes are never multiplied one by one.

    Attributes:
        n_rows: n.
        n_columns: d.
        scale: What the blocks' values are to be multiplied by.
        dtype: The floating type of the blocks.
    """

    n_rows: int
    n_columns: int
    scale: float
    dtype: np.dtype[np.floating]

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
        """Wrap ``array``, ``(n, d)``; it isn't copied."""
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
