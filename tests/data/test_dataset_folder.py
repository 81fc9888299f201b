"""Datasets from folders of IDX files: what is read, what is refused, and with which message."""

from __future__ import annotations

import gzip
import json
import re
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.data.idx import encode_idx, write_idx
from mnistkit.data.layout import ROLES, find_idx_files
from mnistkit.data.manifest import MANIFEST
from mnistkit.errors import ChecksumError, DataFormatError, MnistkitError, NotFoundError, StorageError
from mnistkit.utils.files import file_info
from support.idx_folders import DOTTED, NAMES, content, fill, manifest

SWAPPED = "; are images and labels swapped?"


@pytest.mark.parametrize("names", [NAMES, DOTTED], ids=["dash", "dot"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_reads_both_spellings_plain_and_gz_at_any_depth(
    tmp_path: Path, names: dict[str, str], suffix: str, below: str
) -> None:
    """The four files are found and read whatever their spelling, packing and depth."""
    fill(tmp_path / below, suffix, names)
    dataset = Dataset.from_folder(tmp_path)
    arrays = content()
    np.testing.assert_array_equal(dataset.train.images, arrays["train-images"])
    np.testing.assert_array_equal(dataset.train.labels, arrays["train-labels"])
    np.testing.assert_array_equal(dataset.test.images, arrays["test-images"])
    np.testing.assert_array_equal(dataset.test.labels, arrays["test-labels"])


def test_names_may_be_mixed_prefixed_and_upper_case(tmp_path: Path) -> None:
    """A prefix, ``test`` for ``t10k``, capitals and different folders are all understood."""
    arrays = content()
    files = {
        "train-images": "a/emnist-letters-train-images-idx3-ubyte.gz",
        "train-labels": "b/TRAIN-LABELS.IDX1-UBYTE",
        "test-images": "a/emnist-letters-test-images-idx3-ubyte",
        "test-labels": "t10k-labels-idx1-ubyte.GZ",
    }
    for role, name in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_idx(tmp_path / name, arrays[role])
    assert find_idx_files(tmp_path) == {role: tmp_path / name for role, name in files.items()}
    assert len(Dataset.from_folder(tmp_path).train) == 20


def test_plain_file_is_taken_before_its_gz(tmp_path: Path) -> None:
    """A file that was unpacked beside its ``.gz`` isn't ambiguous: the plain one counts."""
    fill(tmp_path, ".gz")
    fill(tmp_path)
    assert find_idx_files(tmp_path) == {role: tmp_path / name for role, name in NAMES.items()}


def test_hidden_files_and_other_files_do_not_count(tmp_path: Path) -> None:
    """Resource forks, checkpoints, half-written files, folders and look-alikes are passed over."""
    fill(tmp_path)
    for name in ("._train-images-idx3-ubyte", "train-images-idx3-ubyte.txt", ".train-images-idx3-ubyte.1.part"):
        (tmp_path / name).write_bytes(b"junk")
    fill(tmp_path / ".ipynb_checkpoints")
    (tmp_path / "x-train-images-idx3-ubyte").mkdir()
    assert find_idx_files(tmp_path) == {role: tmp_path / name for role, name in NAMES.items()}


def test_a_folder_is_read_while_another_thread_downloads_into_it(tmp_path: Path) -> None:
    """Hidden folders that come and go while the files are looked up are no error."""
    fill(tmp_path)
    stopped = threading.Event()

    def download() -> None:
        while not stopped.is_set():
            partial = tmp_path / f".{uuid.uuid4().hex}.part" / "deep"
            partial.mkdir(parents=True)
            partial.rmdir()
            partial.parent.rmdir()

    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            assert set(find_idx_files(tmp_path)) == set(ROLES)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def test_folder_below_a_hidden_one_is_read(tmp_path: Path) -> None:
    """Only what is hidden below the folder is passed over, not a folder that itself lies in a hidden one."""
    assert set(find_idx_files(fill(tmp_path / ".cache" / "mnist"))) == set(ROLES)


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that isn't there, or is a file, is a NotFoundError that names it."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(NotFoundError, match=f"{re.escape(str(path))} is not a folder"):
            Dataset.from_folder(path)


@pytest.mark.parametrize("role", ROLES)
def test_missing_file(tmp_path: Path, role: str) -> None:
    """A missing file is named, and only that one."""
    fill(tmp_path)
    (tmp_path / NAMES[role]).unlink()
    with pytest.raises(DataFormatError) as caught:
        Dataset.from_folder(tmp_path)
    assert str(caught.value) == f"{tmp_path} lacks {NAMES[role]} (plain or .gz, at any depth)."


def test_empty_folder_names_all_four_files(tmp_path: Path) -> None:
    """In an empty folder every file is missing, and named."""
    with pytest.raises(DataFormatError, match=f"lacks {', '.join(NAMES.values())}"):
        find_idx_files(tmp_path)


def test_a_file_that_lies_there_twice_is_one(tmp_path: Path) -> None:
    """Archives exist in which each file lies twice: equal bytes are one file."""
    fill(tmp_path)
    for role, name in DOTTED.items():
        (tmp_path / f"{name}-folder").mkdir()
        write_idx(tmp_path / f"{name}-folder" / name, content()[role])
    assert set(find_idx_files(tmp_path)) == set(ROLES)


def test_ambiguous_files_are_listed(tmp_path: Path) -> None:
    """Two candidates for one file are an error that lists both and says what to do."""
    fill(tmp_path)
    (tmp_path / "copy").mkdir()
    write_idx(tmp_path / "copy" / DOTTED["test-labels"], content()["test-labels"][::-1])
    with pytest.raises(DataFormatError) as caught:
        Dataset.from_folder(tmp_path)
    listed = Path("copy", DOTTED["test-labels"])
    assert str(caught.value) == (
        f"{tmp_path} holds several test-labels files ({listed}, {NAMES['test-labels']}): "
        f"name the folder of one dataset, or what its files begin with, as in 'idx:{tmp_path}#emnist-letters'."
    )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_truncated_file(tmp_path: Path, role: str, suffix: str) -> None:
    """A truncated file is named, with what was expected and what was there."""
    path = fill(tmp_path, suffix) / f"{NAMES[role]}{suffix}"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataFormatError, match=rf"^{re.escape(str(path))}: .*expected .*, got "):
        Dataset.from_folder(tmp_path)


def test_web_page_in_place_of_a_file(tmp_path: Path) -> None:
    """A saved error page isn't taken for data."""
    path = fill(tmp_path) / NAMES["train-images"]
    path.write_text("<html>404</html>")
    with pytest.raises(DataFormatError, match=f"{re.escape(str(path))}: magic number: expected 00 00"):
        Dataset.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "role", "message"),
    [
        (
            {"train_images": content()["train-labels"], "train_labels": content()["train-images"]},
            "train-images",
            ": expected train-images of shape (n, h, w) and type uint8, got shape (20,) and type uint8" + SWAPPED,
        ),
        (
            {"test_labels": content()["test-images"]},
            "test-labels",
            ": expected test-labels of shape (n,) and type uint8, got shape (10, 4, 5) and type uint8" + SWAPPED,
        ),
        (
            {"train_labels": np.zeros(20, np.int32)},
            "train-labels",
            ": expected train-labels of shape (n,) and type uint8, got shape (20,) and type int32.",
        ),
        (
            {"train_images": np.zeros((20, 20), np.uint8)},
            "train-images",
            ": expected train-images of shape (n, h, w) and type uint8, got shape (20, 20) and type uint8.",
        ),
        (
            {"test_images": np.zeros((0, 4, 5), np.uint8), "test_labels": np.zeros(0, np.uint8)},
            "test-images",
            ": it is empty, shape (0, 4, 5); expected at least one item.",
        ),
        (
            {"train_images": np.zeros((20, 0, 5), np.uint8)},
            "train-images",
            ": it is empty, shape (20, 0, 5); expected at least one item.",
        ),
        ({"train_labels": np.zeros(19, np.uint8)}, "train-images", " holds 20 images, but "),
        ({"test_labels": np.zeros(11, np.uint8)}, "test-images", " holds 10 images, but "),
        (
            {"test_images": np.zeros((10, 5, 4), np.uint8)},
            "test-images",
            ": its images are (5, 4), those for training (4, 5): they must be of one size.",
        ),
    ],
    ids=["swapped", "swapped one", "type", "2-D", "empty", "no pixels", "train count", "test count", "size"],
)
def test_files_that_do_not_fit(tmp_path: Path, changes: dict[str, NDArray[np.uint8]], role: str, message: str) -> None:
    """Swapped, mistyped, empty or mismatched files are named, with what was expected."""
    fill(tmp_path, **changes)
    with pytest.raises(DataFormatError) as caught:
        Dataset.from_folder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / NAMES[role]}{message}")


