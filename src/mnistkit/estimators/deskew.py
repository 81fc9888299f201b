r"""Deskewing, centring and resizing of grey images by their moments.

With intensities as masses, an image has a centre :math:`(\bar x, \bar y)` and second central moments
:math:`\mu_{xy}, \mu_{yy}`. A horizontal shear by :math:`\mu_{xy} / \mu_{yy}` makes x and y uncorrelated, so that a
slanted stroke stands upright. It is the preprocessing of Y. LeCun, L. Bottou, Y. Bengio and P. Haffner,
*Gradient-based learning applied to document recognition*, Proceedings of the IEEE 86 (1998), section III.
It is a prior for handwritten characters: slant is the writer's, not the character's. So is size:
:math:`\sigma_x = \sqrt{\mu_{xx}}` and :math:`\sigma_y` are brought half way to a standard, in logarithms (moment
normalization: R. G. Casey, *Moment normalization of handprinted characters*, IBM Journal of Research and Development
14, 1970).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["MAX_SHEAR", "MIN_VARIANCE_PIXELS", "SCALES", "STANDARD_SIZES", "resize", "straighten"]

Array = NDArray[Any]

MAX_SHEAR = 1.0  # pixels sideways per row: 45 degrees
MIN_VARIANCE_PIXELS = 1e-3  # of the rows: what has no height has no slant
STANDARD_SIZES = (0.21, 0.175)  # the standard deviations of y and x, next to the image's height and width
SCALES = (0.6, 1.3)  # the least and the most that an image is shrunk by


@frozen(eq=False)
class _Moments:
    """The centre ``x`` and ``y`` in pixels, and the shear in pixels per row, ``(n,) float32`` each."""

    x: Array
    y: Array
    shear: Array


def straighten(images: Array, *, deskew: bool = True, centre: bool = True) -> Array:
    """Return images that are sheared upright, and moved to the middle.

    Rows move by whole pixels up or down, and by fractions sideways, interpolated linearly; what lies outside an image
    counts as 0. An image without any mass is returned as it is. The result doesn't depend on the intensities' scale.

    Args:
        images: ``(n, h, w)`` float32; 0 is background.
        deskew: Shear, about the centre of mass.
        centre: Move the centre of mass to the middle of the image.

    Returns:
        ``(n, h, w)`` float32.
    """
    n, h, w = images.shape
    moments = _moments(images)
    rows = np.arange(h, dtype=np.float32)
    down = np.zeros(n, int)
    sideways = np.zeros((n, h), np.float32)
    if centre:
        down = np.rint(moments.y - (h - 1) / 2).astype(int)
        sideways += (moments.x - (w - 1) / 2)[:, None]
    source = np.arange(h) + down[:, None]
    if deskew:
        sideways += moments.shear[:, None] * (rows + down[:, None] - moments.y[:, None])
    return _resample(images, source, sideways)


def resize(images: Array) -> Array:
    """Return images scaled about their centre of mass, towards a standard height and width.

    Pixels are interpolated linearly; what lies outside an image counts as 0.

    Args:
        images: ``(n, h, w) float32``; 0 is background.

    Returns:
        ``(n, h, w)`` float32.
    """
    mass = images.sum(axis=(1, 2))
    mass = np.where(mass > 0, mass, 1)
    profiles = images.sum(axis=2) / mass[:, None], images.sum(axis=1) / mass[:, None]
    down, across = (_scaling(each, share) for each, share in zip(profiles, STANDARD_SIZES, strict=True))
    resized: Array = down @ images @ across.transpose(0, 2, 1)
    return resized


def _scaling(profile: Array, share: float) -> Array:
    """Return the matrix that scales along one axis, ``(n, size, size)``, from the mass along it, ``(n, size)``."""
    size = profile.shape[1]
    pixels = np.arange(size, dtype=np.float32)
    centre = profile @ pixels
    variance = np.maximum(profile @ (pixels * pixels) - centre * centre, MIN_VARIANCE_PIXELS)
    scale = np.clip(np.sqrt(np.sqrt(variance) / np.float32(share * size)), *SCALES)
    source = centre[:, None] + (pixels - centre[:, None]) * scale[:, None]
    weights: Array = np.maximum(1 - np.abs(source[:, :, None] - pixels), 0)
    return weights


def _moments(images: Array) -> _Moments:
    n, h, w = images.shape
    y, x = (axis.ravel().astype(np.float32) for axis in np.mgrid[:h, :w])
    mass, mx, my, mxy, myy = (images.reshape(n, -1) @ np.stack([np.ones_like(x), x, y, x * y, y * y], axis=1)).T
    empty = mass <= 0
    mass = np.where(empty, 1, mass)
    x_mean, y_mean = mx / mass, my / mass
    shear = (mxy / mass - x_mean * y_mean) / np.maximum(myy / mass - y_mean**2, MIN_VARIANCE_PIXELS)
    return _Moments(
        x=np.where(empty, (w - 1) / 2, np.clip(x_mean, 0, w - 1)).astype(np.float32),
        y=np.where(empty, (h - 1) / 2, np.clip(y_mean, 0, h - 1)).astype(np.float32),
        shear=np.where(empty, 0, np.clip(shear, -MAX_SHEAR, MAX_SHEAR)).astype(np.float32),
    )


def _resample(images: Array, source: Array, sideways: Array) -> Array:
    """Read row ``y`` of image ``i`` from row ``source[i, y]``, at ``x + sideways[i, y]``.

    Each output row is one run of ``w + 1`` neighbouring pixels, read as a window into rows that are padded with
    zeros: no index is computed per pixel.
    """
    n, h, w = images.shape
    sideways = np.clip(sideways, -w, w)  # further out all is 0
    whole = np.floor(sideways)
    fraction = (sideways - whole)[..., None]
    padded = np.zeros((n, h + 1, 3 * w + 1), np.float32)  # the last row is empty, for rows from outside
    padded[:, :h, w : 2 * w] = images
    inside = (source >= 0) & (source < h)
    row = np.arange(n)[:, None] * (h + 1) + np.where(inside, source, h)
    start = row * (3 * w + 1) + w + whole.astype(int)
    runs = np.lib.stride_tricks.sliding_window_view(padded.reshape(-1), w + 1)[start]
    resampled: Array = runs[..., :-1] + (runs[..., 1:] - runs[..., :-1]) * fraction
    return resampled
