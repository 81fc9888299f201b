"""Arrays as datasets, and as data sources."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mnistkit.data.arrays import ArraySource, source_of
from mnistkit.data.dataset import Dataset
from mnistkit.errors import DataFormatError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.testing.data_source import DataSourceSuite

pd = pytest.importorskip("pandas", reason="pandas isn't installed")

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8)
X[0, 0, 0] = 255
Y = np.arange(30) % 3
TABLE = pd.DataFrame(X.reshape(30, 16))


class Tensor:
    """An array of another library."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.values, dtype=dtype)


class Gradients:
    """A tensor that refuses to be an array, as torch's with gradients."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def memory_mapped(values: Any) -> Any:
    """The values in a file of their own."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, values)
        file.flush()
        return np.load(file.name, mmap_mode="r")


def pillow(mode: str) -> Any:
    """A list of Pillow images of a mode."""
    image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")
    return [image.fromarray(each).convert(mode) for each in X]


class TestArraySource(DataSourceSuite):
    """Arrays of a program keep the contract of data sources."""

    @pytest.fixture
    def source(self) -> DataSource:
        """Images of the program."""
        return ArraySource.of(Dataset.from_arrays(X, Y))

    @pytest.fixture
    def another(self) -> DataSource:
        """Other images."""
        return ArraySource.of(Dataset.from_arrays(255 - X, Y))

    @pytest.fixture
    def unavailable(self) -> DataSource:
        """Images of an earlier program, that aren't in the cache."""
        return ArraySource.from_uri("array:" + "0" * 64)


@pytest.mark.parametrize(
    "form",
    [X.reshape(30, 16), X[..., None], X[:, None], X / 255, (X / 255).astype("f4"), X.astype(float), X.astype("i8"),
     X.tolist(), TABLE, (X / 255).astype("f2"), X.astype("f2"), X.astype(">u2"), (X / 255).astype(">f8"),
     np.asfortranarray(X), np.ma.array(X), X[::-1][::-1], TABLE.set_index(np.arange(30)[::-1]), TABLE.astype("Int64"),
     TABLE.astype({0: "float32", 1: "int64"}), TABLE.astype(pd.SparseDtype("uint8", 0)), pd.Series(list(X)), list(X),
     Tensor(X), X / 255 * 1.0000002, csr_matrix(X.reshape(30, 16))],
)  # fmt: skip
def test_every_form_gives_the_same_dataset(form: Any) -> None:
    """Rows, channels, floats, whole numbers, lists and tables of the same images make the same dataset."""
    assert Dataset.from_arrays(form, Y).uri == Dataset.from_arrays(X, Y).uri


def test_images_of_other_libraries_give_the_same_dataset() -> None:
    """Pillow images of any mode, and arrays in files, are the same images."""
    expected = Dataset.from_arrays(X, Y).sha256
    for form in (memory_mapped(X), pillow("L"), pillow("RGB"), pillow("P"), tuple(pillow("L"))):
        assert Dataset.from_arrays(form, Y).sha256 == expected


@pytest.mark.parametrize(
    "labels",
    [Y, Y.tolist(), Y.astype(str), Y.astype("S"), Y.astype(float), Y.astype(object), Y[:, None], pd.Series(Y),
     Tensor(Y), pd.Series(Y, index=np.arange(30)[::-1]), pd.Series(Y, dtype="Int64"), pd.DataFrame({"label": Y}),
     pd.Categorical(Y),
     pd.Categorical(Y.astype(str)), pd.Series(Y.astype(str), dtype="string"), np.eye(3)[Y], np.eye(3, dtype=bool)[Y],
     pd.get_dummies(pd.Series(Y))],
)  # fmt: skip
def test_every_form_of_labels_gives_the_same_dataset(labels: Any) -> None:
    """Columns, texts, floats, categories, tables and one-hot rows are the same labels."""
    expected = Dataset.from_arrays(X, Y)
    made = Dataset.from_arrays(X, labels)
    assert made.sha256 == expected.sha256
    assert made.class_names == ("0", "1", "2")
    assert made.uri == expected.uri
    assert (len(made.train), len(made.test)) == (24, 6)


def test_texts_name_the_classes() -> None:
    """Labels that are texts become the names of the classes, and test labels the same numbers."""
    names = np.array(["cat", "ant", "bee"])
    made = Dataset.from_arrays(X[:20], names[Y[:20]], X[20:], names[Y[20:]])
    assert made.class_names == ("ant", "bee", "cat")
    assert [made.class_names[label] for label in made.test.labels] == names[Y[20:]].tolist()


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ((X, Y[:5]), {}, "30 images and 5 labels"),
        ((X.reshape(30, 2, 8)[:, :, :3].reshape(30, 6), Y), {}, r"X_train has shape \(30, 6\).*shape=\(h, w\)"),
        ((X / 255 - 1, Y), {}, "holds float64 in -1..0"),
        ((X / 255 * 1.02, Y), {}, "slightly more than 0..1.*Clip it"),
        ((np.where(X > 250, np.nan, X), Y), {}, "NaN"),
        ((X.astype(object), Y), {}, "object values"),
        ((X, Y * 2), {}, r"no label 1, 3, but 4: name every class"),
        ((X, np.where(Y == 1, None, Y)), {}, "y_train holds None, at 1"),
        ((X, Y + 0.5), {}, "whole numbers, or texts"),
        ((X, Y), {"class_names": ["a", "b"]}, "only 2 class names"),
        ((np.ma.array(X, mask=X > 250), Y), {}, "X_train has masked values"),
        ((X, np.ma.array(Y, mask=Y > 1)), {}, "y_train has masked values"),
        ((np.stack([X] * 3, axis=3), Y), {}, r"for colours, make them grey: X.mean\(axis=3\)"),
        ((np.stack([X] * 3, axis=1), Y), {}, r"for colours, make them grey: X.mean\(axis=1\)"),
        ((iter(X), Y), {}, "X_train is a .*iterator"),
        (([X[0], X[1][:2]], Y), {}, "inhomogeneous"),
        ((TABLE.assign(kind="a"), Y), {}, "the column 'kind' holds .* values; leave out what is no pixel"),
        ((TABLE.astype("Int64").mask(TABLE > 250), Y), {}, "missing values"),
        ((X, {"a": 1}), {}, "y_train is a dict"),
        ((X, np.where(Y == 1, np.nan, Y)), {}, "y_train holds nan, at 1"),
        ((X, pd.Series([pd.NA, *Y[1:]], dtype="Int64")), {}, "y_train holds (nan|<NA>), at 0"),
        ((X, ["a", float("nan"), *["b"] * 28]), {}, "y_train holds nan, at 1"),
        ((X, ["a", 1] * 15), {}, "numbers and texts"),
        ((X, ["", "a"] * 15), {}, "an empty text, at 0"),
        ((X, np.full((30, 3), 1 / 3)), {}, "or one-hot rows"),
        ((X, np.full(30, 2**63, np.uint64)), {}, "holds a label 9223372036854775808"),
        ((X, np.arange(30)), {}, "No class has two images"),
        ((Gradients(), Y), {}, "requires grad"),
        ((X, Gradients()), {}, "requires grad"),
        ((X, Y, X[:, :2], Y), {}, "X_test has shape"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_dataset_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], expected: str
) -> None:
    """What can't be images and labels is refused; the message names the argument and what is expected."""
    with pytest.raises(DataFormatError, match=expected):
        Dataset.from_arrays(*arguments, **options)


@pytest.mark.parametrize(
    "options",
    [{"class_names": "abc"}, {"class_names": [1, 2, 3]}, {"class_names": ["a", "a", "b"]}, {"class_names": {0: "a"}},
     {"class_names": []}, {"test_fraction": 0}, {"test_fraction": "a"}, {"seed": -1}, {"seed": None}, {"shape": 4},
     {"shape": (4, 4, 1)}, {"shape": (4, -4)}, {"name": ""}, {"name": 5}],
)  # fmt: skip
def test_options_that_cannot_be_right_are_refused(options: dict[str, Any]) -> None:
    """The message has the argument and its value."""
    with pytest.raises(UsageError, match=next(iter(options))):
        Dataset.from_arrays(X, Y, **options)


def test_one_hot_tables_name_the_classes() -> None:
    """The columns of a one-hot table are the names of the classes; numpy's texts will do as names as well."""
    made = Dataset.from_arrays(X, pd.get_dummies(pd.Series(np.array(["ant", "bee", "cat"])[Y])))
    assert made.class_names == ("ant", "bee", "cat")
    named = Dataset.from_arrays(X, Y, class_names=np.array(["ant", "bee", "cat"]))
    assert named.class_names == made.class_names
    assert {type(name) for name in named.class_names} == {str}


def test_dark_images_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    """Masks of 0 and 1 are taken as they are, with a warning that has the brightest value."""
    made = Dataset.from_arrays((X > 99).astype(np.uint8), Y)
    assert made.train.images.max() == 1
    assert "the brightest pixel of X_train is 1 of 255" in caplog.text
    caplog.clear()
    assert Dataset.from_arrays(X > 99, Y).train.images.max() == 255
    assert not caplog.text


def test_gaps_and_other_shapes_can_be_named() -> None:
    """With class names a label may have no example; with a shape flat rows needn't be squares."""
    made = Dataset.from_arrays(X.reshape(30, 16), Y * 2, class_names=list("abcde"), shape=(2, 8))
    assert made.train.images.shape == (24, 2, 8)
    assert made.class_names == tuple("abcde")


def test_a_source_is_made_of_what_people_have(tmp_path: Path) -> None:
    """A dataset, two arrays and four arrays become sources; anything else is refused with what would do."""
    folder = source_of((X, Y)).fetch(tmp_path / "a")
    assert Dataset.from_folder(folder).sha256 == Dataset.from_arrays(X, Y).sha256
    assert source_of(Dataset.from_arrays(X, Y)) == source_of((X, Y))
    assert Dataset.from_folder(source_of((X, Y, X, Y)).fetch(tmp_path / "b")).test.images.shape == (30, 4, 4)
    pairs = source_of(((X, Y), (X, Y)))
    assert pairs == source_of((X, Y, X, Y)) == source_of(Dataset.from_arrays(X, Y, X, Y).arrays())
    with pytest.raises(UsageError, match=r"data is a ndarray: give a uri"):
        source_of(X)
    with pytest.raises(UsageError, match=r"data is a tuple of 3: give a uri"):
        source_of((X, Y, X))
