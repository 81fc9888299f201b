"""CSV files of labels and pixels, a row per image, as competitions have them."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from attrs import frozen

from mnistkit.data.conversion import as_shape
from mnistkit.data.importing.columns import Columns, find_columns, find_label
from mnistkit.data.importing.csv_rows import RowParser, read_row
from mnistkit.data.importing.outcome import Imported
from mnistkit.data.importing.spool import ImageSpool
from mnistkit.data.importing.tables import Content, Paths, Table, as_paths, can_not_read, import_tables, stem
from mnistkit.errors import DataFormatError, NotFoundError
from mnistkit.utils import progress
from mnistkit.utils.regular import open_file

__all__ = ["import_csv"]

_BLOCK_BYTES = 1 << 19  # the arrays that it becomes stay in the processor's cache
_MAX_LINE_BYTES = 16 << 20
_DELIMITERS = ",;\t"
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_MIN_COLUMNS = 2


def import_csv(
    files: Paths,
    out: str | os.PathLike[str],
    *,
    test: Paths | None = None,
    label: str | None = None,
    header: bool | None = None,
    shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Imported:
    """Turn CSV files into a dataset: four IDX files and a ``dataset.json`` with the names of the classes.

    A row has a label and the pixels of an image, row by row: whole numbers in 0..255, or fractions of which none is
    above 1, which are multiplied by 255. Cells are separated by commas, semicolons or tabs; files may be gzip.
    Columns that pandas writes for its index are unused, and numbered columns, such as ``pixel0``, are put in order.

    Memory is bounded, whatever the size of the files. Progress is reported in bytes of the files; interrupted or
    refused, it leaves nothing. The same files and arguments give the same dataset, byte for byte.

    Args:
        files: One file, or several that are read one after the other.
        out: The folder to make; it isn't there yet, or is empty.
        test: Files with the images to test on; None to choose a share of each class.
        label: The column of labels: its name, ``"first"`` or ``"last"``; None for one that is named ``label`` or
            ``class``, else the first.
        header: The first line has the names of the columns; None to find out.
        shape: ``(h, w)`` of the images; None for squares.
        class_names: One per label, label 0 first; None for the labels themselves.
        test_fraction: The share of each class that becomes the test split; None for 0.2.
        seed: Chooses the test split.
        name: Of the dataset; None for the first file's.

    Raises:
        NotFoundError: There is no such file.
        UsageError: An argument can't be right, or ``out`` is there already.
        DataFormatError: A cell isn't what it should be; the message has file, line and column.
        StorageError: ``out`` can't be written, or a file can't be read.
    """
    shape = as_shape(shape)
    options = _Options(label, header, shape)
    paths = as_paths(files)
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
    label: str | None
    header: bool | None
    shape: tuple[int, int] | None


def _table(paths: Sequence[Path], options: _Options) -> Table:
    def read(spool: ImageSpool) -> Content:
        columns: Columns | None = None
        parts = []
        for path in paths:
            try:
                columns, labels = _read(path, spool, options)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataFormatError(f"{path} is damaged: {error}.") from error
            except FileNotFoundError as error:
                raise NotFoundError(f"There is no file {path!s:.500}: name a CSV file.") from error
            except OSError as error:
                raise can_not_read(path, error) from error
            parts.append(labels)
        return Content(
            labels=np.concatenate(parts),
            is_guess=columns is not None and columns.is_guess,
            unused=columns.unused if columns else (),
        )

    return Table(paths[0].name, read)


def _read(path: Path, spool: ImageSpool, options: _Options) -> tuple[Columns, np.ndarray]:
    """Append the images of one file, and return its columns and labels."""
    with open_file(path) as raw:
        total, is_gzip = os.fstat(raw.fileno()).st_size, raw.peek(2)[:2] == _GZIP_MAGIC
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
        try:
            parser: RowParser | None = None
            for line, block in _blocks(stream, path):
                if parser is None:
                    block = block.removeprefix(_BOM)  # noqa: PLW2901
                    parser, n_skipped = _start(path, block, options)
                    block = block.split(b"\n", n_skipped)[n_skipped]  # noqa: PLW2901 - without the header
                    line += n_skipped  # noqa: PLW2901
                if block:
                    spool.append(parser.parse(block, line).reshape(-1, *parser.columns.shape))
                progress.report(progress.Step(path.name, raw.tell(), total))
        finally:
            progress.report(progress.Step(path.name, total, total, finished=True))
    if parser is None:
        raise DataFormatError(f"{path} is empty.")
    return parser.columns, _labels(parser)


def _blocks(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines with the number of their first."""
    line, rest = 1, b""
    while piece := stream.read(_BLOCK_BYTES):
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            yield line, rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > _MAX_LINE_BYTES:
            raise DataFormatError(f"{path}, line {line}: it is longer than {_MAX_LINE_BYTES} bytes. Is it a CSV file?")
    if rest:
        yield line, rest + b"\n"


def _start(path: Path, block: bytes, options: _Options) -> tuple[RowParser, int]:
    """Return the parser of a file, and how many of its first lines hold no image."""
    first = block.partition(b"\n")[0].rstrip(b"\r")
    if b"\0" in block[:_BLOCK_BYTES]:
        raise DataFormatError(f"{path} is no CSV file in UTF-8: it holds null bytes.")
    delimiter = max(_DELIMITERS, key=lambda mark: first.count(mark.encode()))
    try:
        cells = read_row(first, delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataFormatError(f"{path}, line 1: {error}. Save the file as CSV in UTF-8.") from error
    if len(cells) < _MIN_COLUMNS:
        raise DataFormatError(
            f"{path}, line 1: expected a label and pixels with commas between them, got {first!r:.60}."
        )
    has_header = _is_header(cells, options.label) if options.header is None else options.header
    if has_header:
        label, is_guess = find_label(cells, options.label, path.name), False
    else:
        label, is_guess = _unnamed_label(cells, options.label, path)
    names = [cell.strip() for cell in cells] if has_header else []
    columns = find_columns(names, len(cells), label, options.shape, path.name, is_guess=is_guess)
    return RowParser(str(path), columns, delimiter), int(has_header)


def _is_header(cells: Sequence[str], label: str | None) -> bool:
    """Return True if the first line names the columns: its texts are more than one label, or it counts."""
    texts = [cell for cell in cells if not _is_number(cell)]
    if label in cells and label not in {"first", "last"}:
        return True
    numbers = [cell for cell in cells if _is_number(cell)]
    counts = len(numbers) > _MIN_COLUMNS and numbers == [str(i) for i in range(len(numbers))]  # pandas' own names
    return len(texts) > 1 or counts


def _unnamed_label(cells: Sequence[str], label: str | None, path: Path) -> tuple[int, bool]:
    if label in {"first", "last"}:
        return (0 if label == "first" else len(cells) - 1), False
    if label is not None:
        raise DataFormatError(
            f"{path} has no column {label!r}: its first line has no names. Name the column as 'first' or 'last'."
        )
    texts = [place for place in (0, len(cells) - 1) if not _is_number(cells[place])]
    return (texts[0], False) if texts else (0, True)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _labels(parser: RowParser) -> np.ndarray:
    """Return the labels as whole numbers if all are that, also such as 5.0; else as texts."""
    texts = list(parser.texts)
    numbers = [float(text) if _is_number(text) else np.nan for text in texts]
    is_whole = all(np.isfinite(number) and number == round(number) for number in numbers)
    values = np.array([int(number) for number in numbers]) if is_whole else np.array(texts, dtype=np.str_)
    return values[np.array(parser.labels, dtype=np.int64)]
