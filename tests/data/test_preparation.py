"""Images are prepared for a model as its training data was; a digit is found on a photograph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mnistkit.data.dataset import Dataset
from mnistkit.data.image_folder.digit import extract_digit
from mnistkit.data.image_folder.preparation import prepared
from mnistkit.errors import DataFormatError

SHAPE = (28, 28)
SIDE = 280
COLUMNS, ROWS = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def seven(size: tuple[int, int] = (SIDE, SIDE), *, width: int = 0) -> NDArray[np.uint8]:
    """A 7 drawn light on black, in the upper left of an image."""
    h, w = size[0] // 2, size[1] // 2
    width = width or max(min(h, w) // 8, 1)
    image = np.zeros(size, dtype=np.uint8)
    top, left = size[0] // 8, size[1] // 8
    image[top : top + width, left : left + w] = 220
    for row in range(h):
        column = left + w - width - round(row / h * w * 0.6)
        image[top + row, max(column, 0) : column + width] = 220
    return image


def ruled(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image on ruled paper."""
    lined = image.copy()
    lined[20::35] = np.minimum(lined[20::35], 150)
    return lined


def specked(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image with dirt beside the digit."""
    dirty = image.copy()
    dirty[3:6, 3:6] = 60
    dirty[-9:-5, -40:-36] = 60
    return dirty


NOISE = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE))
CONDITIONS: dict[str, Change] = {
    "noise": lambda image: image + NOISE,
    "specks": specked,
    "falling light": lambda image: image - 60 * COLUMNS / SIDE,
    "ruled lines": ruled,
    "grey paper": lambda image: image / 2,
    "all of them": lambda image: ruled(specked(image)) - 60 * ROWS / SIDE + NOISE,
}


def paper(digit: NDArray[np.uint8], change: Change = lambda image: image) -> NDArray[np.uint8]:
    """A photograph of a digit that is written on light paper."""
    return np.clip(change(235 - 0.8 * digit.astype(np.float64)), 0, 255).astype(np.uint8)


def is_placed(image: NDArray[np.uint8]) -> bool:
    """Return True if the ink fills the 20x20 box of MNIST, with its mass in the middle."""
    rows, columns = np.nonzero(image.max(axis=1) > 64)[0], np.nonzero(image.max(axis=0) > 64)[0]
    middles = [image.sum(axis=1 - axis, dtype=float) @ (np.arange(28) + 0.5) / image.sum() for axis in (0, 1)]
    return max(np.ptp(rows), np.ptp(columns)) + 1 == 20 and all(abs(middle - 14.5) <= 0.6 for middle in middles)


@pytest.mark.parametrize("size", [(280, 280), (100, 300), (300, 100), (60, 50)])
@pytest.mark.parametrize("is_dark", [True, False])
def test_a_digit_is_boxed_and_centred(size: tuple[int, int], *, is_dark: bool) -> None:
    """A digit anywhere in an image of any size, dark or light, fills a 20x20 box, its mass where MNIST's is."""
    image = seven(size)
    made = extract_digit(255 - image if is_dark else image, SHAPE)
    assert is_placed(made)
    assert made.max() >= 230


@pytest.mark.parametrize("condition", CONDITIONS)
def test_photographs_show_the_same_digit(condition: str) -> None:
    """Noise, specks, uneven light, lines and grey paper change little of what the model gets."""
    clean = extract_digit(paper(seven()), SHAPE).astype(float)
    made = extract_digit(paper(seven(), CONDITIONS[condition]), SHAPE).astype(float)
    assert np.abs(made - clean).mean() < 6


@pytest.mark.mnist
@pytest.mark.parametrize("condition", CONDITIONS)
def test_photographs_are_recognized(real_mnist: Dataset, mnist_model: object, condition: str) -> None:
    """Of photographed test digits at most a tenth more are taken for others than of clean ones."""
    images, labels = real_mnist.test.images[:50], real_mnist.test.labels[:50]

    def accuracy(change: Change) -> float:
        large = [np.asarray(Image.fromarray(np.asarray(image)).resize((140, 140))) for image in images]
        photos = [paper(np.pad(image, 70), change) for image in large]
        X = np.stack([extract_digit(photo, SHAPE) for photo in photos]).reshape(len(photos), -1) / np.float32(255)
        return float(np.mean(mnist_model.predict(X) == labels))  # type: ignore[attr-defined]

    assert accuracy(CONDITIONS[condition]) >= accuracy(lambda image: image) - 0.1


@pytest.fixture(scope="module")
def mnist_model(real_mnist: Dataset) -> object:
    """A linear model of 3,000 images."""
    from sklearn.linear_model import LogisticRegression

    part = real_mnist.subset(3000)
    return LogisticRegression(tol=0.01, C=0.05).fit(part.train.X(), part.train.y)


BLANKS: dict[str, NDArray[np.float64]] = {
    "white": np.full((SIDE, SIDE), 235.0),
    "black": np.zeros((SIDE, SIDE)),
    "noise": 235 + NOISE,
    "falling light": 235 - 80 * COLUMNS / SIDE + NOISE / 2,
    "only lines": ruled(np.full((SIDE, SIDE), 235.0)),
}


@pytest.mark.parametrize("blank", BLANKS)
def test_empty_paper_shows_nothing(blank: str) -> None:
    """Empty paper is refused, whatever the light and the noise."""
    with pytest.raises(DataFormatError, match="shows nothing"):
        extract_digit(np.clip(BLANKS[blank], 0, 255).astype(np.uint8), SHAPE)


def test_several_digits_are_refused() -> None:
    """Two digits side by side are no digit."""
    with pytest.raises(DataFormatError, match="several digits"):
        extract_digit(np.hstack([paper(seven()), paper(seven())]), SHAPE)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.where((COLUMNS // 20 + ROWS // 20) % 2, 60, 235), "ink everywhere|several digits|runs off|shows nothing"),
        (np.where((COLUMNS - 140) ** 2 + (ROWS - 140) ** 2 < 60**2, 60, 235), "spot or a shadow"),
        (np.where((COLUMNS - 140) ** 2 + (ROWS - 290) ** 2 < 120**2, 90, 235), "runs off its edge|spot"),
    ],
    ids=["chequered", "spot", "hand at the edge"],
)
def test_what_is_no_digit_is_refused(image: NDArray[np.int64], words: str) -> None:
    """Ink everywhere, spots and shadows are refused rather than answered."""
    with pytest.raises(DataFormatError, match=words):
        extract_digit(image.astype(np.uint8), SHAPE)


RNG = np.random.default_rng(0)
CROWDS: dict[str, NDArray[np.integer]] = {
    "a code of squares": np.pad(np.kron(RNG.integers(0, 2, (25, 25)), np.full((10, 10), 200)), 15),
    "rings": np.max(
        [200 * (abs(np.hypot(ROWS - y, COLUMNS - x) - 30) < 5) for y, x in RNG.integers(50, 230, (9, 2))], 0
    ),
    "many dots": 200 * ndimage.binary_dilation(RNG.random((SIDE, SIDE)) < 0.01, iterations=2),
    "a line of text": np.pad(np.kron(RNG.integers(0, 2, (7, 80)), np.full((3, 3), 200)), ((120, 139), (20, 20))),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_is_refused(crowd: str) -> None:
    """More strokes, holes or width than one digit has aren't taken for a digit."""
    image = CROWDS[crowd].astype(np.uint8)
    for each in (image, 235 - image):
        with pytest.raises(DataFormatError):
            extract_digit(each, SHAPE)


@pytest.mark.parametrize("inside", ["box", "stripes", "noise"])
def test_a_crowd_of_the_models_own_size_is_refused(inside: str) -> None:
    """An image that is placed like a digit is checked, too, before it is taken as it is."""
    drawn = {"box": np.full((20, 20), 1), "stripes": ROWS[:20, :20] // 2 % 2, "noise": RNG.integers(0, 2, (20, 20))}
    with pytest.raises(DataFormatError, match=r"spot|several digits"):
        prepared(np.pad(drawn[inside] * 255, 4).astype(np.uint8), SHAPE, inverted=True, centred=True)


def test_a_prepared_digit_stays_as_it_is() -> None:
    """What is placed as MNIST's images are isn't cropped, moved or scaled; a light ground is inverted."""
    image = extract_digit(seven(), SHAPE)
    assert np.array_equal(prepared(image, SHAPE, inverted=True, centred=True), image)
    assert np.array_equal(prepared(255 - image, SHAPE, inverted=True, centred=True), image)


def test_a_digit_of_the_right_size_that_isnt_placed_is_placed() -> None:
    """An image of the model's size whose digit is in a corner is placed like any other."""
    image = np.zeros(SHAPE, dtype=np.uint8)
    image[1:12, 2:4] = 200
    image[1:3, 2:9] = 200
    assert is_placed(prepared(image, SHAPE, inverted=True, centred=True))


def test_images_that_were_not_centred_are_scaled_whole() -> None:
    """For a model of whole images nothing is cropped; the ground is made dark only where the training data's was."""
    image = paper(seven((56, 56)))
    whole = prepared(image, SHAPE, inverted=False, centred=False)
    assert whole.shape == SHAPE
    assert whole[-1, -1] == 235
    assert prepared(image, SHAPE, inverted=True, centred=False)[-1, -1] == 20


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("size", [SHAPE, (60, 60)])
def test_an_image_of_one_shade_is_refused(size: tuple[int, int], *, centred: bool) -> None:
    """A blank image is refused at any size, the model's own included."""
    with pytest.raises(DataFormatError, match="all of one shade"):
        prepared(np.full(size, 130, dtype=np.uint8), SHAPE, inverted=True, centred=centred)
