"""``.npz`` archives and ``.npy`` files of images and labels. Nothing is unpickled, and no file is read as a whole."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.conversion import as_shape, check_numbers, image_shape
from mnistkit.data.importing.outcome import Imported
from mnistkit.data.importing.spool import MAX_PIXELS, ImageSpool
from mnistkit.data.importing.tables import Content, Table, can_not_read, import_tables, stem
from mnistkit.errors import DataFormatError, NotFoundError, UsageError
from mnistkit.utils import progress
from mnistkit.utils.regular import open_file

__all__ = ["import_npy", "import_npz"]

_BATCH_BYTES = 4 << 20
_MAX_LABEL_BYTES = 2**28
_USUAL_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("x", "y"),
    ("images", "labels"),
    ("data", "target"),
    ("data", "labels"),
)
_N_NAMES = (2, 4)


def import_npz(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    arrays: Sequence[str] | None = None,
    shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Imported:
    """Turn the arrays of an ``.npz`` file into a dataset: four IDX files and a ``dataset.json``.

    Images are ``(n, h, w)``, with a channel of one, or flat rows: whole numbers in 0..255, or floats of which none is
    above 1, which are multiplied by 255. Memory is bounded, unless an array is in Fortran order. Progress is reported
    in bytes; interrupted or refused, it leaves nothing. Arrays of Python objects are refused, never unpickled.

    Args:
        file: The archive.
        out: The folder to make; it isn't there yet, or is empty.
        arrays: The names of the images and the labels, and, for a test split, of those to test on; None for usual
            names, such as ``x_train, y_train, x_test, y_test``, in capitals or not.
        shape: ``(h, w)`` of the images of flat rows; None for squares.
        class_names: One per label, label 0 first; None for the labels themselves.
        test_fraction: The share of each class that becomes the test split, where there are no test images; None for
            0.2.
        seed: Chooses the test split.
        name: Of the dataset; None for the file's.

    Raises:
        NotFoundError: There is no such file.
        UsageError: An argument can't be right, or ``out`` is there already.
        DataFormatError: The arrays aren't there, aren't images and labels, or would have to be unpickled.
        StorageError: ``out`` can't be written, or the file can't be read.
    """
    shape = as_shape(shape)
    path = Path(file)
    with _opening(path), open_file(path) as raw, zipfile.ZipFile(raw) as archive:
        members = {each.removesuffix(".npy"): each for each in archive.namelist() if each.endswith(".npy")}
        chosen = _chosen(list(members), arrays, path)
        unused = tuple(each for each in members if each not in chosen)

        def table(images: str, labels: str) -> Table:
            def read(spool: ImageSpool) -> Content:
                with _opening(path), archive.open(members[images]) as stream:
                    _append(stream, spool, shape)
                with _opening(path), archive.open(members[labels]) as stream:
                    return Content(labels=_whole(stream, f"{path.name}: {labels}"), unused=unused)

            return Table(f"{path.name}: {images}", read, f"{path.name}: {labels}")

        tables = [table(*chosen[i : i + 2]) for i in range(0, len(chosen), 2)]
        return import_tables(
            tables[0], tables[1] if len(tables) > 1 else None, out, name=name or stem(path), class_names=class_names,
            test_fraction=test_fraction, seed=seed,
        )  # fmt: skip


def import_npy(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    test_images: str | os.PathLike[str] | None = None,
    test_labels: str | os.PathLike[str] | None = None,
    shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Imported:
    """Turn ``.npy`` files of images and labels into a dataset; see `import_npz` for what they may hold.

    Args:
        images: The file of images.
        labels: The file of labels.
        out: The folder to make; it isn't there yet, or is empty.
        test_images: The file of images to test on; None to choose a share of each class.
        test_labels: The file of their labels.
        shape: As in `import_npz`, like the following.
        class_names: One per label, label 0 first.
        test_fraction: The share of each class that becomes the test split.
        seed: Chooses the test split.
        name: Of the dataset; None for that of the file of images.

    Raises:
        NotFoundError: A file isn't there.
        UsageError: An argument can't be right, or ``out`` is there already.
        DataFormatError: The arrays aren't images and labels, or would have to be unpickled.
        StorageError: ``out`` can't be written, or a file can't be read.
    """
    shape = as_shape(shape)
    if (test_images is None) != (test_labels is None):
        raise UsageError("Test images and their labels come together: give both test_images and test_labels.")
    test = None
    if test_images is not None and test_labels is not None:
        test = _npy_table(Path(test_images), Path(test_labels), shape)
    return import_tables(
        _npy_table(Path(images), Path(labels), shape), test, out, name=name or stem(Path(images)),
        class_names=class_names, test_fraction=test_fraction, seed=seed,
    )  # fmt: skip


def _npy_table(images: Path, labels: Path, shape: tuple[int, int] | None) -> Table:
    def read(spool: ImageSpool) -> Content:
        with _opening(images), open_file(images) as stream:
            _append(stream, spool, shape)
        with _opening(labels), open_file(labels) as stream:
            return Content(labels=_whole(stream, labels.name))

    return Table(images.name, read, labels.name)


def _chosen(found: Sequence[str], arrays: Sequence[str] | None, path: Path) -> list[str]:
    """Return the names of images and labels, and of those to test on."""
    listed = ", ".join(found[:10]) or "none"
    if arrays is not None:
        missing = [each for each in arrays if each not in found]
        if isinstance(arrays, str) or len(arrays) not in _N_NAMES:
            raise UsageError(f"arrays={arrays!r}: name two arrays (images, labels) or four (then those to test on).")
        if missing:
            raise DataFormatError(f"{path} has no array {missing[0]!r}; it has {listed}.")
        return list(arrays)
    folded = {each.lower(): each for each in found}
    for usual in _USUAL_NAMES:
        for names in (usual, usual[:2]):
            if all(each in folded for each in names):
                return [folded[each] for each in names]
    raise DataFormatError(
        f"{path} holds the arrays {listed}: name those of images and labels, and of test images and labels if there "
        "are any, with arrays= (--arrays x,y)."
    )


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is None or Path(error.filename) != path:
            raise
        raise NotFoundError(f"There is no file {path!s:.500}: name one that is there.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataFormatError(f"{path} is damaged, or no file of arrays: {error}.") from error
    except OSError as error:
        if error.filename is None or Path(error.filename) != path:
            raise
        raise can_not_read(path, error) from error


@frozen
class _Header:
    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]


def _header(stream: IO[bytes], name: str) -> _Header:
    """Return the type and shape of an array, as its file declares them.

    Raises:
        DataFormatError: It is no array, or one of Python objects.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found = _Header(*read(stream))
    except (ValueError, SyntaxError, TypeError) as error:
        raise DataFormatError(f"{name} is no array: {error!s:.200}.") from error
    if found.dtype.hasobject:
        raise DataFormatError(
            f"{name} holds Python objects, which would have to be unpickled and could run any code: save numbers, such "
            "as images.astype('uint8')."
        )
    return found


