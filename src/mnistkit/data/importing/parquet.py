"""Parquet files, as Hugging Face has datasets: encoded images or lists of pixels, with a label. Needs pyarrow."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.conversion import as_shape, check_numbers, image_shape
from mnistkit.data.image_folder.fitting import resized
from mnistkit.data.image_folder.reading import read_grey
from mnistkit.data.importing.columns import find_columns, find_label
from mnistkit.data.importing.outcome import Imported, LeftOut
from mnistkit.data.importing.spool import ImageSpool
from mnistkit.data.importing.tables import Content, Paths, Table, as_paths, can_not_read, import_tables, stem
from mnistkit.errors import DataFormatError, MissingExtraError, NotFoundError
from mnistkit.utils import progress
from mnistkit.utils.regular import open_file

__all__ = ["import_parquet"]

_BATCH_ROWS = 1024
_IMAGE_NAMES = ("image", "images", "img", "pixels", "picture", "x")


def import_parquet(
    files: Paths,
    out: str | os.PathLike[str],
    *,
    test: Paths | None = None,
    image: str | None = None,
    label: str | None = None,
    shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Imported:
    """Turn parquet files, such as Hugging Face's, into a dataset: four IDX files and a ``dataset.json``.

    The images are a column of encoded files (PNG, JPEG or BMP; bytes, or a struct with ``bytes``), a column of lists of
    pixels, or a column per pixel. Encoded images need Pillow; one that can't be decoded is left out and listed.
    Memory is bounded. Progress is reported in bytes; interrupted or refused, it leaves nothing.

    Args:
        files: One file, or several that are read one after the other.
        out: The folder to make; it isn't there yet, or is empty.
        test: Files with the images to test on; None to choose a share of each class.
        image: The column of images; None for one that is named ``image`` or the like.
        label: The column of labels; None for one that is named ``label`` or the like.
        shape: ``(h, w)`` of the images: encoded ones are scaled to it, in their proportions; None for the size of the
            first, or for squares of flat pixels.
        class_names: One per label, label 0 first; None for those that Hugging Face's metadata has, else the labels.
        test_fraction: The share of each class that becomes the test split; None for 0.2.
        seed: Chooses the test split.
        name: Of the dataset; None for the first file's.

    Raises:
        MissingExtraError: pyarrow isn't installed, or Pillow for encoded images.
        NotFoundError: There is no such file.
        UsageError: An argument can't be right, or ``out`` is there already.
        DataFormatError: A file isn't parquet, or has no such columns.
        StorageError: ``out`` can't be written, or a file can't be read.
    """
    shape = as_shape(shape)
    _pyarrow()
    paths, options = as_paths(files), _Options(image, label, shape)
    return import_tables(
        _table(paths, options),
        None if test is None else _table(as_paths(test), options),
        out,
        name=name or stem(paths[0]),
        class_names=class_names,
        test_fraction=test_fraction,
        seed=seed,
    )


@frozen
class _Options:
    image: str | None
    label: str | None
    shape: tuple[int, int] | None


@frozen
class _Layout:
    """Which columns are read.

    Attributes:
        label: The column of labels.
        images: The column of images; or one per pixel.
        shape: ``(h, w)`` as far as it is known.
    """

    label: str
    images: tuple[str, ...]
    shape: tuple[int, int] | None


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Reading parquet needs pyarrow: python -m pip install 'mnistkit[parquet]'.") from error
    return pa


def _table(paths: Sequence[Path], options: _Options) -> Table:
    def read(spool: ImageSpool) -> Content:
        labels: list[Any] = []
        left_out: list[LeftOut] = []
        class_names: tuple[str, ...] | None = None
        unused: tuple[str, ...] = ()
        for path in paths:
            try:
                class_names, unused = _read(path, spool, options, labels, left_out)
            except FileNotFoundError as error:
                raise NotFoundError(f"There is no file {path!s:.500}: name a parquet file.") from error
            except (_pyarrow().ArrowException, EOFError) as error:
                raise DataFormatError(f"{path} is no parquet file that can be read: {error!s:.200}.") from error
            except (IsADirectoryError, PermissionError) as error:
                raise can_not_read(path, error) from error
        return Content(labels=labels, class_names=class_names, unused=unused, left_out=tuple(left_out))

    return Table(paths[0].name, read)


def _read(
    path: Path, spool: ImageSpool, options: _Options, labels: list[Any], left_out: list[LeftOut]
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Append the images of one file and their labels; return the names of the classes, and the unused columns."""
    pa = _pyarrow()
    with open_file(path) as stream, pa.parquet.ParquetFile(stream) as file:
        schema, total, row = file.schema_arrow, path.stat().st_size, 0
        layout = _layout(schema, options, path)
        wanted = [*layout.images, layout.label]
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                column = batch.column(batch.schema.get_field_index(layout.label)).to_pylist()
                for i, image in enumerate(_images(batch, layout, spool.shape, path, row)):
                    if isinstance(image, LeftOut):
                        left_out.append(image)
                        continue
                    spool.append(image[None])
                    labels.append(column[i])
                row += batch.num_rows
                progress.report(progress.Step(path.name, total * row // max(file.metadata.num_rows, 1), total))
        finally:
            progress.report(progress.Step(path.name, total, total, finished=True))
        return _class_names(schema, layout.label), tuple(each for each in schema.names if each not in wanted)


def _layout(schema: Any, options: _Options, path: Path) -> _Layout:
    names = list(schema.names)
    label = names[find_label(names, options.label, path.name)]
    usual = [each for each in names if each.lower() in _IMAGE_NAMES and each != label]
    image = options.image or (usual[0] if usual else None)
    if image is not None and image not in names:
        raise DataFormatError(f"{path.name} has no column {image!r}: its columns are {', '.join(names[:10])}.")
    if image is not None:
        return _Layout(label, (image,), options.shape)
    columns = find_columns(names, len(names), names.index(label), options.shape, path.name)
    return _Layout(label, tuple(names[i] for i in columns.pixels), columns.shape)


def _images(
    batch: Any, layout: _Layout, first: tuple[int, int] | None, path: Path, row: int
) -> Iterator[NDArray[Any] | LeftOut]:
    """Yield the images of some rows; what can't be decoded as the reason why."""
    if len(layout.images) > 1:
        pixels = np.column_stack([batch.column(batch.schema.get_field_index(each)) for each in layout.images])
        check_numbers(pixels.dtype, path.name)
        yield from pixels.reshape(len(pixels), *(layout.shape or (1, len(layout.images))))
        return
    for i, value in enumerate(batch.column(batch.schema.get_field_index(layout.images[0])).to_pylist()):
        where = f"{path.name}, row {row + i}"
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            yield LeftOut(where, "has no image; a path to a file elsewhere is no image")
        elif isinstance(data, bytes):
            try:
                image = read_grey(io.BytesIO(data), name=where)
            except DataFormatError as error:
                yield LeftOut(where, str(error).removeprefix(f"{where} ").rstrip("."))
                continue
            first = layout.shape or first or (image.shape[0], image.shape[1])
            yield resized(image, first)
        else:
            yield _from_list(data, layout.shape, where)


def _from_list(values: Any, shape: tuple[int, int] | None, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataFormatError(f"{where}: the image is no array of numbers: {error}.") from error
    if array.dtype.kind not in "buif":
        raise DataFormatError(f"{where}: the image is no array of numbers: it holds {array.dtype} values.")
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:  # noqa: PLR2004 - a pixel
        array = array.astype(np.uint8)
    h, w = image_shape((1, *array.shape), shape, where)
    image: NDArray[Any] = array.reshape(h, w)
    return image


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """Return the names of the classes from Hugging Face's metadata; None if it has none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(names) if isinstance(names, list) and names and all(isinstance(each, str) for each in names) else None
