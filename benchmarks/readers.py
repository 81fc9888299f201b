"""Reading the whole MNIST as uint8 arrays, next to the ways of torchvision's MNIST and Keras's.

torchvision and Keras are not needed here: these are equivalents in numpy of what their datasets do.

- torchvision's checks a .gz file's md5 and unpacks it, once. Each later time it reads the plain file whole, copies it
  into an array, and makes the labels int64; nothing is verified then.
- Keras's checks the sha256 of the compressed .npz and reads its four arrays.

The share of verification is that of its digests, computed alone from bytes in memory, in CPU seconds of a read.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, compare

from data import mnist, write_files
from mnistkit import Dataset
from mnistkit.data.decompressed import DECODED
from mnistkit.data.manifest import DatasetManifest
from mnistkit.utils.files import file_info

__all__ = ["results"]

_CHUNK_BYTES = 4 << 20  # of which each has a digest


def results(*, quick: bool) -> Iterator[Result]:
    """The first read, later ones, and later ones up to what a classifier takes."""
    n = 1 if quick else 11
    dataset = mnist(2000 if quick else None)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder, unpacked, npz = Path(name, "gz"), Path(name, "raw"), Path(name, "mnist.npz")
        folder.mkdir()
        packed = write_files(dataset, folder, ".gz")
        files = {path.name: file_info(path) for path in packed}
        DatasetManifest(name=dataset.name, class_names=dataset.class_names, files=files).write(folder)
        (x_train, y_train), (x_test, y_test) = dataset.arrays()
        np.savez_compressed(npz, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

        def read() -> Dataset:
            return Dataset.from_folder(folder, owned=True)

        def forget() -> None:
            shutil.rmtree(folder / DECODED, ignore_errors=True)

        first = ("torchvision's way: md5, unpack, read", lambda: _read_plain(_unpack(packed, unpacked)))
        kept = ("first read, verified, kept for later", read)
        yield compare("MNIST, first read of the .gz files", first, kept, n=n, between=forget)
        read()
        plain = _unpack(packed, unpacked)
        torchvision = ("torchvision's way: plain files", lambda: _read_plain(plain))
        keras = ("Keras's way: sha256, .npz", lambda: _read_npz(npz))
        later = ("later read, verified, memory-mapped", read)
        digests = _Digests(packed, plain)
        for label, run, verify in (("first", read, digests.of_first), ("later", read, digests.of_later)):
            between = forget if label == "first" else lambda: None
            a_seconds, b_seconds = zip(*((between(), _cpu(run), _cpu(verify))[1:] for _ in range(n)), strict=True)
            what = f"MNIST, a {label} read, CPU seconds"
            yield Result(what=what, a="the read", b="its digests alone", a_seconds=a_seconds, b_seconds=b_seconds)
        for way in (torchvision, keras):
            yield compare("MNIST, a later read", way, later, n=n)
        floats = ("later read, as_sklearn()", lambda: read().as_sklearn())
        for label, arrays in (torchvision, keras):
            scaled = (f"{label}, / 255 as float32", lambda arrays=arrays: _scaled(arrays()))
            yield compare("MNIST, a later read to float32 X and y", scaled, floats, n=n)


class _Digests:
    """What a read computes to verify, without the read: from bytes that are in memory."""

    def __init__(self, packed: Sequence[Path], plain: Sequence[Path]) -> None:
        self._packed = [path.read_bytes() for path in packed]
        self._plain = [path.read_bytes() for path in plain]
        fast = importlib.util.find_spec("blake3") is not None
        self._new = importlib.import_module("blake3").blake3 if fast else hashlib.sha256

    def of_first(self) -> None:
        """The sha256 of each .gz, by which it is verified, and the digests that are kept for later reads."""
        for data in self._packed:
            hashlib.sha256(data).digest()
        self.of_later()

    def of_later(self) -> None:
        """The digest of each 4 MiB of what the files hold."""
        for data in self._plain:
            for start in range(0, len(data), _CHUNK_BYTES):
                self._new(memoryview(data)[start : start + _CHUNK_BYTES]).digest()


def _cpu(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


def _unpack(packed: Sequence[Path], folder: Path) -> list[Path]:
    """As torchvision unpacks what it has just downloaded: the md5 of each file, then gzip into a plain one."""
    folder.mkdir(exist_ok=True)
    plain = [folder / path.stem for path in packed]
    for source, target in zip(packed, plain, strict=True):
        digest = hashlib.md5(usedforsecurity=False)
        with source.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        with gzip.open(source) as stream, target.open("wb") as file:
            shutil.copyfileobj(stream, file)
    return plain


def _read_plain(paths: Sequence[Path]) -> list[Any]:
    """As torchvision reads: the whole file, a copy of it that can be written to, a view; labels as int64."""
    arrays = []
    for path in paths:
        data = path.read_bytes()
        dimensions = data[3]
        shape = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1)]
        array = np.frombuffer(bytearray(data), np.uint8, offset=4 * (dimensions + 1)).reshape(shape)
        arrays.append(array if dimensions > 1 else array.astype(np.int64))
    return arrays


def _read_npz(path: Path) -> list[Any]:
    """As Keras reads: the file's sha256, then its four arrays, inflated."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 16):
            digest.update(chunk)
    with np.load(path) as arrays:
        return [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def _scaled(arrays: list[Any]) -> list[Any]:
    x_train, y_train, x_test, y_test = arrays
    train, test = (np.divide(x.reshape(len(x), -1), np.float32(255), dtype=np.float32) for x in (x_train, x_test))
    return [train, y_train, test, y_test]