def _append(stream: IO[bytes], spool: ImageSpool, shape: tuple[int, int] | None) -> None:
    """Append the images of an array, some at a time."""
    name = spool.name
    header = _header(stream, name)
    check_numbers(header.dtype, name)
    h, w = image_shape(header.shape, shape, name)
    n = int(np.prod(header.shape, dtype=object)) // (h * w)
    if n * h * w > MAX_PIXELS:
        raise DataFormatError(f"{name} has shape {header.shape}: a dataset may have {MAX_PIXELS} pixels.")
    row_bytes = h * w * header.dtype.itemsize
    batch = n if header.is_fortran else max(_BATCH_BYTES // row_bytes, 1)
    try:
        for start in range(0, n, batch):
            count = min(batch, n - start)
            values = np.frombuffer(_exactly(stream, count * row_bytes, name), dtype=header.dtype)
            if header.is_fortran:
                values = values.reshape(header.shape, order="F")
            spool.append(np.ascontiguousarray(values).reshape(count, h, w))
            progress.report(progress.Step(name, (start + count) * row_bytes, n * row_bytes))
    finally:
        progress.report(progress.Step(name, n * row_bytes, n * row_bytes, finished=True))


def _whole(stream: IO[bytes], name: str) -> NDArray[Any]:
    """Return an array as a whole: labels."""
    header = _header(stream, name)
    size = int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
    if size > _MAX_LABEL_BYTES:
        raise DataFormatError(f"{name} has shape {header.shape} and type {header.dtype}: that is too much for labels.")
    values = np.frombuffer(_exactly(stream, size, name), dtype=header.dtype)
    array: NDArray[Any] = values.reshape(header.shape, order="F" if header.is_fortran else "C")
    return array


def _exactly(stream: IO[bytes], size: int, name: str) -> bytes:
    """Return so many bytes; a header that claims more than there are costs no memory."""
    pieces, left = [], size
    while left and (piece := stream.read(min(left, _BATCH_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise DataFormatError(f"{name} is cut off: its header claims {left} more bytes than there are.")
    return b"".join(pieces)
