"""Grey pictures brought to the size of a dataset's images. Needs Pillow: the extra ``cli``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.image_folder.reading import LEAST_CONTRAST
from mnistkit.errors import DataFormatError

__all__ = ["background", "centred", "resized"]

_INK = 32


def background(picture: NDArray[np.uint8]) -> int:
    """The shade that a picture is drawn on: the median of its border."""
    return int(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole picture at another size: its proportions stay, and what that leaves free is its background.

    One that has the size already is returned as it is.

    Args:
        picture: ``(height, width) uint8``.
        shape: ``(h, w)`` to make.
    """
    if picture.shape == shape:
        return picture
    small = _scaled(picture, shape)
    canvas = np.full(shape, background(picture), dtype=np.uint8)
    top, left = ((shape[axis] - small.shape[axis]) // 2 for axis in (0, 1))
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def centred(picture: NDArray[np.uint8], shape: tuple[int, int], source: object = "the picture") -> NDArray[np.uint8]:
    """A picture as MNIST has them: its light ink on black, in a box, placed by its centre of mass.

    The box is 20/28 of the size, as in LeCun et al., "Gradient-based learning applied to document recognition" (1998),
    section III.A; what is as dark as the background becomes black, and the lightest ink white.

    Args:
        picture: ``(height, width) uint8``, light on dark.
        shape: ``(h, w)`` to make.
        source: Where it came from, for the message.

    Raises:
        DataFormatError: There is no ink on it.
    """
    ink = np.clip(picture.astype(np.float32) - background(picture), 0, None)
    if ink.max() < LEAST_CONTRAST:
        raise DataFormatError(f"{source} shows nothing: it is all of one shade. Draw dark on light, or light on dark.")
    ink *= 255 / ink.max()
    rows, columns = np.nonzero(ink.max(axis=1) > _INK)[0], np.nonzero(ink.max(axis=0) > _INK)[0]
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].round().astype(np.uint8)
    return _placed(_scaled(cropped, (round(shape[0] * 20 / 28), round(shape[1] * 20 / 28))), shape)


def _scaled(picture: NDArray[np.uint8], box: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture as large as it fits into ``box``, in its proportions."""
    from PIL import Image

    scale = min(box[0] / picture.shape[0], box[1] / picture.shape[1])
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def _placed(ink: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Place ``ink`` with its centre of mass where MNIST's is: in the pixel right of and below the middle."""
    canvas = np.zeros(shape, dtype=np.uint8)
    total = ink.sum(dtype=np.float64)
    corner = []
    for axis in (0, 1):
        mass = ink.sum(axis=1 - axis, dtype=np.float64)
        centre = float(mass @ (np.arange(len(mass)) + 0.5) / total)
        corner.append(min(max(round(shape[axis] / 2 + 0.5 - centre), 0), shape[axis] - len(mass)))
    top, left = corner
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas
