"""Pictures become what MNIST's images are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnistkit.cli.images import fitted_to, read_images
from mnistkit.errors import DataFormatError

SHAPE = (28, 28)


def test_a_picture_of_the_size_is_taken_as_it_is() -> None:
    """What has the size already isn't cropped, moved or scaled."""
    image = np.zeros(SHAPE, dtype=np.uint8)
    image[2:6, 3:5] = 200
    assert np.array_equal(fitted_to(SHAPE, image), image)


def test_a_light_background_is_inverted() -> None:
    """Dark on light of the right size becomes light on dark, otherwise unchanged."""
    image = np.zeros(SHAPE, dtype=np.uint8)
    image[2:6, 3:5] = 200
    assert np.array_equal(fitted_to(SHAPE, 255 - image), image)


@pytest.mark.parametrize("size", [(280, 280), (100, 400), (400, 100), (40, 30), (12, 12)])
@pytest.mark.parametrize("is_dark", [True, False])
def test_a_drawing_is_boxed_and_centred(size: tuple[int, int], is_dark: bool) -> None:
    """A drawing anywhere in a picture of any size fills a 20x20 box, its mass where MNIST's is."""
    picture = np.zeros(size, dtype=np.uint8)
    picture[1 : size[0] // 2, 2 : size[1] // 3] = 180
    fitted = fitted_to(SHAPE, 255 - picture if is_dark else picture)
    rows, columns = np.nonzero(fitted.max(axis=1) > 64)[0], np.nonzero(fitted.max(axis=0) > 64)[0]
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    assert fitted.max() == 255
    for axis in (0, 1):
        mass = fitted.sum(axis=1 - axis, dtype=float)
        assert mass @ (np.arange(28) + 0.5) / mass.sum() == pytest.approx(14.5, abs=0.6)


def test_a_grey_background_becomes_black() -> None:
    """Paper that isn't white leaves no grey behind."""
    picture = np.full((100, 100), 190, dtype=np.uint8)
    picture[30:70, 40:60] = 40
    fitted = fitted_to(SHAPE, picture)
    assert fitted[0, 0] == 0
    assert fitted[14, 14] == 255


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_picture_is_refused(shade: int) -> None:
    """A picture of one shade shows nothing, and that is said."""
    with pytest.raises(DataFormatError, match="all of one shade"):
        fitted_to(SHAPE, np.full((50, 50), shade, dtype=np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "I;16"])
def test_every_kind_of_picture_is_read(tmp_path: Path, mode: str) -> None:
    """Grey, coloured, transparent, indexed, black-and-white and 16-bit pictures give the same digit."""
    digit = np.zeros(SHAPE, dtype=np.uint8)
    digit[4:24, 12:16] = 255
    if mode == "I;16":
        picture = Image.fromarray(digit.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(digit).convert("RGB").convert(mode)
    picture.save(tmp_path / "digit.png")
    assert np.array_equal(read_images(tmp_path / "digit.png", SHAPE), digit[None])


@pytest.mark.parametrize("shade", [0, 255])
def test_a_transparent_background_counts_as_background(tmp_path: Path, shade: int) -> None:
    """A black or a white drawing on nothing becomes light on dark."""
    digit = np.zeros(SHAPE, dtype=np.uint8)
    digit[4:24, 12:16] = 255
    pixels = np.dstack([np.full((*SHAPE, 3), shade, dtype=np.uint8), digit])
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    assert np.array_equal(read_images(tmp_path / "digit.png", SHAPE)[0], digit)


def test_a_huge_picture_is_refused(tmp_path: Path) -> None:
    """A small file that claims a huge picture is refused before its pixels are made."""
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    with pytest.raises(DataFormatError, match="9000x9000 pixels"):
        read_images(tmp_path / "huge.png", SHAPE)


def test_an_array_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """A header that promises more than the file holds is refused without taking the memory."""
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28), dtype=np.uint8))
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"(1, 28, 28), }          ", b"(1000000000, 28, 28), } "))
    with pytest.raises(DataFormatError, match=r"no \.npy file"):
        read_images(tmp_path / "x.npy", SHAPE)
