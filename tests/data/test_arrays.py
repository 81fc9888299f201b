"""Arrays as datasets, and as data sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnistkit.data.arrays import ArraySource, source_of
from mnistkit.data.dataset import Dataset
from mnistkit.errors import DataFormatError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.testing.data_source import DataSourceSuite

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8)
X[0, 0, 0] = 255
Y = np.arange(30) % 3


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
     X.tolist(), pd.DataFrame(X.reshape(30, 16))],
)  # fmt: skip
@pytest.mark.parametrize("labels", [Y, Y.tolist(), Y.astype(str), Y.astype(float), Y[:, None], pd.Series(Y)])
def test_every_form_gives_the_same_dataset(form: Any, labels: Any) -> None:
    """Rows, channels, floats, whole numbers, lists and tables of the same images make the same dataset."""
    expected = Dataset.from_arrays(X, Y)
    made = Dataset.from_arrays(form, labels)
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
        ((np.where(X > 250, np.nan, X), Y), {}, "NaN"),
        ((X.astype(object), Y), {}, "object values"),
        ((X, Y * 2), {}, r"no label 1, 3, but 4: name every class"),
        ((X, np.where(Y == 1, None, Y)), {}, "y_train holds None"),
        ((X, Y + 0.5), {}, "whole numbers, or texts"),
        ((X, Y), {"class_names": ["a", "b"]}, "only 2 class names"),
        ((X, Y, X[:, :2], Y), {}, "X_test has shape"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_dataset_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], expected: str
) -> None:
    """What can't be images and labels is refused; the message names the argument and what is expected."""
    with pytest.raises(DataFormatError, match=expected):
        Dataset.from_arrays(*arguments, **options)


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
    with pytest.raises(UsageError, match=r"data is a ndarray: give a uri"):
        source_of(X)
