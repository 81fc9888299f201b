"""From the images and labels of any file to a dataset: split, written as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.idx import idx_header, write_idx
from mnistkit.data.image_folder.folders import new_folder
from mnistkit.data.image_folder.preparation import count_light
from mnistkit.data.importing.outcome import Imported, LeftOut
from mnistkit.data.importing.spool import ImageSpool
from mnistkit.data.labels import as_labels
from mnistkit.data.layout import idx_name
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.splitting import DEFAULT_TEST_FRACTION, check_fraction, check_seed, choose_test
from mnistkit.errors import DataFormatError, StorageError, UsageError
from mnistkit.utils.files import FileInfo, file_info

__all__ = ["Content", "Paths", "Table", "as_paths", "can_not_read", "import_tables", "stem"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file, or several that are read one after the other."""


@frozen(kw_only=True)
class Content:
    """The content of a file beside its images.

    Attributes:
        labels: ``(n,)`` whole numbers or texts, one per image.
        class_names: One per label, if the file has them.
        is_guess: Nothing in the file says that these are the labels.
        unused: Columns or arrays that are neither images nor labels.
        left_out: Images that couldn't be read.
    """

    labels: Any
    class_names: tuple[str, ...] | None = None
    is_guess: bool = False
    unused: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@frozen
class Table:
    """Images with their labels, in one or more files.

    Attributes:
        name: Of the images, for messages.
        read: Appends the images to a spool, and returns the rest.
        labels_name: Of the labels, for messages; that of the images if empty.
    """

    name: str
    read: Callable[[ImageSpool], Content]
    labels_name: str = ""


def import_tables(
    train: Table,
    test: Table | None,
    out: str | os.PathLike[str],
    *,
    name: str,
    class_names: Sequence[str] | None,
    test_fraction: float | None,
    seed: int,
) -> Imported:
    """Make a dataset of what tables hold: four IDX files and a ``dataset.json``.

    Args:
        train: The images to train on; and to choose the test split from, if there is no other.
        test: The images to test on; None to choose them.
        out: The folder to make; it isn't there yet, or is empty.
        name: Of the dataset.
        class_names: One per label, label 0 first; None for what the table has, else the labels themselves.
        test_fraction: The share of each class that becomes the test split; None for 0.2.
        seed: Chooses the test split.

    Raises:
        UsageError: There are test images and a share of them, or ``out`` is there already. Nothing was written.
        DataFormatError: A table doesn't hold images and labels that make a dataset. Nothing was written.
        StorageError: ``out`` can't be written, or a file can't be read.
    """
    if test is not None and test_fraction is not None:
        raise UsageError(f"{test.name} has the test images: leave test_fraction={test_fraction} out.")
    fraction = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    check_fraction(fraction)
    check_seed(seed)
    out = Path(out)
    with new_folder(out) as staging:
        tables = [train] if test is None else [train, test]
        spools = [ImageSpool(staging / f".{i}.pixels", table.name) for i, table in enumerate(tables)]
        contents = [_read(table, spool) for table, spool in zip(tables, spools, strict=True)]
        _check_sizes(spools)
        labels, names = _labels(contents, class_names, [table.labels_name or table.name for table in tables])
        if test is None:
            is_test = choose_test(labels[0], fraction, seed)
            if not is_test.any():
                raise DataFormatError(f"{train.name}: no class has two images, one to train on and one to test on.")
        else:
            is_test = np.zeros(len(labels[0]), dtype=bool)
        writer = _Writer(staging)
        writer.write("train", spools[0], labels[0], ~is_test)
        writer.write("test", spools[-1], labels[-1], is_test if test is None else np.ones(len(labels[-1]), dtype=bool))
        for spool in spools:
            spool.path.unlink()
        DatasetManifest(name=name, class_names=names, files=writer.files).write(staging)
    train_labels = labels[0][~is_test]
    return Imported(
        folder=out.absolute(),
        class_names=names,
        train=len(train_labels),
        test=int(is_test.sum()) if test is None else len(labels[-1]),
        light=writer.n_light,
        brightest=writer.brightest,
        unseen=tuple(each for label, each in enumerate(names) if label not in train_labels),
        left_out=tuple(each for content in contents for each in content.left_out),
        unused=tuple(dict.fromkeys(each for content in contents for each in content.unused)),
    )


