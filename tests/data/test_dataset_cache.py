"""Cached datasets: the decompressed copy is verified, made again and never trusted."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.decompressed import DECODED
from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.folders import DigitsSource
from mnistkit.data.idx import encode_idx
from mnistkit.data.layout import ROLES, find_idx_files
from mnistkit.errors import ChecksumError, DataFormatError
from mnistkit.utils.files import file_info
from support.idx_folders import NAMES, content, fill, manifest


def owned(folder: Path) -> Dataset:
    """The dataset of a cache folder."""
    return Dataset.from_folder(folder, owned=True)


def cache(folder: Path) -> Path:
    """A cache folder with four ``.gz`` files and their dataset.json."""
    fill(folder, ".gz")
    manifest(folder).write(folder)
    return folder


def kept(folder: Path, role: str = "train-images") -> Path:
    """Where what a ``.gz`` holds is kept."""
    return folder / DECODED / f"{file_info(folder / f'{NAMES[role]}.gz').sha256}.idx"


def assert_right(dataset: Dataset) -> None:
    """The dataset is the one that was filled in, and can't be written to."""
    for role, array in content().items():
        part = dataset.train if role.startswith("train") else dataset.test
        got = part.images if role.endswith("images") else part.labels
        np.testing.assert_array_equal(got, array)
        assert not got.flags.writeable


def test_later_reads_of_a_cache_do_not_inflate(tmp_path: Path) -> None:
    """What a verified .gz holds is kept beside it, hidden, and read from there: even a later loss isn't noticed."""
    folder = cache(tmp_path)
    assert_right(owned(folder))
    assert sorted((folder / DECODED).iterdir()) == sorted(kept(folder, role) for role in ROLES)
    assert find_idx_files(folder) == {role: folder / f"{name}.gz" for role, name in NAMES.items()}
    stamps = [path.stat().st_mtime_ns for path in sorted((folder / DECODED).iterdir())]
    (folder / f"{NAMES['train-images']}.gz").write_bytes(b"never looked at: fetching again is what replaces it")
    assert_right(owned(folder))
    assert [path.stat().st_mtime_ns for path in sorted((folder / DECODED).iterdir())] == stamps


@pytest.mark.parametrize("listed", [True, False])
def test_nothing_is_written_into_a_folder_of_the_users(tmp_path: Path, listed: bool) -> None:
    """A folder that isn't mnistkit's stays as it is, and so does one without hashes to verify by."""
    fill(tmp_path, ".gz")
    manifest(tmp_path, **({} if listed else {"files": {}})).write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert_right(Dataset.from_folder(tmp_path, owned=not listed))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    ],
    ids=["empty", "truncated", "header", "content"],
)
def test_damaged_kept_file_is_made_again(tmp_path: Path, role: str, damage: Callable[[bytes], bytes]) -> None:
    """A kept file that isn't bit by bit what it was is replaced from its .gz, and the right data comes back."""
    folder = cache(tmp_path)
    owned(folder)
    path = kept(folder, role)
    good = path.read_bytes()
    path.unlink()  # the dataset above maps it
    path.write_bytes(damage(good))
    assert_right(owned(folder))
    assert path.read_bytes() == good


def test_kept_files_that_were_swapped(tmp_path: Path) -> None:
    """What one .gz holds is never taken for what another holds."""
    folder = cache(tmp_path)
    owned(folder)
    one, two = kept(folder, "train-images"), kept(folder, "test-images")
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    assert_right(owned(folder))


def test_kept_files_of_an_older_gz(tmp_path: Path) -> None:
    """When a .gz is replaced by another version, the new one is read, and what the old one held is removed."""
    folder = cache(tmp_path)
    owned(folder)
    old = kept(folder, "train-labels")
    labels = content()["train-labels"][::-1].copy()
    fill(folder, ".gz", train_labels=labels)
    manifest(folder).write(folder)
    np.testing.assert_array_equal(owned(folder).train.labels, labels)
    assert not old.exists()
    assert len(list((folder / DECODED).iterdir())) == 4