def test_mismatched_counts_name_both_files(tmp_path: Path) -> None:
    """Where images and labels are not as many, both files and both counts are named."""
    fill(tmp_path, train_labels=np.zeros(19, np.uint8))
    with pytest.raises(DataFormatError) as caught:
        Dataset.from_folder(tmp_path)
    images, labels = (tmp_path / NAMES[role] for role in ("train-images", "train-labels"))
    assert str(caught.value) == f"{images} holds 20 images, but {labels} holds 19 labels: they must be as many."


def test_declared_size_is_limited(tmp_path: Path) -> None:
    """A file that declares more than ``max_bytes`` is refused by name."""
    fill(tmp_path)
    with pytest.raises(DataFormatError, match=f"{NAMES['train-images']}: dimensions: expected at most max_bytes=399"):
        Dataset.from_folder(tmp_path, max_bytes=399)
    assert len(Dataset.from_folder(tmp_path, max_bytes=400).train) == 20


def test_without_manifest_names_come_from_folder_and_labels(tmp_path: Path) -> None:
    """Without a dataset.json the folder names the dataset, and each label up to the highest is a class."""
    dataset = Dataset.from_folder(fill(tmp_path / "mine", test_labels=np.full(10, 11, np.uint8)))
    assert (dataset.name, dataset.version) == ("mine", "1")
    assert dataset.class_names == tuple(map(str, range(12)))