def as_paths(files: Paths) -> tuple[Path, ...]:
    """Return one or several paths as a tuple.

    Raises:
        UsageError: There is none.
    """
    paths = (Path(files),) if isinstance(files, (str, os.PathLike)) else tuple(map(Path, files))
    if not paths:
        raise UsageError("There is no file to import: name at least one.")
    return paths


def stem(path: Path) -> str:
    """Return a file's name without its endings, as the name of a dataset: ``train`` of ``train.csv.gz``."""
    name = path.name
    while Path(name).suffix.lower() in {".csv", ".gz", ".npy", ".npz", ".parquet", ".tsv", ".txt"}:
        name = Path(name).stem
    return name or "dataset"


def can_not_read(path: Path, error: OSError) -> StorageError:
    """Return the error for a file that can't be read."""
    return StorageError(f"Can't read {path!s:.500}: {error.strerror or error}. Name a file that is there and readable.")


def _read(table: Table, spool: ImageSpool) -> Content:
    content = table.read(spool)
    if not len(spool):
        raise DataFormatError(f"{table.name} holds no image{_first_reason(content)}.")
    if len(content.labels) != len(spool):
        raise DataFormatError(
            f"{table.name} holds {len(spool)} images and {len(content.labels)} labels: one label per image is needed."
        )
    return content


def _first_reason(content: Content) -> str:
    return f" that can be read: {content.left_out[0].file} {content.left_out[0].reason}" if content.left_out else ""


def _check_sizes(spools: Sequence[ImageSpool]) -> None:
    shapes = [spool.shape for spool in spools if spool.shape is not None]
    if len(set(shapes)) > 1:
        (h, w), (test_h, test_w) = shapes
        raise DataFormatError(
            f"{spools[0].name} holds images of {h}x{w}, and {spools[1].name} of {test_h}x{test_w}: use one size."
        )


def _labels(
    contents: Sequence[Content], class_names: Sequence[str] | None, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    """Return labels and class names; numbers with gaps become names, if it is sure that they are the labels."""
    columns = [content.labels for content in contents]
    known = class_names if class_names is not None else contents[0].class_names
    if contents[0].is_guess:
        try:
            return as_labels(columns, known, names=[f"The first column of {name}" for name in names])
        except DataFormatError as error:
            raise DataFormatError(
                f"{error} Or say where the labels are: label='last', or the name of a column."
            ) from error
    whole = [np.asarray(column) for column in columns]
    if known is None and all(column.dtype.kind in "iu" and column.ndim == 1 for column in whole):
        found = np.unique(np.concatenate(whole))
        if found[0] < 0 or len(found) != found[-1] + 1:
            columns = [column.astype(np.str_) for column in whole]
    return as_labels(columns, known, names=names)


class _Writer:
    """Writes the IDX files of a dataset, batch by batch.

    Attributes:
        files: What was written.
        n_light: How many images are on a light ground.
        brightest: The brightest pixel.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, FileInfo] = {}
        self.n_light = 0
        self.brightest = 0

    def write(self, part: str, spool: ImageSpool, labels: NDArray[np.uint8], is_chosen: NDArray[np.bool_]) -> None:
        """Write the images of a split that are chosen, and their labels."""
        with (self._folder / idx_name(f"{part}-images")).open("wb") as stream:
            stream.write(idx_header((int(is_chosen.sum()), *(spool.shape or (0, 0)))))
            done = 0
            for batch in spool.replay():
                kept = batch[is_chosen[done : done + len(batch)]]
                done += len(batch)
                if len(kept):
                    stream.write(kept.data)
                    self.n_light += count_light(kept)
                    self.brightest = max(self.brightest, int(kept.max()))
            stream.flush()
            os.fsync(stream.fileno())
        write_idx(self._folder / idx_name(f"{part}-labels"), labels[is_chosen])
        for role in ("images", "labels"):
            file = idx_name(f"{part}-{role}")
            self.files[file] = file_info(self._folder / file)
