"""What `mnistkit.plots` draws, looked at through the figure itself."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import MissingExtraError, UnknownNameError, UsageError
from mnistkit.plots import sample_grid

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")


def small_dataset(n_train: int = 40, names: tuple[str, ...] = ("zero", "one", "two")) -> Dataset:
    """A dataset whose every image is different, so that a drawn one can be told from all others."""
    rng = np.random.default_rng(1)

    def split(n: int) -> Split:
        images = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
        return Split(images=images, labels=(np.arange(n) % len(names)).astype(np.uint8))

    return Dataset(name="small", version="1", uri="idx:small", class_names=names, train=split(n_train), test=split(12))


def drawn(figure: Any) -> list[np.ndarray]:
    """The images in a figure, in order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def index_in(images: np.ndarray, image: np.ndarray) -> int:
    """Which of the images this one is."""
    (matches,) = np.nonzero((images == image).all(axis=(1, 2)))
    assert len(matches) == 1
    return int(matches[0])


@pytest.mark.parametrize("n", [1, 9, 10, 11, 30])
def test_as_many_images_as_asked_for(n: int) -> None:
    """The figure holds one axes with one image for each image asked for, and no empty ones."""
    figure = sample_grid(small_dataset(), n)
    assert len(figure.axes) == n
    assert [len(axes.images) for axes in figure.axes] == [1] * n


def test_titles_name_the_class_of_the_image_below() -> None:
    """Each title is the class name of the very image that is drawn under it; no image comes twice."""
    dataset = small_dataset()
    figure = sample_grid(dataset, 30)
    indices = [index_in(dataset.train.images, image) for image in drawn(figure)]
    assert len(set(indices)) == 30
    expected = [dataset.class_names[dataset.train.labels[index]] for index in indices]
    assert [axes.get_title() for axes in figure.axes] == expected
    assert len(set(expected)) == 3


def test_the_test_split_can_be_drawn() -> None:
    """With split="test" the images come from the test split."""
    dataset = small_dataset()
    for image in drawn(sample_grid(dataset, 5, split="test")):
        index_in(dataset.test.images, image)


def test_a_seed_decides_the_sample() -> None:
    """The same seed draws the same images, another seed others, and a larger sample begins with the smaller one."""
    dataset = small_dataset()
    first, again, other = (drawn(sample_grid(dataset, 8, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(drawn(sample_grid(dataset, 20, seed=3))[:8], first)


def test_more_than_there_are_draws_all() -> None:
    """Asked for more images than the split holds, it draws each one once."""
    dataset = small_dataset(n_train=7)
    figure = sample_grid(dataset, 1000)
    assert sorted(index_in(dataset.train.images, image) for image in drawn(figure)) == list(range(7))


def test_rows_are_of_ten() -> None:
    """Rows wrap at ten images, and images of one row stand at one height."""
    figure = sample_grid(small_dataset(), 25)
    figure.draw_without_rendering()
    tops = [round(axes.get_position().y1, 6) for axes in figure.axes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == [10, 10, 5]


def test_grey_levels_are_the_same_everywhere() -> None:
    """Every image is drawn on the same scale from 0, white, to 255, black: faint strokes stay faint."""
    for axes in sample_grid(small_dataset(), 5).axes:
        assert axes.images[0].get_clim() == (0, 255)
        assert axes.images[0].get_cmap().name == "Greys"


@pytest.mark.parametrize("longest", ["9", "Ankle boot", "T-shirt/top", "a name of twenty-six letters"])
def test_long_names_have_room(longest: str) -> None:
    """However long the class names: titles of one row don't overlap, and the images stay as large as without them."""
    figure = sample_grid(small_dataset(names=("x", longest, "y")), 20)
    figure.draw_without_rendering()
    width = figure.axes[0].get_position().width * figure.get_figwidth()
    assert width > 0.6, "inches that are left for an image"
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:10]]
    assert any(box.width > 0 for box in boxes)
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))


def test_a_figure_can_be_saved() -> None:
    """The figure saves as a PNG that isn't blank."""
    pillow = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    sample_grid(small_dataset(), 12).savefig(stream, format="png")
    pixels = np.asarray(pillow.open(io.BytesIO(stream.getvalue())).convert("L"))
    assert pixels.min() < 50
    assert pixels.max() == 255


def test_pyplot_is_left_alone() -> None:
    """Drawing neither imports pyplot nor leaves a figure open in it."""
    program = """
import sys
import numpy as np
from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.plots import sample_grid
split = Split(images=np.zeros((9, 4, 4), np.uint8), labels=np.zeros(9, np.uint8))
sample_grid(Dataset(name="d", version="1", uri="d", class_names=("0", "1"), train=split, test=split), 5)
assert "matplotlib.pyplot" not in sys.modules
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot
assert matplotlib.pyplot.get_fignums() == []
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("n", [0, -1])
def test_no_images_are_refused(n: int) -> None:
    """Asking for less than one image is a usage error that says so."""
    with pytest.raises(UsageError, match=f"n={n}: draw at least 1 image"):
        sample_grid(small_dataset(), n)


def test_an_unknown_split_is_refused() -> None:
    """A split that doesn't exist is refused, and the two that do are named."""
    with pytest.raises(UnknownNameError, match="'train' or 'test'"):
        sample_grid(small_dataset(), split="valid")  # type: ignore[arg-type]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib can't be imported, the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnistkit\[plot\]'"):
        sample_grid(small_dataset())
