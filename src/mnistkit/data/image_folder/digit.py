"""One digit found in a photograph or scan, and drawn as MNIST has its images.

The steps are those of document binarization: estimate the background, take the ink as the difference from it, choose a
threshold by Otsu's method, remove what isn't the digit, and place the rest as MNIST was made. Needs Pillow: the extra
``cli``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.image_folder.fitting import placed, scaled
from mnistkit.data.image_folder.reading import LEAST_CONTRAST
from mnistkit.errors import DataFormatError

__all__ = ["check_strokes", "extract_digit"]

_WORKING_SIDE_PIXELS = 320
_GRID_SIDE_CELLS = 48
_BACKGROUND_ROUNDS = 12
_NOISE_SIGMAS = 5.0
_MAX_INK_SHARE = 0.45
_LINE_SHARE = 0.6  # a run of ink this long, as a share of the side, is a ruled line
_LINE_THICKNESS_SHARE = 0.03
_SPECK_SHARE = 0.04  # of the largest piece's area
_JOIN_SHARE = 0.12  # of the largest piece's side: closer pieces belong together
_RIVAL_SHARES = (
    (0.3, 0.45),
    (0.12, 0.6),
)  # of the largest group's area and height: another digit, not a part of this one
_MIN_DIGIT_SHARE = 0.5  # of all ink that is left
_MAX_EDGE_SHARE = 0.25  # of the digit's longer side, that may lie on one edge of the image
_MAX_STROKE_SHARE = 0.35  # half of a stroke's width, of the digit's longer side
# Of 30,000 images of MNIST none has longer strokes than 3.1 of its sides, nor is one wider than 2.5 of its heights. Of
# 1,500 that were drawn large none has more than two holes.
_MAX_STROKES_SIDES = 3.3
_MAX_WIDTH_HEIGHTS = 3.5
_MAX_HOLES = 2
_MIN_HOLE_SHARE = 0.01  # of the square of the longer side

_Ink = NDArray[np.float32]
_Mask = NDArray[np.bool_]


def extract_digit(image: NDArray[np.uint8], shape: tuple[int, int], source: object = "the image") -> NDArray[np.uint8]:
    """Return the one digit of an image as MNIST has them: light on black, in a box, placed by its centre of mass.

    Uneven light, noise, specks and ruled lines are removed; dark on light and light on dark are told apart. The box is
    20/28 of the size, as in LeCun et al., "Gradient-based learning applied to document recognition" (1998), section
    III.A. The threshold is Otsu's, "A threshold selection method from gray-level histograms" (1979).

    Args:
        image: ``(height, width) uint8``.
        shape: ``(h, w)`` to make.
        source: Where it came from, for messages.

    Returns:
        ``(h, w) uint8``, 0 is background.

    Raises:
        DataFormatError: It shows nothing, several digits, or ink everywhere.
    """
    ink = _ink(_reduced(image))
    mask = _mask(ink, source)
    mask = _without_lines(mask)
    mask = _one_digit(mask, source)
    check_strokes(mask, source)
    if _holes(mask) > _MAX_HOLES:
        raise DataFormatError(_crowded(source))
    return _drawn(ink, mask, shape)


def check_strokes(mask: NDArray[np.bool_], source: object = "the image") -> None:
    """Check that the ink of an image can be that of one digit.

    Args:
        mask: ``(height, width)``: where the ink is.
        source: Where it came from, for messages.

    Raises:
        DataFormatError: It is too wide, its strokes are too long in all, or it is a spot.
    """
    from scipy import ndimage

    rows, columns = (np.nonzero(mask.any(axis=axis))[0] for axis in (1, 0))
    height, width = (int(inked[-1] - inked[0]) + 1 if len(inked) else 0 for inked in (rows, columns))
    if width > _MAX_WIDTH_HEIGHTS * height:
        raise DataFormatError(f"{source} shows several digits: cut out one of them.")
    ink = np.pad(mask, 1)
    side = max(height, width, 1)
    # A stroke has two edges.
    if (ink & ~ndimage.binary_erosion(ink)).sum() / 2 > _MAX_STROKES_SIDES * side:
        raise DataFormatError(_crowded(source))
    if ndimage.distance_transform_edt(ink).max() > _MAX_STROKE_SHARE * side:
        raise DataFormatError(f"{source} shows a spot or a shadow, no strokes: show one digit on empty paper.")


def _reduced(image: NDArray[np.uint8]) -> _Ink:
    """Return the image with at most `_WORKING_SIDE_PIXELS` a side; the mean over merged pixels lowers the noise."""
    from PIL import Image

    scale = max(image.shape) / _WORKING_SIDE_PIXELS
    if scale <= 1:
        return image.astype(np.float32)
    size = (max(round(image.shape[1] / scale), 1), max(round(image.shape[0] / scale), 1))
    small = Image.fromarray(image).resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _ink(image: _Ink) -> _Ink:
    """Return how far each pixel is from the background, in the direction in which the drawing is."""
    difference = image - _background(image)
    spread = 3 * _deviation(difference)
    dark = np.clip(-difference - spread, 0, None).sum()
    light = np.clip(difference - spread, 0, None).sum()
    return -difference if dark >= light else difference


def _background(image: _Ink) -> _Ink:
    """Return the light on the empty paper: a quadratic surface, fitted by iteratively reweighted least squares.

    Tukey's biweight leaves the cells with ink out. A surface, unlike a local filter, doesn't follow wide strokes.
    """
    rows, columns = (np.array_split(np.arange(side), min(side, _GRID_SIDE_CELLS)) for side in image.shape)
    cells = np.array([[np.median(image[r[0] : r[-1] + 1, c[0] : c[-1] + 1]) for c in columns] for r in rows])
    y, x = (
        np.array([part.mean() for part in parts]) / side
        for parts, side in zip((rows, columns), image.shape, strict=True)
    )
    terms = _terms(*np.meshgrid(y, x, indexing="ij"))
    A, b = terms.reshape(len(terms), -1).T, cells.ravel()
    ring = np.zeros(cells.shape, dtype=bool)
    ring[[0, -1]] = True
    ring[:, [0, -1]] = True
    weights = np.where(ring.ravel(), 1.0, 0.05)
    weights *= np.abs(b - np.median(b[ring.ravel()])) <= max(3 * _deviation(b), 40)
    for _ in range(_BACKGROUND_ROUNDS):
        root = np.sqrt(weights)[:, None]
        surface = A @ np.linalg.lstsq(A * root, b * root[:, 0], rcond=None)[0]
        residual = b - surface
        scale = 4.685 * max(1.4826 * float(np.median(np.abs(residual))), 1.5)
        weights = np.clip(1 - (residual / scale) ** 2, 0, None) ** 2
        if not weights.any():
            break
    fine = _terms(*np.meshgrid(*((np.arange(side) + 0.5) / side for side in image.shape), indexing="ij"))
    coefficients = np.linalg.lstsq(A * np.sqrt(weights)[:, None], b * np.sqrt(weights), rcond=None)[0]
    return np.tensordot(coefficients, fine, axes=1).astype(np.float32)


def _terms(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(x), x, y, x * y, x**2, y**2])


def _deviation(values: NDArray[np.floating]) -> float:
    """Return a standard deviation that outliers don't move: from the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _mask(ink: _Ink, source: object) -> _Mask:
    """Return where the ink is."""
    from scipy import ndimage

    nothing = f"{source} shows nothing that stands out from its background. Draw dark on light, or light on dark."
    smooth = ndimage.gaussian_filter(ink, max(ink.shape) / 250)
    if np.ptp(smooth) < LEAST_CONTRAST / 2:
        raise DataFormatError(nothing)
    threshold = max(_otsu(smooth), _NOISE_SIGMAS * _deviation(smooth), LEAST_CONTRAST / 2)
    mask: _Mask = smooth > threshold
    if not mask.any() or ink[mask].mean() - ink[~mask].mean() < LEAST_CONTRAST:
        raise DataFormatError(nothing)
    if mask.mean() > _MAX_INK_SHARE:
        raise DataFormatError(f"{source} has ink everywhere: show one digit, with empty paper around it.")
    return mask


