"""Grey images brought to the size of a dataset's images. Needs Pillow: the extra ``cli``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["background", "placed", "resized", "scaled"]


def background(picture: NDArray[np.uint8]) -> int:
    """Return the shade that an image is drawn on: the median of its border."""
    return int(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the whole image at another size: its proportions stay, and what that leaves free is its background.

    One that has the size already is returned as it is.

    Args:
        picture: ``(height, width) uint8``.
        shape: ``(h, w)`` to make.
    """
    if picture.shape == shape:
        return picture
    small = scaled(picture, shape)
    canvas = np.full(shape, background(picture), dtype=np.uint8)
    top, left = ((shape[axis] - small.shape[axis]) // 2 for axis in (0, 1))
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def scaled(picture: NDArray[np.uint8], box: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the image as large as it fits into ``box``, in its proportions."""
    from PIL import Image

    scale = min(box[0] / picture.shape[0], box[1] / picture.shape[1])
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def placed(ink: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a canvas with ``ink``, its centre of mass in the pixel right of and below the middle, as MNIST has it."""
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
