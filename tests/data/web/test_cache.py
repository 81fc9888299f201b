"""The cache of fetched datasets: what is kept, checked, mended and swept."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mnistkit.config import cache_folder
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_folder, fetch_dataset
from mnistkit.data.idx import encode_idx
from mnistkit.data.web import WebDataset, WebSource
from mnistkit.errors import ChecksumError, DownloadError, StorageError
from mnistkit.utils import progress
from support.mirrors import (
    FILES,
    FIRST,
    PINS,
    PLAIN,
    QUICK,
    Mirror,
    assert_good,
    fetch,
    fetched_files,
    info,
    make_arrays,
    naive_fetch,
)


def test_a_fetch_writes_a_manifest_and_the_dataset_can_be_read(mirror: Mirror, cache: Path) -> None:
    """The folder reads as a dataset with its name and class names, and ``dataset.json`` has every file's hash."""
    assert fetch(mirror.dataset("good"), cache) == cache
    assert_good(cache)
    manifest = json.loads((cache / "dataset.json").read_text())
    assert manifest["files"] == {name: {"size": len(data), "sha256": info(data).sha256} for name, data in FILES.items()}
    dataset = Dataset.from_folder(cache)
    assert dataset.name == "tiny"
    assert dataset.class_names == tuple("0123456789")
    assert np.array_equal(dataset.train.images, make_arrays()["train-images-idx3-ubyte"])


def test_what_a_cached_gz_holds_is_kept_for_later_reads(mirror: Mirror) -> None:
    """It is kept, hidden, in the cache; a damaged .gz is still fetched again, and a damaged kept file made anew."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected = fetch_dataset(source).sha256
    folder = dataset_folder(source)
    kept = sorted((folder / ".decoded").iterdir())
    assert [path.stem for path in kept] == sorted(info(data).sha256 for data in FILES.values())
    for path in (folder / FIRST, kept[0]):
        path.unlink()
        path.write_bytes(b"damaged")
        assert fetch_dataset(source).sha256 == expected
        assert path.read_bytes() != b"damaged"
    assert len(mirror.requests) == len(FILES) + 1


def same_size(data: bytes) -> bytes:
    """Damage that only a hash reveals."""
    return data[:-1] + bytes([data[-1] ^ 1])


def test_what_is_read_at_once_is_hashed_once(mirror: Mirror) -> None:
    """A .gz isn't looked at where what it holds is kept; whoever is given the files still gets good ones."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source).sha256, dataset_folder(source)
    (folder / FIRST).write_bytes(same_size(FILES[FIRST]))
    assert fetch_dataset(source).sha256 == expected
    assert (folder / FIRST).read_bytes() == same_size(FILES[FIRST])
    source.fetch(folder)
    assert fetched_files(folder) == FILES
    (folder / FIRST).write_bytes(same_size(FILES[FIRST]))
    shutil.rmtree(folder / ".decoded")
    assert fetch_dataset(source).sha256 == expected
    assert fetched_files(folder) == FILES


def test_a_plain_file_that_is_damaged_is_fetched_again(mirror: Mirror) -> None:
    """Reading finds the damage by the hash, and the .gz takes the plain file's place."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    folder, plain = dataset_folder(source), FIRST.removesuffix(".gz")
    folder.mkdir(parents=True)
    (folder / plain).write_bytes(PLAIN[plain])
    expected = fetch_dataset(source).sha256
    assert f"/good/{FIRST}" not in mirror.paths()
    (folder / plain).unlink()  # the dataset maps it
    (folder / plain).write_bytes(same_size(PLAIN[plain]))
    assert fetch_dataset(source).sha256 == expected
    assert fetched_files(folder) == FILES


@pytest.mark.parametrize("change", [{"version": "2"}, {"name": "other"}, {"class_names": ("a",) * 10}, {}])
def test_what_dataset_json_says_does_not_replace_the_pins(mirror: Mirror, change: dict[str, object]) -> None:
    """A dataset.json that fits the files, but not the pins, is no reason to believe them."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source), dataset_folder(source)
    labels = "t10k-labels-idx1-ubyte.gz"
    other = gzip.compress(encode_idx(make_arrays()[labels.removesuffix(".gz")][::-1]))
    manifest = json.loads((folder / "dataset.json").read_text()) | change
    if not change:
        (folder / labels).write_bytes(other)
        manifest["files"][labels] = {"size": len(other), "sha256": info(other).sha256}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    found = fetch_dataset(source)
    assert (found.sha256, found.name, found.version) == (expected.sha256, "tiny", expected.version)
    assert found.class_names == expected.class_names
    assert fetched_files(folder) == FILES


