"""Preparing an image for a model: one way for training data that is imported and for images to predict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.image_folder.digit import check_strokes, extract_digit
from mnistkit.data.image_folder.fitting import background, resized
from mnistkit.data.image_folder.reading import LEAST_CONTRAST
from mnistkit.errors import DataFormatError

__all__ = ["count_light", "is_light", "looks_prepared", "prepared"]

_MIDDLE_GREY = 127
_FAINT_GREY = 32
_MIN_JUDGED_SIDE_PIXELS = 16
_BOX_SHARE = 20 / 28
_MAX_OFFSET_SHARE = 2 / 28
_SAMPLE_IMAGES = 500
_MOST_SHARE = 0.9


def is_light(image: NDArray[np.uint8]) -> bool:
    """Return True if an image is drawn on a light ground."""
    return background(image) > _MIDDLE_GREY


def count_light(images: NDArray[np.uint8]) -> int:
    """Return how many images ``(n, h, w)`` are drawn on a light ground; see `is_light`."""
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    middle = np.median(border, axis=1).astype(np.int64)
    return int((middle > _MIDDLE_GREY).sum())


def looks_prepared(images: NDArray[np.uint8]) -> tuple[bool, bool]:
    """Return how images look that came without a word on it: as if inverted, and as if centred as MNIST's are.

    Args:
        images: ``(n, h, w) uint8``; a sample of them is judged.
    """
    sample = images[:: max(len(images) // _SAMPLE_IMAGES, 1)]
    inverted = np.mean([not is_light(image) for image in sample]) >= _MOST_SHARE
    shape = (sample.shape[1], sample.shape[2])
    centred = inverted and shape[0] == shape[1] and np.mean([_is_placed(i, shape) for i in sample]) >= _MOST_SHARE
    return bool(inverted), bool(centred)


def prepared(
    image: NDArray[np.uint8],
    shape: tuple[int, int],
    *,
    inverted: bool,
    centred: bool,
    source: object = "the image",
) -> NDArray[np.uint8]:
    """Return an image as a model's training data was prepared.

    Args:
        image: ``(height, width) uint8``.
        shape: ``(h, w)`` of the model's images.
        inverted: The ground is to be dark: an image on a light ground is inverted.
        centred: The digit is to be found, scaled and placed as MNIST's were; an image that is like that already stays
            as it is. Without it the whole image is scaled, in its proportions.
        source: Where the image came from, for messages.

    Returns:
        ``(h, w) uint8``.

    Raises:
        DataFormatError: It is all of one shade; or, ``centred``, it shows several digits or ink everywhere.
    """
    if np.ptp(image) < LEAST_CONTRAST:
        raise DataFormatError(f"{source} shows nothing: it is all of one shade. Draw dark on light, or light on dark.")
    if (inverted or centred) and is_light(image):
        image = 255 - image
    if centred and not _is_placed(image, shape):
        return extract_digit(image, shape, source)
    if centred and min(shape) >= _MIN_JUDGED_SIDE_PIXELS:
        check_strokes(image > _MIDDLE_GREY, source)
    return resized(image, shape)


def _is_placed(image: NDArray[np.uint8], shape: tuple[int, int]) -> bool:
    """Return True if an image is of this size, with its ink in the box and its mass in the middle, as MNIST's are.

    Images below `_MIN_JUDGED_SIDE_PIXELS` have too few pixels to tell: they are taken as they are.
    """
    if image.shape != shape:
        return False
    if min(shape) < _MIN_JUDGED_SIDE_PIXELS:
        return True
    ink = np.where(image > _FAINT_GREY, image, 0).astype(np.float64)
    for axis, side in enumerate(shape):
        profile = ink.sum(axis=1 - axis)
        if not profile.any():
            return False
        inked = np.nonzero(profile)[0]
        middle = profile @ (np.arange(side) + 0.5) / profile.sum()
        if inked[-1] - inked[0] + 1 > side * _BOX_SHARE + 1 or abs(middle - side / 2 - 0.5) > _MAX_OFFSET_SHARE * side:
            return False
    return True
