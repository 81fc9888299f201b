"""Accuracy on changed images: the changes by hand, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from mnistkit.data.dataset import Dataset
from mnistkit.errors import UsageError
from mnistkit.evaluation.robustness import measure_robustness, noisy, rotated, shifted
from mnistkit.evaluation.scores import wilson_interval
from mnistkit.interfaces import DataSource
from mnistkit.utils.progress import Step, listening

CHANGES = [(shifted, 2), (rotated, 15), (noisy, 0.2)]


@pytest.fixture(scope="module")
def dataset(tiny_mnist: DataSource, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny MNIST."""
    return Dataset.from_folder(tiny_mnist.fetch(tmp_path_factory.mktemp("data")))


def test_a_shift_moves_all_pixels_alike() -> None:
    """Every image is moved whole to one of eight sides, all sides occur, and background comes in."""
    images = np.zeros((400, 7, 7), np.uint8)
    images[:, 3, 3] = 200
    found = {tuple(int(i) for i in np.argwhere(image)[0]) for image in shifted(images, 2)}
    assert found == {(y, x) for y in (1, 3, 5) for x in (1, 3, 5)} - {(3, 3)}
    full = np.full((50, 4, 6), 9, np.uint8)
    assert {int((image == 9).sum()) for image in shifted(full, 1)} == {3 * 5, 4 * 5, 3 * 6}


def test_a_shift_beyond_the_edge_leaves_background() -> None:
    """A shift by more than the image's size leaves nothing of it."""
    assert not shifted(np.full((9, 3, 3), 255, np.uint8), 5).any()


def test_a_quarter_turn_is_numpys() -> None:
    """Turned by 90 degrees, a square image is what numpy makes of it, to one side or the other."""
    images = np.random.default_rng(0).integers(0, 256, (30, 9, 9), dtype=np.uint8)
    turned = rotated(images, 90)
    ways = [
        [k for k in (1, 3) if np.array_equal(new, np.rot90(old, k))] for old, new in zip(images, turned, strict=True)
    ]
    assert all(len(way) == 1 for way in ways)
    assert {way[0] for way in ways} == {1, 3}


def test_a_small_turn_is_scipys() -> None:
    """Turned by a few degrees, an image is what scipy's rotation with linear weights makes of it, within rounding."""
    from scipy.ndimage import rotate

    images = np.zeros((6, 28, 28), np.uint8)
    images[:, 6:22, 6:22] = np.random.default_rng(0).integers(0, 256, (6, 16, 16), dtype=np.uint8)
    for old, new in zip(images, rotated(images, 12), strict=True):
        theirs = [rotate(old.astype(float), angle, reshape=False, order=1) for angle in (12, -12)]
        assert min(np.abs(new - each).max() for each in theirs) <= 1


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    """Mid-grey gets noise of that deviation, of its own in each image; values stay within 0 and 255."""
    grey = np.full((40, 28, 28), 128, np.uint8)
    found = noisy(grey, 0.1)
    assert (found - 128.0).std() == pytest.approx(25.5, rel=0.03)
    assert found.mean() == pytest.approx(128, abs=1)
    assert not np.array_equal(found[0], found[1])
    assert {0, 255} <= set(np.unique(noisy(grey, 2)))


@pytest.mark.parametrize(("change", "amount"), CHANGES)
def test_a_seed_decides_and_nothing_is_altered(change: object, amount: float) -> None:
    """The same seed gives the same images, another one others, and the images that were given stay as they are."""
    images = np.random.default_rng(0).integers(0, 256, (3000, 6, 6), dtype=np.uint8)
    before = images.copy()
    assert callable(change)
    first = change(images, amount, 1)
    assert np.array_equal(first, change(images, amount, 1))
    assert not np.array_equal(first, change(images, amount, 2))
    assert np.array_equal(images, before)
    assert (first.dtype, first.shape) == (images.dtype, images.shape)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 5), h=st.integers(1, 9), w=st.integers(1, 9), pixels=st.integers(0, 12), degrees=st.floats(0, 720)
)
def test_any_size_can_be_changed(n: int, h: int, w: int, pixels: int, degrees: float) -> None:
    """Images of any size, also none at all, keep their shape; nothing becomes brighter than it was by moving it."""
    images = np.random.default_rng(0).integers(0, 200, (n, h, w), dtype=np.uint8)
    for found in (shifted(images, pixels), rotated(images, degrees)):
        assert found.shape == images.shape
        assert found.max(initial=0) <= images.max(initial=0)
    assert np.array_equal(shifted(images, 0), images)
    assert np.array_equal(rotated(images, 0), images)


def test_what_is_measured(dataset: Dataset) -> None:
    """Unchanged images and amounts of 0 give the plain accuracy; large changes hurt; the same seed repeats it."""
    (X, y), (X_test, y_test) = dataset.as_sklearn()
    model = LogisticRegression(max_iter=200).fit(X, y)
    found = measure_robustness(model, dataset, shifts=(0, 6), rotations=(0, 45), noises=(0, 0.8))
    assert found.accuracy == pytest.approx(model.score(X_test, y_test))
    assert [(each.kind, each.amount) for each in found.changes] == [
        ("shift", 0),
        ("shift", 6),
        ("rotation", 0),
        ("rotation", 45),
        ("noise", 0),
        ("noise", 0.8),
    ]
    for none, much in zip(found.changes[::2], found.changes[1::2], strict=True):
        assert none.right == found.right
        assert much.accuracy < found.accuracy - 0.1
        assert much.interval() == wilson_interval(much.right, len(y_test))
    assert measure_robustness(model, dataset.test, shifts=(0, 6), rotations=(0, 45), noises=(0, 0.8)) == found


def test_progress_is_reported(dataset: Dataset) -> None:
    """Progress goes from nothing to all, and the last report says that it is finished, also after a failure."""
    model = DummyClassifier().fit(*dataset.as_sklearn()[0])
    steps: list[Step] = []
    with listening(steps.append):
        measure_robustness(model, dataset, shifts=(1,), rotations=(), noises=(0.1,))
    total = 2 * dataset.test.images.nbytes
    assert [(step.done, step.total, step.finished) for step in steps] == [
        (0, total, False),
        (total // 2, total, False),
        (total, total, True),
    ]


@pytest.mark.parametrize(
    "amounts", [{"shifts": (-1,)}, {"shifts": (1.5,)}, {"rotations": (-5,)}, {"noises": (float("nan"),)}]
)
def test_amounts_that_can_not_be_are_refused(dataset: Dataset, amounts: dict[str, tuple[float]]) -> None:
    """An amount below 0, a broken shift, or NaN is refused before anything is asked."""
    with pytest.raises(UsageError, match="use "):
        measure_robustness(None, dataset, **amounts)  # type: ignore[arg-type]  # that is the point
