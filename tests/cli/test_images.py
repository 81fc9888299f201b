"""Image files and arrays become images of a model's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnistkit.cli.images import read_images
from mnistkit.errors import DataFormatError

SHAPE = (28, 28)


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
