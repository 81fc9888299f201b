"""Picture files from unknown hands, as grey pixels. Needs Pillow: the extra ``cli``."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, MissingExtraError

__all__ = ["IMAGE_FORMATS", "LEAST_CONTRAST", "MAX_PIXELS", "grey_pixels", "is_pillow", "open_unfollowed", "read_grey"]

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded: more than any camera's, less than what could fill the memory."""

LEAST_CONTRAST = 24
"""Two shades that are closer than this are taken for one."""

IMAGE_FORMATS = ("PNG", "JPEG", "BMP")
"""What is read, whatever a file's name says, in Pillow's words."""

_ORIENTATION_TAG = 0x112
_MAX_FILE_BYTES = 256 << 20
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_grey(
    source: Path | BinaryIO,
    *,
    formats: Sequence[str] = IMAGE_FORMATS,
    name: object = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode a picture, and make it grey.

    Colours are weighed as ITU-R BT.601 has it. What is transparent shows white; black if white would hide the picture.
    A photograph is turned as its camera says. A file of 16 bits that holds nothing above 255 is taken for one of 8
    bits. Only the header is read of a picture that is too large.

    Args:
        source: A file, or a stream of its bytes.
        formats: What it may be, whatever its name says, in Pillow's words.
        name: What to call it in messages; None for ``source``.
        max_pixels: The most pixels that it may have.

    Returns:
        ``(h, w) uint8``.

    Raises:
        DataFormatError: It is truncated, too large, or no picture of these formats.
        MissingExtraError: Pillow isn't installed.
        PermissionError: The system says so.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("Reading pictures needs Pillow: python -m pip install 'mnistkit[cli]'.") from error
    name = source if name is None else name
    try:
        with _unwarned(), Image.open(source, formats=tuple(formats)) as image:
            _check_pixels(image, name, max_pixels)
            return _turned(_grey(image), _orientation(image))
    except (DataFormatError, PermissionError):
        raise
    except UnidentifiedImageError as error:
        raise DataFormatError(f"{name} is no picture that can be read: it isn't {' or '.join(formats)}.") from error
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, EOFError) as error:
        raise DataFormatError(f"{name} is no picture that can be read: {error}.") from error
    except Image.DecompressionBombError as error:
        raise DataFormatError(f"{name} has too many pixels: use at most {max_pixels}.") from error


def grey_pixels(image: Any, name: object, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the pixels of a Pillow image, made grey as `read_grey` does.

    Raises:
        DataFormatError: It is damaged, or too large.
    """
    _check_pixels(image, name, max_pixels)
    try:
        return _turned(_grey(image), _orientation(image))
    except (OSError, ValueError, SyntaxError, TypeError) as error:
        raise DataFormatError(f"{name} can't be decoded: {error}.") from error


def is_pillow(item: object) -> bool:
    """Return True for a Pillow image, without importing Pillow."""
    return any(kind.__module__ == "PIL.Image" for kind in type(item).__mro__)


def open_unfollowed(path: Path) -> BinaryIO:
    """Open a regular file for reading: no symbolic link is followed, and nothing waits on a pipe.

    Raises:
        DataFormatError: It is something else, or larger than any picture.
        OSError: As the system says.
    """
    descriptor = os.open(path, _OPEN)
    try:
        _check_file(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_file(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise DataFormatError(f"{path} is no regular file.")
    if status.st_size > _MAX_FILE_BYTES:
        raise DataFormatError(f"{path} has {status.st_size} bytes: use at most {_MAX_FILE_BYTES}.")


def _check_pixels(image: Any, name: object, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise DataFormatError(f"{name} has {image.width}x{image.height} pixels: use at most {max_pixels}.")


def _orientation(image: Any) -> int:
    """How the camera was held: the EXIF tag 0x112, 1 to 8; 1 if the file has none that can be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow parses EXIF with struct, and raises whatever that raises on damaged tags
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004 - EXIF's values


def _turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation: 2 to 4 flip and turn by halves, 5 to 8 also exchange rows and columns."""
    if orientation >= 5:  # noqa: PLR2004 - EXIF's values
        image = image.T
    vertical = orientation in {3, 4, 7, 8}
    horizontal = orientation in {2, 3, 6, 7}
    return np.ascontiguousarray(image[:: -1 if vertical else 1, :: -1 if horizontal else 1])


@contextmanager
def _unwarned() -> Iterator[None]:
    """Pillow warns of large pictures and odd metadata: what matters of it is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _grey(image: Any) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which "L" would cut off at 255
        values = np.asarray(image, dtype=np.int64)
        return np.array((values >> (8 if values.max() > 255 else 0)).clip(0, 255), dtype=np.uint8)  # noqa: PLR2004 - 8 bits
    if not image.has_transparency_data:
        return np.array(image.convert("L"), dtype=np.uint8)
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    grey, alpha = rgba.convert("L"), rgba.getchannel("A")
    on_white = np.array(Image.composite(grey, Image.new("L", image.size, 255), alpha), dtype=np.uint8)
    if np.ptp(on_white) >= LEAST_CONTRAST:
        return on_white
    return np.array(Image.composite(grey, Image.new("L", image.size, 0), alpha), dtype=np.uint8)
