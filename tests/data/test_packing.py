"""Datasets as bytes."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.manifest import MANIFEST
from mnistkit.data.packing import pack_dataset, unpack_dataset
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, DataFormatError


@pytest.fixture
def folder(tiny_mnist: DataSource, tmp_path: Path) -> Path:
    """A folder with a dataset, to change."""
    return Path(shutil.copytree(tiny_mnist.fetch(tmp_path / "cache"), tmp_path / "data"))


def test_a_dataset_travels(folder: Path, tmp_path: Path) -> None:
    """Unpacked, it is the same dataset, its files are compressed and listed, and a second unpacking does nothing."""
    before, there = Dataset.from_folder(folder), tmp_path / "there" / "digest"
    packed = pack_dataset(folder)
    assert unpack_dataset(packed, there) == there
    after = Dataset.from_folder(there, owned=True)
    assert after.sha256 == before.sha256
    assert (after.name, after.class_names) == (before.name, before.class_names)
    assert sorted(path.name for path in there.glob("*ubyte*")) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    stamp = there.stat().st_mtime_ns
    assert unpack_dataset(b"not looked at", there) == there
    assert there.stat().st_mtime_ns == stamp
    assert len(packed) < sum(array.nbytes for s in (before.train, before.test) for array in (s.images, s.labels))


def test_the_bytes_depend_on_the_content_alone(folder: Path, tmp_path: Path) -> None:
    """A copy somewhere else, with other times, gives the same bytes; another pixel gives others."""
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / folder.name))
    assert pack_dataset(copy) == pack_dataset(folder)
    dataset = Dataset.from_folder(folder)
    images = dataset.train.images.copy()
    images[0, 0, 0] ^= 1
    changed = Dataset.from_arrays(
        images, dataset.train.labels, dataset.test.images, dataset.test.labels, name=dataset.name
    )
    for name, data in changed.files().items():
        for path in copy.rglob(f"{name}*"):
            path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    assert np.array_equal(Dataset.from_folder(copy).train.images, images)
    assert pack_dataset(copy) != pack_dataset(folder)


def test_damage_is_not_hidden(folder: Path) -> None:
    """A file that isn't the one that the manifest lists is refused: packed with a new manifest it would look right."""
    Dataset.from_folder(folder).manifest().write(folder)
    path = next(folder.glob("*train-labels*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ChecksumError, match=MANIFEST):
        pack_dataset(folder)


@pytest.mark.parametrize("kind", ["names", "links", "text"])
def test_other_archives_are_refused(tmp_path: Path, kind: str) -> None:
    """Bytes that no dataset was packed into write nothing, whatever names they hold."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("../outside" if kind == "names" else MANIFEST)
        if kind == "links":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataFormatError, match="packed dataset"):
        unpack_dataset(b"text" if kind == "text" else stream.getvalue(), tmp_path / "into" / "digest")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "into" / "digest").exists()