def test_dataset_json_that_lacks_a_file_is_written_again(mirror: Mirror) -> None:
    """All four files have to be listed before they are read by the list."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source).sha256, dataset_folder(source)
    whole = (folder / "dataset.json").read_bytes()
    for files in ({}, {FIRST: json.loads(whole)["files"][FIRST]}):
        (folder / "dataset.json").write_text(json.dumps(json.loads(whole) | {"files": files}))
        assert fetch_dataset(source).sha256 == expected
        assert (folder / "dataset.json").read_bytes() == whole


@contextlib.contextmanager
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder that can't be written; who may write anywhere is at least told so when asking."""
    paths = [folder, *folder.rglob("*")]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)
        yield
    for path in paths:
        path.chmod(before[path][1])
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in [folder, *folder.rglob("*")]} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("kept", [True, False])
def test_a_complete_cache_serves_from_read_only_storage(
    mirror: Mirror, emnist: dict[str, WebDataset], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing has to be written, nothing needs to be writable; with kept copies of what the .gz hold there."""
    sources = [WebSource(mirror.dataset("good"), patience=QUICK), WebSource(emnist["letters"], patience=QUICK)]
    for source in sources:
        read = fetch_dataset if kept else (lambda source: source.fetch(dataset_folder(source)))
        read(source)
    count = len(mirror.requests)
    with read_only(cache_folder(), monkeypatch):
        for source in sources:
            folder = dataset_folder(source)
            assert source.fetch(folder) == folder
            if kept:  # who may write anywhere would keep them now
                assert len(fetch_dataset(source).train) > 0
    assert len(mirror.requests) == count


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_read_only_cache_that_lacks_something_says_so(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded that couldn't be kept, and the error has the path and the variable that moves it."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    folder = source.fetch(dataset_folder(source))
    count = len(mirror.requests)
    (folder / FIRST).unlink()
    with read_only(cache_folder(), monkeypatch), pytest.raises(StorageError, match=r"Can't write to .*MNISTKIT_CACHE"):
        fetch_dataset(source)
    assert len(mirror.requests) == count


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_cached_files_have_the_mode_that_the_umask_says(mirror: Mirror, cache: Path) -> None:
    """A cache may be shared: its files aren't private by accident."""
    before = os.umask(0o027)
    try:
        fetch(mirror.dataset("good"), cache)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o640}