def _otsu(values: _Ink) -> float:
    """Return the threshold that maximizes the variance between the two classes that it makes."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])


def _without_lines(mask: _Mask) -> _Mask:
    """Return the mask without ruled lines; what strokes cross of them stays."""
    for axis in (0, 1):  # rows, then columns
        length = round(_LINE_SHARE * mask.shape[1 - axis])
        thickness = max(round(_LINE_THICKNESS_SHARE * mask.shape[axis]), 2)
        lines = _opened(mask, length, 1 - axis)
        lines &= ~_opened(lines, thickness + 1, axis)
        if lines.any():
            rest = mask & ~lines
            mask = rest | (~_opened(~rest, thickness + 3, axis) & lines)
    return mask


def _opened(mask: _Mask, length: int, axis: int) -> _Mask:
    """Return the runs along an axis that are at least so long: a morphological opening, linear in the pixels."""
    from scipy import ndimage

    eroded = ndimage.minimum_filter1d(mask.view(np.uint8), length, axis=axis, mode="constant")
    origin = 0 if length % 2 else -1  # an even window leans to one side: lean back
    opened = ndimage.maximum_filter1d(eroded, length, axis=axis, origin=origin, mode="constant")
    runs: _Mask = opened.view(np.bool_)
    return runs


def _one_digit(mask: _Mask, source: object) -> _Mask:
    """Return the pieces of ink that make up the digit, without specks."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        raise DataFormatError(f"{source} shows nothing but lines. Draw one digit, dark on light or light on dark.")
    areas = np.bincount(labels.ravel())[1:]
    kept = np.isin(labels, 1 + np.nonzero(areas >= _SPECK_SHARE * areas.max())[0])
    largest = ndimage.find_objects(labels)[int(areas.argmax())]
    side = max(part.stop - part.start for part in largest)
    reach = max(round(_JOIN_SHARE * side / 2), 1)
    joined, _ = ndimage.label(ndimage.maximum_filter(kept.view(np.uint8), 2 * reach + 1))
    groups = joined * kept
    sizes = np.bincount(groups.ravel())
    sizes[0] = 0
    heights = {i + 1: where[0].stop - where[0].start for i, where in enumerate(ndimage.find_objects(groups)) if where}
    main = int(sizes.argmax())
    if any(
        sizes[group] >= area * sizes[main] and height >= share * heights[main]
        for group, height in heights.items()
        if group != main
        for area, share in _RIVAL_SHARES
    ):
        raise DataFormatError(f"{source} shows several digits: cut out one of them.")
    digit: _Mask = groups == main
    if sizes[main] < _MIN_DIGIT_SHARE * areas.sum():
        raise DataFormatError(f"{source} shows nothing that stands out: use a sharper image, with more contrast.")
    if max(edge.sum() for edge in (digit[0], digit[-1], digit[:, 0], digit[:, -1])) > _MAX_EDGE_SHARE * side:
        raise DataFormatError(f"{source} shows ink that runs off its edge: leave empty paper around the digit.")
    return digit


def _holes(mask: _Mask) -> int:
    """Return how many pieces of paper the ink encloses."""
    from scipy import ndimage

    side = max(part.stop - part.start for part in ndimage.find_objects(mask.view(np.uint8))[0])
    labels, _ = ndimage.label(~np.pad(mask, 1))
    return int((np.bincount(labels.ravel())[1:] >= _MIN_HOLE_SHARE * side**2).sum()) - 1


def _crowded(source: object) -> str:
    return f"{source} shows several digits, or more strokes than a digit has: cut out one digit."


def _drawn(ink: _Ink, mask: _Mask, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the digit at its size and place, its ink from 0 to 255."""
    from scipy import ndimage

    around = ndimage.maximum_filter(mask.view(np.uint8), 2 * max(max(mask.shape) // 150, 1) + 1).view(np.bool_)
    full = np.percentile(ink[mask], 75)
    grey = np.where(around, np.clip(ink / full, 0, 1), 0)
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] for axis in (1, 0))
    cropped = (grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * 255).round().astype(np.uint8)
    return placed(scaled(cropped, (round(shape[0] * 20 / 28), round(shape[1] * 20 / 28))), shape)
