"""Parts of rows: where they come from, and how a worker reads them."""

from __future__ import annotations

import os
import socket
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.idx import read_idx, write_idx
from mnistkit.errors import DataFormatError, MnistkitError, NotFoundError, StorageError, UsageError
from mnistkit.estimators.joined_rows import JoinedRows
from mnistkit.estimators.rows import ArrayRows, FileRows, RowBlocks

__all__ = ["Part", "PartInfo", "Storage", "as_part", "scale_of"]

Array = NDArray[Any]
_DTYPES = {"uint8", "float32", "float64"}


@frozen
class Storage:
    """The way a worker holds rows.

    Attributes:
        folder: Its own, for files; made when it is first needed.
        in_memory: Hold them in memory; else in files, which are read anew on each pass.
        scale: Of the rows; None for 1/255 of bytes, and 1 of floats.
    """

    folder: Path
    in_memory: bool
    scale: float | None

    def hold(self, images: Array) -> RowBlocks:
        """Return images ``(n, h, w)``, or rows ``(n, d)``, as rows."""
        if self.in_memory:
            return ArrayRows(images, scale=scale_of(images.dtype, self.scale))
        if images.dtype != np.uint8:
            raise UsageError(f"Rows of {images.dtype} can't lie in IDX files of bytes: use in_memory=True.")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{uuid.uuid4().hex}-idx3-ubyte"
        write_idx(path, images)
        return FileRows(path, scale=scale_of(images.dtype, self.scale))


@frozen(eq=False)
class PartInfo:
    """The content of a part, but for its images.

    Attributes:
        n_rows: Of it.
        row_shape: ``(h, w)`` of images, or ``(d,)``.
        dtype: In which it is stored.
        labels: ``(n,)``, or None.
    """

    n_rows: int
    row_shape: tuple[int, ...]
    dtype: str
    labels: Array | None


class Part(ABC):
    """A part of the rows, as it travels to workers."""

    is_here = False  # True if it needs no worker to be described

    @abstractmethod
    def describe(self) -> tuple[PartInfo, Array | None]:
        """Return what it holds, and its images if they had to be read for that."""

    @abstractmethod
    def read(self, start: int, stop: int, storage: Storage) -> RowBlocks:
        """Return its rows ``start`` to ``stop``."""

    def reduced(self, start: int, stop: int) -> tuple[Part, int, int]:
        """Return a part that holds no more than rows ``start`` to ``stop`` of it, and their numbers there."""
        return self, start, stop


@frozen(eq=False)
class _Arrays(Part):
    """Arrays of the program."""

    images: Array
    labels: Array | None
    is_here = True

    def describe(self) -> tuple[PartInfo, Array | None]:
        return _info(self.images, self.labels), None

    def read(self, start: int, stop: int, storage: Storage) -> RowBlocks:
        return storage.hold(self.images[start:stop])

    def reduced(self, start: int, stop: int) -> tuple[Part, int, int]:
        return _Arrays(self.images[start:stop], None), 0, stop - start


@frozen(eq=False)
class _Files(Part):
    """IDX files in a folder that the workers see: plain ones are read in place, and only the rows that are wanted."""

    images: str
    labels: str | Array | None

    def describe(self) -> tuple[PartInfo, Array | None]:
        with _files_of_workers():
            labels = read_idx(self.labels) if isinstance(self.labels, str) else self.labels
            images = read_idx(self.images) if self._is_packed else None
            rows = None if self._is_packed else FileRows(self.images)
        if rows is None:
            return _info(images, labels), images
        _check_labels(labels, rows.n_rows)
        return PartInfo(rows.n_rows, rows.image_shape or (rows.n_columns,), "uint8", labels), None

    def read(self, start: int, stop: int, storage: Storage) -> RowBlocks:
        with _files_of_workers():
            if self._is_packed:
                return storage.hold(read_idx(self.images)[start:stop])
            file = FileRows(self.images, scale=scale_of(np.dtype(np.uint8), storage.scale))
            if not storage.in_memory:
                return JoinedRows([(file, start, stop)])
            rows = file.read(start, stop)
            return storage.hold(rows if file.image_shape is None else rows.reshape(-1, *file.image_shape))

    @property
    def _is_packed(self) -> bool:
        return self.images.endswith(".gz")


@frozen(eq=False)
class _Made(Part):
    """A function that makes images, or images and labels."""

    make: Callable[[], Any]

    def describe(self) -> tuple[PartInfo, Array | None]:
        images, labels = self._made()
        return _info(images, labels), images

    def read(self, start: int, stop: int, storage: Storage) -> RowBlocks:
        images, _ = self._made()
        return storage.hold(images if (start, stop) == (0, len(images)) else images[start:stop].copy())

    def _made(self) -> tuple[Array, Any]:
        made = self.make()
        images, labels = made if isinstance(made, tuple) else (made, None)
        return np.asarray(images), labels


def scale_of(dtype: np.dtype[Any], scale: float | None) -> float:
    """Return the scale of rows that are stored in a type, if the user gave none."""
    if scale is not None:
        return scale
    return 1 / 255 if dtype == np.uint8 else 1.0


def as_part(given: Any) -> Part:
    """Return what the user gave as a part: an IDX file, an array, a pair of images and labels, or a function.

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(given, Part):
        return given
    if callable(given):
        return _Made(given)
    images, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)  # noqa: PLR2004 - a pair
    if isinstance(labels, (str, os.PathLike)):
        labels = os.fspath(labels)
    elif labels is not None:
        labels = np.asarray(labels)
    if isinstance(images, (str, os.PathLike)):
        return _Files(os.fspath(images), labels)
    if isinstance(images, np.ndarray):
        return _Arrays(images, read_idx(labels) if isinstance(labels, str) else labels)
    raise UsageError(
        f"A part is the path of an IDX file, an array, a pair of these and their labels, or a function that returns "
        f"arrays; got {type(given).__name__}."
    )


@contextmanager
def _files_of_workers() -> Iterator[None]:
    """Raise what the system raises as errors that name the file, and this worker's machine."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no file {error.filename} on {socket.gethostname()}: it must be where all workers see it."
        ) from error
    except MnistkitError:
        raise
    except OSError as error:
        raise StorageError(
            f"Can't read or write {error.filename} on {socket.gethostname()}: {error.strerror}."
        ) from error


def _info(images: Any, labels: Any) -> PartInfo:
    images = np.asarray(images)
    if images.ndim not in {2, 3} or images.dtype.name not in _DTYPES:
        raise DataFormatError(
            f"It holds {images.dtype} of shape {images.shape}: expected rows (n, d) or images (n, h, w), of uint8, "
            "float32 or float64."
        )
    labels = None if labels is None else np.asarray(labels)
    _check_labels(labels, len(images))
    return PartInfo(len(images), images.shape[1:], images.dtype.name, labels)


def _check_labels(labels: Array | None, n_rows: int) -> None:
    if labels is not None and labels.shape != (n_rows,):
        raise DataFormatError(f"It has {n_rows} rows, but labels of shape {labels.shape}.")
