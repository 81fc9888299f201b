"""Datasets from folders of IDX files: what is read, what is refused and how it is said, what users get."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset, Split
from mnistkit.data.decompressed import DECODED
from mnistkit.data.idx import encode_idx, write_idx
from mnistkit.data.layout import ROLES, find_idx_files
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.errors import ChecksumError, DataFormatError, MnistkitError, NotFoundError, StorageError, UsageError
from mnistkit.utils.files import file_info

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}
SWAPPED = "; are images and labels swapped?"
DOTTED = {role: name.replace("-idx", ".idx") for role, name in NAMES.items()}


def content() -> dict[str, NDArray[np.uint8]]:
    """A small dataset: 20 images to train, 10 to test, 4 by 5 pixels, labels 0 to 9."""
    random = np.random.default_rng(7)
    return {
        "train-images": random.integers(0, 256, (20, 4, 5), dtype=np.uint8),
        "train-labels": np.arange(20, dtype=np.uint8) % 10,
        "test-images": random.integers(0, 256, (10, 4, 5), dtype=np.uint8),
        "test-labels": np.arange(10, dtype=np.uint8),
    }


def fill(folder: Path, suffix: str = "", names: dict[str, str] = NAMES, **changes: NDArray[np.uint8]) -> Path:
    """Write the four files, with ``changes`` by role (``_`` for ``-``), and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = content() | {role.replace("_", "-"): array for role, array in changes.items()}
    for role, name in names.items():
        write_idx(folder / f"{name}{suffix}", arrays[role])
    return folder


def manifest(folder: Path, **fields: object) -> DatasetManifest:
    """A manifest of the files that are in ``folder``, with ``fields`` changed."""
    files = {path.relative_to(folder).as_posix(): file_info(path) for path in folder.rglob("*ubyte*")}
    return DatasetManifest(**{"name": "mine", "files": files, **fields})


def labelled(labels: list[int]) -> Dataset:
    """A dataset whose training image ``i`` is one pixel of value ``i % 256`` with label ``labels[i]``."""
    images = (np.arange(len(labels)) % 256).astype(np.uint8).reshape(-1, 1, 1)
    train = Split(images=images, labels=np.array(labels, dtype=np.uint8))
    return Dataset(
        name="n", version="1", uri="u", class_names=tuple(map(str, range(max(labels) + 1))), train=train, test=train
    )


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


