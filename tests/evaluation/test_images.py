"""Image files and arrays become images of a model's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.errors import DataFormatError
from mnistkit.evaluation.images import read_images
from mnistkit.models.input import InputSpec

Image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")

SHAPE = (28, 28)
SPEC = InputSpec(height=28, width=28, inverted=True, centred=True)


def seen(path: Path) -> Any:
    """The one image of a file, as a model of MNIST takes it."""
    (image,) = read_images(path, SPEC)
    if image.error:
        raise image.error
    return image.pixels


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
    assert np.array_equal(seen(tmp_path / "digit.png"), digit)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_transparent_background_counts_as_background(tmp_path: Path, shade: int) -> None:
    """A black or a white drawing on nothing becomes light on dark."""
    digit = np.zeros(SHAPE, dtype=np.uint8)
    digit[4:24, 12:16] = 255
    pixels = np.dstack([np.full((*SHAPE, 3), shade, dtype=np.uint8), digit])
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    assert np.array_equal(seen(tmp_path / "digit.png"), digit)


def test_a_huge_picture_is_refused(tmp_path: Path) -> None:
    """A small file that claims a huge picture is refused before its pixels are made."""
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    with pytest.raises(DataFormatError, match="9000x9000 pixels"):
        seen(tmp_path / "huge.png")


def test_an_array_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """A header that promises more than the file holds is refused without taking the memory."""
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28), dtype=np.uint8))
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"(1, 28, 28), }          ", b"(1000000000, 28, 28), } "))
    with pytest.raises(DataFormatError, match=r"no \.npy file"):
        seen(tmp_path / "x.npy")


@pytest.mark.parametrize("litter", ["__MACOSX", "@eaDir", "$RECYCLE.BIN", ".thumbnails", "lost+found"])
def test_what_systems_leave_in_a_folder_is_no_image(tmp_path: Path, litter: str) -> None:
    """Thumbnails and deleted files in a folder aren't predicted, as they aren't imported."""
    for path in (tmp_path / "a.png", tmp_path / "scans" / "b.png", tmp_path / "scans" / litter / "c.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(8, dtype=np.uint8) * 200).save(path)
    found = [image.source for image in read_images(tmp_path, InputSpec(height=8, width=8))]
    assert found == [str(tmp_path / "a.png"), str(tmp_path / "scans" / "b.png")]
