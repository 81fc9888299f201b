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

__all__ = ["LEAST_CONTRAST", "MAX_PIXELS", "open_unfollowed", "read_grey"]

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded: more than any camera's, less than what could fill the memory."""

LEAST_CONTRAST = 24
"""Two shades that are closer than this are taken for one."""

_MAX_FILE = 256 << 20
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_grey(
    source: Path | BinaryIO,
    *,
    formats: Sequence[str] = ("PNG", "JPEG"),
    name: object = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode a picture, and make it grey.

    Colours are weighed as ITU-R BT.601 has it. What is transparent shows white; black if white would hide the picture.
    A photograph is turned as its camera says. Only the header is read of a picture that is too large.

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
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("Reading pictures needs Pillow: python -m pip install 'mnistkit[cli]'.") from error
    name = source if name is None else name
    try:
        with _unwarned(), Image.open(source, formats=tuple(formats)) as image:
            _check_pixels(image, name, max_pixels)
            ImageOps.exif_transpose(image, in_place=True)
            return _grey(image)
    except (DataFormatError, PermissionError):
        raise
    except UnidentifiedImageError as error:
        raise DataFormatError(f"{name} is no picture that can be read: it isn't {' or '.join(formats)}.") from error
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, EOFError) as error:
        raise DataFormatError(f"{name} is no picture that can be read: {error}.") from error
    except Image.DecompressionBombError as error:
        raise DataFormatError(f"{name} has too many pixels: use at most {max_pixels}.") from error


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
    if status.st_size > _MAX_FILE:
        raise DataFormatError(f"{path} has {status.st_size} bytes: use at most {_MAX_FILE}.")


def _check_pixels(image: Any, name: object, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise DataFormatError(f"{name} has {image.width}x{image.height} pixels: use at most {max_pixels}.")


@contextmanager
def _unwarned() -> Iterator[None]:
    """Pillow warns of large pictures and odd metadata: what matters of it is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _grey(image: Any) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which "L" would cut off at 255
        return np.array((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255), dtype=np.uint8)
    if not image.has_transparency_data:
        return np.array(image.convert("L"), dtype=np.uint8)
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    grey, alpha = rgba.convert("L"), rgba.getchannel("A")
    on_white = np.array(Image.composite(grey, Image.new("L", image.size, 255), alpha), dtype=np.uint8)
    if np.ptp(on_white) >= LEAST_CONTRAST:
        return on_white
    return np.array(Image.composite(grey, Image.new("L", image.size, 0), alpha), dtype=np.uint8)
