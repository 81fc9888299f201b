"""Datasets as values: arrays, scaling, subsets, digests."""

from __future__ import annotations

import hashlib
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.data.dataset import Dataset
from mnistkit.data.idx import encode_idx
from mnistkit.data.layout import ROLES
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from support.idx_folders import DOTTED, content, fill


def labelled(labels: list[int]) -> Dataset:
    """A dataset whose training image ``i`` is one pixel of value ``i % 256`` with label ``labels[i]``."""
    images = (np.arange(len(labels)) % 256).astype(np.uint8).reshape(-1, 1, 1)
    train = Split(images=images, labels=np.array(labels, dtype=np.uint8))
    return Dataset(
        name="n", version="1", uri="u", class_names=tuple(map(str, range(max(labels) + 1))), train=train, test=train
    )


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class_names": "ab"}, "class_names is of the type str"),
        ({"class_names": (0, 1)}, "One of class_names is of the type int"),
        ({"class_names": None}, "class_names is of the type NoneType"),
        ({"name": None}, "name is of the type NoneType"),
        ({"train": None}, "train is of the type NoneType.*from_arrays"),
        ({"test": (np.zeros((1, 2, 2)), [0])}, "test is of the type tuple"),
    ],
    ids=["text", "numbers", "none", "no name", "no train", "tuple"],
)
def test_values_of_other_types_are_refused(change: dict[str, object], words: str) -> None:
    """What would fail later, or be taken for something else, is refused when the dataset is made."""
    split = Split(images=np.ones((2, 2, 2), np.uint8), labels=np.array([0, 1], np.uint8))
    values = {"name": "x", "version": "1", "uri": "", "class_names": ["a", "b"], "train": split, "test": split}
    assert Dataset(**values).class_names == ("a", "b")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match=words):
        Dataset(**{**values, **change})  # type: ignore[arg-type]  # that is the point
