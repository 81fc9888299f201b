"""IDX files made from downloads that aren't IDX files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import parse_idx, write_idx
from mnistkit.data.web.catalog import WebDataset
from mnistkit.errors import DataFormatError
from mnistkit.utils.files import FileInfo, file_info

__all__ = ["make_idx_files"]

_MAX_FILE_BYTES = 1 << 30


def make_idx_files(dataset: WebDataset, downloads: Path, into: Path) -> dict[str, FileInfo]:
    """Write the four plain IDX files of ``dataset`` into ``into``, each atomically.

    Args:
        dataset: With the recipe ``"qmnist"`` or ``"emnist"``.
        downloads: Holds its verified downloads.
        into: An existing folder.

    Returns:
        Name, size and sha256 of each file.

    Raises:
        DataFormatError: A download isn't what the recipe expects.
        OSError: ``into`` can't be written.
    """
    make = _from_archive if dataset.recipe == "emnist" else _from_wide_labels
    files = {}
    for name, array in make(dataset, downloads):
        write_idx(into / name, array)
        files[name] = file_info(into / name)
    return files


def _from_wide_labels(dataset: WebDataset, downloads: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield QMNIST's files: its labels are ``(n, 8) int32``, whose first column is the class."""
    for file in dataset.files:
        array = parse_idx((downloads / file.name).read_bytes(), source=file.name, max_bytes=_MAX_FILE_BYTES)
        name = file.name.removesuffix(".gz")
        if "-labels-" in name:
            yield name.replace("-idx2-int", "-idx1-ubyte"), _labels(array[:, 0], dataset, file.name)
        else:
            yield name, array


def _from_archive(dataset: WebDataset, downloads: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield EMNIST's files: four members of an archive, with transposed images."""
    path = downloads / dataset.files[0].name
    try:
        with zipfile.ZipFile(path) as archive:
            for part in ("train", "test"):
                for kind in ("images-idx3", "labels-idx1"):
                    name = f"{dataset.name}-{part}-{kind}-ubyte"
                    array = parse_idx(
                        archive.read(f"gzip/{name}.gz"), source=f"{path}: {name}.gz", max_bytes=_MAX_FILE_BYTES
                    )
                    yield name, array.transpose(0, 2, 1) if array.ndim == 3 else _labels(array, dataset, name)  # noqa: PLR2004 - images
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataFormatError(f"{path}: {error}. Remove it and fetch again.") from error


def _labels(labels: NDArray[np.integer], dataset: WebDataset, source: str) -> NDArray[np.uint8]:
    """Return ``labels`` counted from 0."""
    shifted = labels.astype(np.int64) - dataset.first_label
    if shifted.min() < 0 or shifted.max() >= len(dataset.class_names):
        raise DataFormatError(
            f"{source}: labels are {labels.min()} to {labels.max()}, expected {dataset.first_label} to "
            f"{dataset.first_label + len(dataset.class_names) - 1}."
        )
    return shifted.astype(np.uint8)
