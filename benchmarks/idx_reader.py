"""How long reading MNIST's gzip files takes, next to the way in which the tutorial reads them."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Result, compare

from mnistkit import Dataset, load_dataset
from mnistkit.dataset import Split, find_idx_files
from mnistkit.errors import DataError
from mnistkit.idx import read_idx, write_idx

__all__ = ["results"]


def results(*, quick: bool) -> Iterator[Result]:
    """Two comparisons: the training images to uint8, and all four files to what a classifier takes."""
    n = 3 if quick else 11
    dataset, name = _mnist()
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        folder = Path(temporary)
        _write(dataset, folder)
        files = find_idx_files(folder)
        images = files["train-images"]
        yield compare(
            f"training images of {name}, .gz to uint8",
            ("gzip + struct + frombuffer", lambda: _tutorial_load(images, labels=False)),
            ("read_idx", lambda: read_idx(images)),
            n=n,
        )
        yield compare(
            f"all of {name}, .gz to X and y",
            ("the tutorial's, float64", lambda: _tutorial_arrays(files)),
            ("Dataset.as_sklearn, float32", lambda: Dataset.from_folder(folder).as_sklearn()),
            n=n,
        )


def _mnist() -> tuple[Dataset, str]:
    """The real MNIST; noise of its size and about its compressibility where it can't be had."""
    try:
        return load_dataset("mnist"), "MNIST"
    except DataError:
        rng = np.random.default_rng(0)

        def split(n: int) -> Split:
            images = np.zeros((n, 28, 28), np.uint8)
            images[:, 6:22, 9:19] = rng.integers(0, 200, (n, 16, 10), dtype=np.uint8)
            return Split(images=images, labels=rng.integers(0, 10, n).astype(np.uint8))

        names = tuple("0123456789")
        noise = Dataset(
            name="noise", version="1", uri="noise", class_names=names, train=split(60000), test=split(10000)
        )
        return noise, "noise of MNIST's size"


def _write(dataset: Dataset, folder: Path) -> None:
    for part, split in (("train", dataset.train), ("t10k", dataset.test)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", split.images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", split.labels)


def _tutorial_load(path: Path, *, labels: bool) -> np.ndarray:
    """An equivalent of the ``load_data`` of the tutorial's ``utils.py``."""
    with gzip.open(path) as stream:
        stream.read(4)
        (n,) = struct.unpack(">I", stream.read(4))
        if labels:
            return np.frombuffer(stream.read(n), np.uint8).reshape(n, 1)
        rows, columns = struct.unpack(">II", stream.read(8))
        return np.frombuffer(stream.read(n * rows * columns), np.uint8).reshape(n, rows * columns)


def _tutorial_arrays(files: dict[str, Path]) -> list[np.ndarray]:
    scaled = [_tutorial_load(files[f"{part}-images"], labels=False) / 255.0 for part in ("train", "test")]
    return scaled + [_tutorial_load(files[f"{part}-labels"], labels=True).reshape(-1) for part in ("train", "test")]