def test_ambiguous_files_are_listed(tmp_path: Path) -> None:
    """Two candidates for one file are an error that lists both and says what to do."""
    fill(tmp_path)
    (tmp_path / "copy").mkdir()
    write_idx(tmp_path / "copy" / DOTTED["test-labels"], content()["test-labels"])
    with pytest.raises(DataFormatError) as caught:
        Dataset.from_folder(tmp_path)
    listed = Path("copy", DOTTED["test-labels"])
    assert str(caught.value) == (
        f"{tmp_path} holds several test-labels files ({listed}, {NAMES['test-labels']}): "
        "name the folder of one dataset."
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


@pytest.mark.parametrize("load", [Dataset.from_folder, lambda folder: Dataset.from_folder(folder).subset(5)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_arrays_are_read_only(tmp_path: Path, suffix: str, load: Callable[[Path], Dataset]) -> None:
    """Neither images nor labels can be written to, so a dataset is what it was when it was verified."""
    dataset = load(fill(tmp_path, suffix))
    for array in (dataset.train.images, dataset.train.labels, dataset.test.images, dataset.test.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_split_leaves_the_callers_arrays_alone() -> None:
    """Making a split freezes the split's view, not the arrays that it was made of."""
    images, labels = np.zeros((2, 1, 1), np.uint8), np.zeros(2, np.uint8)
    split = Split(images=images, labels=labels)
    assert not split.images.flags.writeable
    assert images.flags.writeable
    assert labels.flags.writeable


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_features_are_scaled_and_flat(tmp_path: Path, dtype: str) -> None:
    """``X`` is one row an image, row by row, black 0 and white 1, in the type asked for; float32 by default."""
    split = Dataset.from_folder(fill(tmp_path)).train
    features = split.X(dtype)
    assert (features.shape, features.dtype) == ((20, 20), np.dtype(dtype))
    np.testing.assert_array_equal(features, (split.images.reshape(20, 20) / np.dtype(dtype).type(255)).astype(dtype))
    assert split.X().dtype == np.float32
    assert Split(images=np.array([[[0, 255]]], np.uint8), labels=np.zeros(1, np.uint8)).X().tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "complex64", "bool"])
def test_features_need_a_floating_type(tmp_path: Path, dtype: str) -> None:
    """A type that can't hold 0 to 1 is refused by name."""
    split = Dataset.from_folder(fill(tmp_path)).train
    with pytest.raises(UsageError, match=dtype):
        split.X(dtype)


def test_shapes_for_keras_and_scikit_learn(tmp_path: Path) -> None:
    """``arrays`` and ``as_sklearn`` give what each of the two libraries takes."""
    dataset = Dataset.from_folder(fill(tmp_path))
    (x_train, y_train), (x_test, y_test) = dataset.arrays()
    assert [a.shape for a in (x_train, y_train, x_test, y_test)] == [(20, 4, 5), (20,), (10, 4, 5), (10,)]
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    (X_train, y_train_), (X_test, y_test_) = dataset.as_sklearn("float64")
    assert (X_train.shape, X_test.shape, X_train.dtype.name) == ((20, 20), (10, 20), "float64")
    assert (y_train_.dtype.name, y_test_.dtype.name) == ("int64", "int64")
    np.testing.assert_array_equal(y_train_, y_train)
    np.testing.assert_array_equal(dataset.test.y, y_test)


def test_sha256_is_of_the_plain_files(tmp_path: Path) -> None:
    """The digest is that of the four plain files one after the other, so packing and spelling don't change it."""
    expected = hashlib.sha256(b"".join(encode_idx(content()[role]) for role in ROLES)).hexdigest()
    assert Dataset.from_folder(fill(tmp_path / "plain")).sha256 == expected
    assert Dataset.from_folder(fill(tmp_path / "packed", ".gz", DOTTED)).sha256 == expected
    other = content()["test-labels"].copy()
    other[0] ^= 1
    assert Dataset.from_folder(fill(tmp_path / "other", test_labels=other)).sha256 != expected


def test_subset_is_stratified_deterministic_and_keeps_the_rest(tmp_path: Path) -> None:
    """A subset has each class in proportion, is the same for a seed, and leaves test, names and uri as they are."""
    whole = Dataset.from_folder(fill(tmp_path))
    part = whole.subset(10, seed=3)
    assert np.bincount(part.train.labels).tolist() == [1] * 10
    assert part.sha256 == whole.subset(10, seed=3).sha256
    assert {whole.subset(10, seed=seed).sha256 for seed in range(5)} != {part.sha256}
    assert (part.name, part.uri, part.class_names, part.test) == (whole.name, whole.uri, whole.class_names, whole.test)
    pairs = {(image.tobytes(), label) for image, label in zip(whole.train.images, whole.train.labels, strict=True)}
    assert {(i.tobytes(), n) for i, n in zip(part.train.images, part.train.labels, strict=True)} <= pairs


@given(st.lists(st.integers(0, 4), min_size=2, max_size=200), st.data())
@settings(max_examples=200, deadline=None)
def test_subsets_are_proportional_and_nested(labels: list[int], data: st.DataObject) -> None:
    """Of each class a subset takes its share, to within two images, and it lies within every larger subset."""
    whole, seed = labelled(labels), data.draw(st.integers(0, 3))
    large = data.draw(st.integers(1, len(labels)))
    small = data.draw(st.integers(1, large))
    parts = [whole.subset(limit, seed=seed).train for limit in (small, large)]
    assert [len(part) for part in parts] == [small, large]
    items = [set(part.images.ravel().tolist()) for part in parts]
    assert items[0] <= items[1]
    shares = np.bincount(labels, minlength=5) * large / len(labels)
    assert np.abs(np.bincount(parts[1].labels, minlength=5) - shares).max() <= 2


def test_subset_of_everything_is_the_dataset(tmp_path: Path) -> None:
    """A limit at or above the number of images changes nothing."""
    whole = Dataset.from_folder(fill(tmp_path))
    assert whole.subset(20) is whole
    assert whole.subset(1000) is whole


@pytest.mark.parametrize("limit", [0, -1])
def test_subset_needs_an_image(tmp_path: Path, limit: int) -> None:
    """A limit below 1 is refused."""
    whole = Dataset.from_folder(fill(tmp_path))
    with pytest.raises(UsageError, match=f"limit={limit}: use at least 1"):
        whole.subset(limit)


def test_repr_tells_sizes(tmp_path: Path) -> None:
    """What a notebook shows is one line of sizes, no pixels."""
    dataset = Dataset.from_folder(fill(tmp_path / "mine"))
    assert repr(dataset) == "Dataset('mine', train=20, test=10, images=4x5, classes=10)"


def test_dataset_pickles(tmp_path: Path) -> None:
    """A dataset can be sent to another process, with or without its digest computed."""
    dataset = Dataset.from_folder(fill(tmp_path, ".gz"))
    for _ in range(2):
        back = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
        assert back.sha256 == dataset.sha256
    np.testing.assert_array_equal(back.train.images, dataset.train.images)


def test_gzip_bomb_in_a_folder_is_refused(tmp_path: Path) -> None:
    """A file that inflates beyond what its header says is refused by name."""
    path = fill(tmp_path, ".gz") / f"{NAMES['train-images']}.gz"
    path.write_bytes(gzip.compress(encode_idx(content()["train-images"]) + bytes(10**7)))
    with pytest.raises(DataFormatError, match=re.escape(f"{path}: data: expected 400 bytes")):
        Dataset.from_folder(tmp_path)


# A cache folder, which is mnistkit's own


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


# Scaling


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_each_grey_level_is_divided_exactly(dtype: str) -> None:
    """All 256 levels are bit by bit the quotient by 255 in the type asked for."""
    levels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1)
    kind = np.dtype(dtype).type
    expected = np.array([kind(level) / kind(255) for level in range(256)])
    got = Split(images=levels, labels=np.zeros(256, np.uint8)).X(dtype).ravel()
    assert got.dtype == dtype
    assert got.tobytes() == expected.tobytes()


def test_scaling_takes_the_result_and_no_more() -> None:
    """No copy in another type is made on the way: 8 MB of float32 for 2 MB of pixels, and a little."""
    split = Split(images=np.ones((2000, 32, 32), np.uint8), labels=np.zeros(2000, np.uint8))
    tracemalloc.start()
    try:
        split.X()
        assert tracemalloc.get_traced_memory()[1] < 4 * split.images.nbytes + 2**19
    finally:
        tracemalloc.stop()