def test_damaged_gz_leaves_nothing_behind(tmp_path: Path) -> None:
    """A .gz that isn't the listed one is refused on the first read, by its hash, and nothing of it is kept."""
    folder = cache(tmp_path)
    path = folder / f"{NAMES['train-images']}.gz"
    others = {kept(folder, role) for role in ROLES if role != "train-images"}
    path.write_bytes(gzip.compress(encode_idx(content()["train-images"][::-1])))
    for data in (path.read_bytes(), path.read_bytes()[:-5], b"<html>"):
        path.write_bytes(data)
        with pytest.raises(ChecksumError, match=re.escape(f"{path} isn't the file that")):
            owned(folder)
        assert set((folder / DECODED).iterdir()) <= others


def test_listed_but_malformed_gz_leaves_nothing_behind(tmp_path: Path) -> None:
    """A .gz that is the listed one but no IDX file is refused as such, and nothing of it is kept."""
    path = fill(tmp_path, ".gz") / f"{NAMES['train-images']}.gz"
    path.write_bytes(gzip.compress(encode_idx(content()["train-images"]) + b"more"))
    manifest(tmp_path).write(tmp_path)
    with pytest.raises(DataFormatError, match=re.escape(f"{path}: data: expected 400 bytes")):
        owned(tmp_path)
    assert set((tmp_path / DECODED).iterdir()) <= {kept(tmp_path, role) for role in ROLES if role != "train-images"}


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """Where nothing can be kept, data is read all the same."""
    folder = cache(tmp_path)
    (folder / DECODED).write_text("a file in the folder's place")
    for _ in range(2):
        assert_right(owned(folder))


@pytest.mark.parametrize("at", [0, 5, 100, -1])
def test_plain_file_of_a_cache_is_verified_on_every_read(tmp_path: Path, at: int) -> None:
    """A plain file is mapped, every byte of it hashed each time: damage after a good read is found."""
    fill(tmp_path)
    manifest(tmp_path).write(tmp_path)
    assert_right(owned(tmp_path))
    path = tmp_path / NAMES["train-images"]
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(ChecksumError, match=re.escape(str(path))):
        owned(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ChecksumError, match="got 0 bytes"):
        owned(tmp_path)


def test_two_processes_read_a_new_cache_at_once(tmp_path: Path) -> None:
    """Processes that read a cache for the first time at the same time all get the data, and keep it once."""
    folder = cache(tmp_path)
    expected = Dataset.from_folder(folder).sha256
    code = (
        "import sys; from pathlib import Path; from mnistkit.data.dataset import Dataset\n"
        "for _ in range(5): print(Dataset.from_folder(Path(sys.argv[1]), owned=True).sha256)\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert {line for worker in workers for line in worker.communicate(timeout=120)[0].split()} == {expected}
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert len(list((folder / DECODED).iterdir())) == 4


@pytest.mark.skipif(os.name == "nt", reason="Windows doesn't let go of a mapped file")
def test_mapped_data_survives_its_replacement(tmp_path: Path) -> None:
    """A dataset that is in use stays what it was when its files are replaced or removed, and can be pickled."""
    folder = cache(tmp_path)
    owned(folder)
    dataset = owned(folder)
    for path in [*(folder / DECODED).iterdir(), *folder.glob("*.gz")]:
        path.unlink()
    assert_right(dataset)
    assert pickle.loads(pickle.dumps(dataset)).sha256 == dataset.sha256  # noqa: S301 - our own bytes


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_files_that_others_may_write_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """What is written into such a file, or cut off it, after it was verified doesn't reach the arrays."""
    monkeypatch.setenv("MNISTKIT_CACHE", str(tmp_path))
    fetch_dataset(DigitsSource())
    path = next(tmp_path.rglob("t10k-labels-idx1-ubyte"))
    path.chmod(mode)
    labels = fetch_dataset(DigitsSource()).test.labels
    before = labels.copy()
    with path.open("r+b") as stream:
        stream.seek(8)
        stream.write(b"\x09" * 100)
    os.truncate(path, 8)
    assert (labels == before).all()