def test_one_class_still_has_two_names(tmp_path: Path) -> None:
    """Labels that are all 0 make two classes, the fewest that a classifier can tell apart."""
    fill(tmp_path, train_labels=np.zeros(20, np.uint8), test_labels=np.zeros(10, np.uint8))
    assert Dataset.from_folder(tmp_path).class_names == ("0", "1")


def test_uri_is_the_absolute_folder_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The uri loads the same data again from any working directory."""
    fill(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert Dataset.from_folder(Path("mine")).uri == f"idx:{tmp_path / 'mine'}"
    assert Dataset.from_folder(Path("mine"), uri="mnist").uri == "mnist"


def test_manifest_gives_names_and_verifies(tmp_path: Path) -> None:
    """A dataset.json gives name, version and class names, also for files in folders below it."""
    fill(tmp_path / "files")
    manifest(tmp_path, version="3", class_names=tuple("abcdefghij")).write(tmp_path)
    dataset = Dataset.from_folder(tmp_path)
    assert (dataset.name, dataset.version, dataset.class_names) == ("mine", "3", tuple("abcdefghij"))


@pytest.mark.parametrize("role", ROLES)
def test_altered_file_fails_its_checksum(tmp_path: Path, role: str) -> None:
    """A file that was altered without becoming malformed is found by its hash, and both hashes are told."""
    path = fill(tmp_path) / NAMES[role]
    written = manifest(tmp_path)
    written.write(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ChecksumError) as caught:
        Dataset.from_folder(tmp_path)
    for text in (path, written.files[path.name].sha256, file_info(path).sha256, len(data)):
        assert str(text) in str(caught.value)


def test_file_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    """A file that dataset.json doesn't list is never read unverified; without a list, nothing is verified."""
    fill(tmp_path, ".gz")
    manifest(tmp_path).write(tmp_path)
    write_idx(tmp_path / NAMES["train-labels"], np.zeros(20, np.uint8))
    with pytest.raises(ChecksumError, match=f"{NAMES['train-labels']} isn't among the files that .*{MANIFEST}"):
        Dataset.from_folder(tmp_path)
    manifest(tmp_path, files={}).write(tmp_path)
    assert not Dataset.from_folder(tmp_path).train.labels.any()