def test_a_good_cache_needs_no_network(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a second fetch nor an offline one opens a socket, or touches a file."""
    fetch(mirror.dataset("good"), cache)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    count = len(mirror.requests)

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    fetch(mirror.dataset("good"), cache)
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    fetch(mirror.dataset("good"), cache)
    assert len(mirror.requests) == count
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: bytes([data[0] ^ 1]) + data[1:]]
)
def test_a_damaged_cache_is_mended(
    mirror: Mirror, cache: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file alone is refetched; offline, or with no mirror, an error names it. A naive cache takes it."""
    fetch(mirror.dataset("good"), cache)
    (cache / FIRST).write_bytes(damage(FILES[FIRST]))
    assert naive_fetch(f"{mirror.url}/good/{FIRST}", cache / FIRST) != FILES[FIRST]
    mirror.requests.clear()
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    with pytest.raises(ChecksumError, match=FIRST):
        fetch(mirror.dataset("good"), cache)
    assert mirror.requests == []
    monkeypatch.delenv("MNISTKIT_OFFLINE")
    with pytest.raises(ChecksumError, match=f"{FIRST} isn't the pinned file(.|\n)*HTTP status 404"):
        fetch(mirror.dataset("not_found"), cache)
    mirror.requests.clear()
    fetch(mirror.dataset("good"), cache)
    assert_good(cache)
    assert mirror.paths() == [f"/good/{FIRST}"]


def test_an_empty_cache_offline_says_how_to_fill_it(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline and without data nothing is asked for, and the message has the command."""
    monkeypatch.setenv("MNISTKIT_OFFLINE", "yes")
    with pytest.raises(DownloadError, match=r"MNISTKIT_OFFLINE(.|\n)*mnistkit data fetch tiny"):
        fetch(mirror.dataset("good"), cache)
    assert mirror.requests == []


def test_plain_files_count_as_well(mirror: Mirror, cache: Path) -> None:
    """A file counts as its pinned .gz or as what that inflates to; a bad plain file beside a good .gz goes away."""
    cache.mkdir()
    plain = PINS[0].name.removesuffix(".gz")
    (cache / plain).write_bytes(PLAIN[plain])
    fetch(mirror.dataset("good"), cache)
    assert f"/good/{FIRST}" not in mirror.paths()
    assert set(json.loads((cache / "dataset.json").read_text())["files"]) == {plain, *list(FILES)[1:]}

    (cache / FIRST).write_bytes(FILES[FIRST])
    (cache / plain).write_bytes(b"\0" * len(PLAIN[plain]))
    fetch(mirror.dataset("good"), cache)
    assert_good(cache)


def test_a_lost_manifest_is_written_again(mirror: Mirror, cache: Path) -> None:
    """``dataset.json`` is checked like the rest."""
    fetch(mirror.dataset("good"), cache)
    for text in ('{"name": "tiny", "class_names": ["zero"]}', "{"):
        (cache / "dataset.json").write_text(text)
        fetch(mirror.dataset("good"), cache)
        assert Dataset.from_folder(cache).class_names == tuple("0123456789")


def test_stale_parts_are_swept_and_live_ones_left(mirror: Mirror, cache: Path) -> None:
    """What a killed download left is removed a day later; what another process may be writing stays."""
    cache.mkdir()
    stale, live = cache / f".{FIRST}.1.abc.part", cache / f".{FIRST}.2.abc.part"
    for path in (stale, live):
        path.write_bytes(b"x")
    day_ago = time.time() - 25 * 3600
    os.utime(stale, (day_ago, day_ago))
    fetch(mirror.dataset("good"), cache)
    assert not stale.exists()
    assert live.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(mirror: Mirror, cache: Path) -> None:
    """The error has the path and the variable that moves it."""
    cache.mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"cache.*MNISTKIT_CACHE"):
        fetch(mirror.dataset("good"), cache)


def test_a_path_that_is_no_folder_is_named(mirror: Mirror, cache: Path) -> None:
    """A file in the place of the cache is an error that has its path and the variable that moves it."""
    cache.write_bytes(b"")
    with pytest.raises(StorageError, match=r"cache.*MNISTKIT_CACHE"):
        fetch(mirror.dataset("good"), cache)


def test_progress_is_reported_with_an_end(mirror: Mirror, cache: Path) -> None:
    """Each file's bytes grow to its size; the last report of each says that it is finished, also after a failure."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append):
        fetch(mirror.dataset("good"), cache)
        with pytest.raises(DownloadError):
            fetch(mirror.dataset("broken"), cache / "other")
    for file in PINS:
        own = [step for step in steps if step.task == f"tiny: {file.name}"]
        ends = [index for index, step in enumerate(own) if step.finished]
        assert len(ends) == 2
        assert own[ends[0]].done == own[ends[0]].total == file.info.size
        assert ends[1] == len(own) - 1
