"""Datasets that are made from what is downloaded."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mnistkit.config import cache_folder
from mnistkit.data.dataset import Dataset
from mnistkit.data.idx import encode_idx, parse_idx
from mnistkit.data.web import CATALOG, PinnedFile, WebDataset
from mnistkit.errors import ChecksumError, DataFormatError
from support.mirrors import (
    Mirror,
    fetch,
    info,
    upright_images,
)


def test_emnist_arrives_upright_with_labels_from_0(
    mirror: Mirror, emnist: dict[str, WebDataset], tmp_path: Path
) -> None:
    """Images are turned upright, labels count from 0 with the letters as names, and one archive serves all sets."""
    for split, names in (("letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ("digits", "0123456789")):
        dataset = Dataset.from_folder(fetch(emnist[split], tmp_path / split))
        assert dataset.name == f"emnist-{split}"
        assert dataset.class_names == tuple(names)
        assert np.array_equal(dataset.train.images, upright_images())
        assert np.array_equal(dataset.test.images, upright_images()[:4])
        assert dataset.train.labels.tolist() == list(range(10))
    assert mirror.paths() == ["/good/gzip.zip"]


def test_emnist_is_mended_from_its_archive(
    mirror: Mirror, emnist: dict[str, WebDataset], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged or lost file is made again offline while the archive is there; without it the error names the file."""
    fetch(emnist["letters"], cache)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    for name in before:
        for damage in (b"", before[name][:-2], None):
            (cache / name).unlink() if damage is None else (cache / name).write_bytes(damage)
            fetch(emnist["letters"], cache)
            assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    shutil.rmtree(cache_folder() / "downloads")
    fetch(emnist["letters"], cache)
    name = "emnist-letters-train-images-idx3-ubyte"
    (cache / name).write_bytes(before[name][:-1])
    with pytest.raises(ChecksumError, match=name):
        fetch(emnist["letters"], cache)


def test_emnist_labels_out_of_range_are_refused(mirror: Mirror, emnist: dict[str, WebDataset], cache: Path) -> None:
    """Labels that don't fit the class names are an error, and no ``dataset.json`` says that the folder is complete."""
    with pytest.raises(DataFormatError, match=r"labels are 0 to 9, expected 5 to 14"):
        fetch(evolve(emnist["digits"], first_label=5), cache)
    assert not (cache / "dataset.json").exists()


def test_an_archive_without_the_members_is_refused(mirror: Mirror, emnist: dict[str, WebDataset], cache: Path) -> None:
    """A missing member is named."""
    with pytest.raises(DataFormatError, match="emnist-absent-train-images"):
        fetch(evolve(emnist["digits"], name="emnist-absent"), cache)


def test_qmnist_takes_the_class_from_the_first_column(mirror: Mirror, cache: Path) -> None:
    """The labels' eight columns become one."""
    pins = []
    for part, images in (("train", upright_images()), ("test", upright_images()[:4])):
        wide = np.random.default_rng(0).integers(0, 2**31, (len(images), 8), dtype=np.int32)
        wide[:, 0] = np.arange(len(images))
        for name, array in (
            (f"qmnist-{part}-images-idx3-ubyte.gz", images),
            (f"qmnist-{part}-labels-idx2-int.gz", wide),
        ):
            mirror.files[name] = gzip.compress(encode_idx(array))
            pins.append(PinnedFile(name, info(mirror.files[name])))
    dataset = evolve(CATALOG["qmnist"], files=tuple(pins), mirrors=(f"{mirror.url}/good",))
    fetched = Dataset.from_folder(fetch(dataset, cache))
    assert np.array_equal(fetched.train.images, upright_images())
    assert fetched.train.labels.tolist() == list(range(10))
    assert fetched.test.labels.tolist() == list(range(4))
    labels = cache / "qmnist-train-labels-idx1-ubyte"
    assert parse_idx(labels.read_bytes(), source="labels").dtype == np.uint8