@pytest.mark.parametrize("role", ["train-labels", "test-labels"])
def test_label_beyond_the_class_names(tmp_path: Path, role: str) -> None:
    """A label without a class name is an error that names the file, the label and the range."""
    labels = content()[role].copy()
    labels[0] = 10
    fill(tmp_path, **{role.replace("-", "_"): labels})
    manifest(tmp_path, class_names=tuple("0123456789")).write(tmp_path)
    with pytest.raises(DataFormatError, match=rf"{NAMES[role]}: expected labels from 0 to 9, .*10 classes, got 10"):
        Dataset.from_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": "1"}', '{"name": "x", "colour": 1}', '{"name": "x", "files": {"a": 1}}', "\xff"],
)
def test_broken_manifest_is_named(tmp_path: Path, text: str) -> None:
    """A dataset.json that can't be understood is an error that names it."""
    (fill(tmp_path) / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataFormatError, match=re.escape(str(tmp_path / MANIFEST))):
        Dataset.from_folder(tmp_path)


def test_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    """A dataset.json that is there but can't be read isn't passed over."""
    (fill(tmp_path) / MANIFEST).mkdir()
    with pytest.raises(StorageError, match=re.escape(f"Can't read {tmp_path / MANIFEST}")):
        Dataset.from_folder(tmp_path)


def test_manifest_round_trip(tmp_path: Path) -> None:
    """What is written is plain JSON with sorted keys, the same every time."""
    fill(tmp_path)
    written = manifest(tmp_path, class_names=("a", "b"))
    written.write(tmp_path)
    first = (tmp_path / MANIFEST).read_bytes()
    written.write(tmp_path)
    plain = json.loads(first)
    assert (tmp_path / MANIFEST).read_bytes() == first
    assert plain["class_names"] == ["a", "b"]
    assert plain["files"][NAMES["train-labels"]]["size"] == 28
    assert list(plain) == sorted(plain)


def test_any_damage_is_an_error_of_ours(tmp_path: Path) -> None:
    """Whichever byte of whichever file is lost or changed, verified data is refused with an error of mnistkit."""
    fill(tmp_path, ".gz")
    manifest(tmp_path).write(tmp_path)
    for name in NAMES.values():
        path = tmp_path / f"{name}.gz"
        good = path.read_bytes()
        for at in range(0, len(good), 7):
            for bad in (good[:at], good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :]):
                path.write_bytes(bad)
                with pytest.raises(MnistkitError):
                    Dataset.from_folder(tmp_path)
        path.write_bytes(good)
    assert len(Dataset.from_folder(tmp_path).test) == 10


def test_gzip_bomb_in_a_folder_is_refused(tmp_path: Path) -> None:
    """A file that inflates beyond what its header says is refused by name."""
    path = fill(tmp_path, ".gz") / f"{NAMES['train-images']}.gz"
    path.write_bytes(gzip.compress(encode_idx(content()["train-images"]) + bytes(10**7)))
    with pytest.raises(DataFormatError, match=re.escape(f"{path}: data: expected 400 bytes")):
        Dataset.from_folder(tmp_path)
