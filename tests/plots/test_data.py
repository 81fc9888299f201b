"""What the pictures of datasets show, read from the figure; `sample_grid` is in ``test_plots.py``."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UnknownNameError
from mnistkit.plots import class_balance, mean_images
from plots.subjects import digits


def unequal() -> Dataset:
    """A dataset of three classes: 6, 3 and 0 images to train on, 0, 1 and 1 to test on."""

    def split(labels: list[int]) -> Split:
        images = np.arange(len(labels) * 6, dtype=np.uint8).reshape(-1, 2, 3)
        return Split(images=images, labels=np.array(labels, dtype=np.uint8))

    train, test = split([0, 1, 0, 1, 0, 1, 0, 0, 0]), split([1, 2])
    names = ("zero", "one", "two")
    return Dataset(name="unequal", version="1", uri="idx:u", class_names=names, train=train, test=test)


def test_bars_are_shares_and_texts_are_counts() -> None:
    """A bar is the class's share of its half in percent, the text beside it the count; an absent class has 0."""
    figure = class_balance(unequal())
    (axes,) = figure.axes
    train, test = axes.containers
    assert [bar.get_width() for bar in train] == pytest.approx([200 / 3, 100 / 3, 0])
    assert [bar.get_width() for bar in test] == pytest.approx([0, 50, 50])
    assert [text.get_text() for text in axes.texts] == ["6", "3", "0", "0", "1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["zero", "one", "two"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "all classes equal",
        "9 training images",
        "2 test images",
    ]
    assert axes.get_xlabel() == "share of the images (%)"


def test_the_halves_differ_in_more_than_colour() -> None:
    """Bars of the test half are hatched, so that they can be told apart in grey."""
    train, test = class_balance(unequal()).axes[0].containers
    assert {bar.get_hatch() for bar in train}.isdisjoint({bar.get_hatch() for bar in test})


def test_a_line_shows_equal_classes() -> None:
    """The dashed line stands where each bar would end if all classes were equal."""
    (line,) = class_balance(digits()).axes[0].get_lines()
    assert set(line.get_xdata()) == {10.0}


def test_means_are_those_of_the_class() -> None:
    """The picture of a class is the mean of its images, on the scale from 0, white, to 255, black."""
    dataset = digits()
    figure = mean_images(dataset)
    assert [axes.get_title() for axes in figure.axes] == list("0123456789")
    for label, axes in enumerate(figure.axes):
        expected = dataset.train.images[dataset.train.labels == label].mean(axis=0)
        assert np.allclose(axes.images[0].get_array(), expected)
        assert axes.images[0].get_clim() == (0, 255)
    assert figure.get_suptitle() == "digits: mean of the training images of each class"


def test_means_of_the_test_half() -> None:
    """With split="test" it is the test images; a class without any isn't drawn."""
    figure = mean_images(unequal(), split="test")
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert np.array_equal(figure.axes[1].images[0].get_array(), unequal().test.images[1])
    with pytest.raises(UnknownNameError, match="'train' or 'test'"):
        mean_images(unequal(), split="valid")  # type: ignore[arg-type]  # that is the point


def test_many_classes_stay_readable() -> None:
    """The names of sixty-two classes are as large as the counts beside them, and don't touch each other."""
    figure = class_balance(digits(names=[f"class {i}" for i in range(62)]))
    figure.draw_without_rendering()
    labels = figure.axes[0].get_yticklabels()
    assert {label.get_fontsize() for label in labels} == {8}
    boxes = [label.get_window_extent() for label in labels]
    assert all(lower.y1 < upper.y0 for upper, lower in itertools.pairwise(boxes))
