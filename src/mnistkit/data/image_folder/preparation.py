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
    inverted = len(sample) - count_light(sample) >= _MOST_SHARE * len(sample)
    centred = inverted and sample.shape[1] == sample.shape[2] and bool(_placed(sample).mean() >= _MOST_SHARE)
    return inverted, centred


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
    """Return True if an image is of this size, and placed as MNIST's are."""
    return image.shape == shape and bool(_placed(image[np.newaxis])[0])


def _placed(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which images ``(n, h, w)`` have their ink in the box and its mass in the middle, as MNIST's have.

    Images below `_MIN_JUDGED_SIDE_PIXELS` have too few pixels to tell: they are taken as they are.
    """
    fits = np.ones(len(images), dtype=np.bool_)
    if min(images.shape[1:]) < _MIN_JUDGED_SIDE_PIXELS:
        return fits
    ink = np.where(images > _FAINT_GREY, images, 0).astype(np.float64)
    for axis, side in enumerate(images.shape[1:]):
        profiles = ink.sum(axis=2 - axis)
        total = profiles.sum(axis=1)
        inked = profiles > 0
        extent = side - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        middle = profiles @ (np.arange(side) + 0.5) / np.maximum(total, 1)
        fits &= (total > 0) & (extent <= side * _BOX_SHARE + 1)
        fits &= np.abs(middle - side / 2 - 0.5) <= _MAX_OFFSET_SHARE * side
    return fits
