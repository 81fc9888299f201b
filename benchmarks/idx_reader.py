"""How long reading MNIST's gzip files takes, next to the way in which the tutorial reads them.

The tutorial's way is its ``load_data`` on the four files and ``/ 255.0``: no file is verified, all pixels are float64.
Here a read ends with a `Dataset`: verified, uint8; what a classifier takes is made of it by ``as_sklearn``.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Result, compare

from mnistkit import Dataset, load_dataset
from mnistkit.data.decompressed import DECODED
from mnistkit.data.idx import read_idx, write_idx
from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.split import Split
from mnistkit.errors import DataError
from mnistkit.utils.files import file_info

__all__ = ["results"]


def results(*, quick: bool) -> Iterator[Result]:
    """The training images alone; then all four files: the first read, later ones, and up to what a classifier takes."""
    n = 3 if quick else 11
    dataset, name = _mnist()
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        folder = Path(temporary)
        _write(dataset, folder)
        files = find_idx_files(folder)
        images = files["train-images"]

        def read() -> Dataset:
            return Dataset.from_folder(folder, owned=True)

        def forget() -> None:
            shutil.rmtree(folder / DECODED, ignore_errors=True)

        yield compare(
            f"training images of {name}, .gz to uint8",
            ("gzip + struct + frombuffer", lambda: _tutorial_load(images, labels=False)),
            ("read_idx", lambda: read_idx(images)),
            n=n,
        )
        tutorial = ("the tutorial's loading, unverified", lambda: _tutorial_arrays(files))
        every = f"all of {name} from .gz"
        kept = ("first read, verified, kept for later", read)
        yield compare(every, tutorial, kept, n=n, between=forget)
        yield compare(every, tutorial, ("first read, verified, nothing kept", lambda: Dataset.from_folder(folder)), n=n)
        read()
        yield compare(every, tutorial, ("later read, verified", read), n=n)
        yield compare(
            f"{every} to X and y, float64 and float32", tutorial, ("later read", lambda: read().as_sklearn()), n=n
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
    files = {path.name: file_info(path) for path in folder.iterdir()}
    DatasetManifest(name=dataset.name, class_names=dataset.class_names, files=files).write(folder)


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
