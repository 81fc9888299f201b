"""Arrays, lists and tables of any usual form as the images of a dataset."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, UsageError

__all__ = [
    "DARK_LEVEL",
    "as_images",
    "as_shape",
    "check_brightness",
    "check_numbers",
    "image_shape",
    "is_unit_range",
    "to_bytes",
]

_log = logging.getLogger(__name__)

DARK_LEVEL = 64
"""Images that are nowhere brighter are suspicious: masks of 0 and 1, or another range than 0 to 255."""

_MAX_PIXEL = 255
_MIN_BRIGHTEST = 2.0  # of floats in 0..255: below, resizing or sharpening has left 0..1
_TOLERANCE_SHARE = 1e-3  # of the range, that rounding may have left floats beyond its ends
_N_COLOUR_CHANNELS = {3, 4}


def as_images(values: Any, shape: tuple[int, int] | None = None, *, name: str = "X") -> NDArray[np.uint8]:
    """Return images as a dataset holds them.

    Args:
        values: ``(n, h, w)``, ``(n, h, w, 1)``, ``(n, 1, h, w)`` or flat rows ``(n, h*w)``: an array, a list, or a
            pandas table. uint8 stays as it is; other whole numbers are 0 to 255; bools are black and white; floats are
            scaled by 255 if none is above 1, else they are 0 to 255, and rounded.
        shape: ``(h, w)``; None for that of the images, or for squares if rows are flat. With it, a single image
            ``(h, w)`` or row ``(h*w,)`` will do.
        name: Of the argument, for messages.

    Returns:
        ``(n, h, w) uint8``; the caller's own array if it is that already.

    Raises:
        DataFormatError: It holds something else; the message has what was found, and what is expected.
    """
    array = _numbers(values, name)
    return _as_bytes(array.reshape(-1, *image_shape(array.shape, shape, name)), name)


def check_brightness(images: NDArray[np.uint8], name: str) -> None:
    """Log a warning if images are so dark that they may be masks, or hold another range than 0 to 255."""
    brightest = int(images.max())
    if brightest < DARK_LEVEL:
        _log.warning(
            "the brightest pixel of %s is %d of 255: are they masks, or of another range? Multiply them so that the "
            "brightest are 255.", name, brightest,
        )  # fmt: skip


def check_numbers(dtype: np.dtype[Any], name: str) -> None:
    """Raise DataFormatError unless values of this type can be pixels."""
    if dtype.kind not in "buif":
        raise DataFormatError(f"{name} holds {dtype} values: {_EXPECTED}")


def image_shape(found: tuple[int, ...], shape: tuple[int, int] | None, name: str) -> tuple[int, int]:
    """Return the ``(h, w)`` of images in an array of a shape.

    Args:
        found: ``(n, h, w)``, ``(n, h, w, 1)``, ``(n, 1, h, w)`` or ``(n, h*w)``; with ``shape`` also that of one image
            or row.
        shape: What is expected; None for what is found, or for squares if rows are flat.
        name: Of the array, for messages.

    Raises:
        DataFormatError: It is another shape.
    """
    size = found[1:]
    if shape is not None and found in {shape, (shape[0] * shape[1],)}:
        size = shape
    elif len(found) == 4 and 1 in {found[1], found[3]}:  # noqa: PLR2004 - a channel of one, last or first
        size = found[1:3] if found[3] == 1 else found[2:]
    elif len(found) == 2:  # noqa: PLR2004 - flat rows
        h, w = shape or (math.isqrt(found[1]),) * 2
        size = (h, w) if h * w == found[1] else size
    if len(size) != 2 or 0 in found or (shape is not None and size != shape):  # noqa: PLR2004 - height and width
        expected = "(n, h, w), or rows of a square; give others with shape=(h, w)"
        if shape is not None:
            expected = f"({shape[0]}, {shape[1]}), (n, {shape[0]}, {shape[1]}) or (n, {shape[0] * shape[1]})"
        if len(found) == 4 and _N_COLOUR_CHANNELS & {found[1], found[3]}:  # noqa: PLR2004 - channels, last or first
            is_first = found[1] in _N_COLOUR_CHANNELS and found[2] == found[3]
            expected += f"; for colours, make them grey: X.mean(axis={1 if is_first else 3})"
        raise DataFormatError(f"{name} has shape {found}: expected {expected}.")
    return size[0], size[1]


def is_unit_range(dtype: np.dtype[Any], lowest: float, highest: float, name: str) -> bool:
    """Return True if pixels are in 0..1, so that they are to be multiplied by 255.

    Args:
        dtype: Of the pixels; whole numbers are in 0..255 always.
        lowest: The smallest value.
        highest: The largest value.
        name: Of the array, for messages.

    Raises:
        DataFormatError: They are in neither range, or in 0..1 but for some.
    """
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise DataFormatError(f"{name} holds NaN or infinite values: leave these images out, or fill them with 0.")
    slack = _TOLERANCE_SHARE if dtype.kind == "f" else 0.0
    is_unit = dtype.kind == "f" and highest <= 1 + slack
    if dtype.kind == "f" and not is_unit and highest < _MIN_BRIGHTEST:
        raise DataFormatError(
            f"{name} holds {dtype} in {lowest:g}..{highest:g}, slightly more than 0..1: as 0..255 it would be black. "
            "Clip it to 0..1, or scale it to 0..255."
        )
    top = 1 if is_unit else _MAX_PIXEL
    if lowest < -slack * top or highest > top + slack * top:
        raise DataFormatError(
            f"{name} holds {dtype} in {lowest:g}..{highest:g}: expected uint8 in 0..255 or floating in 0..1. "
            "Scale it to one of the two."
        )
    if is_unit:
        _log.info("%s is in 0..1: multiplied by 255", name)
    return is_unit


def to_bytes(array: NDArray[Any], *, is_unit: bool) -> NDArray[np.uint8]:
    """Return pixels as uint8: those in 0..1 multiplied by 255, floats rounded."""
    if is_unit:
        array = array * array.dtype.type(_MAX_PIXEL)
    return np.asarray(np.round(array).clip(0, _MAX_PIXEL) if array.dtype.kind == "f" else array, dtype=np.uint8)


def as_shape(shape: Any) -> tuple[int, int] | None:
    """Return a shape as a height and a width; None if it is None.

    Raises:
        UsageError: It isn't two whole numbers above 0.
    """
    if shape is None:
        return None
    sides = tuple(shape) if isinstance(shape, (list, tuple, np.ndarray)) else ()
    if len(sides) != 2 or not all(isinstance(side, (int, np.integer)) and side > 0 for side in sides):  # noqa: PLR2004
        raise UsageError(f"shape={shape!r:.80}: use the height and width of an image, such as (28, 28).")
    return int(sides[0]), int(sides[1])


def _numbers(values: Any, name: str) -> NDArray[Any]:
    if isinstance(values, (list, tuple)):
        values = _without_pillow(values, name)
    try:
        array = np.asarray(_plain(values, name))
    except DataFormatError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor that has gradients
        reason = f"{error!s:.300}".rstrip(".")
        raise DataFormatError(
            f"{name} is no array of numbers: {reason}. {_EXPECTED[0].upper()}{_EXPECTED[1:]}"
        ) from error
    if np.ma.is_masked(values):
        raise DataFormatError(f"{name} has masked values: leave these images out, or fill them with 0.")
    if array.ndim == 0 and array.dtype.kind not in "buif":
        raise DataFormatError(f"{name} is a {type(values).__name__}: {_EXPECTED}")
    check_numbers(array.dtype, name)
    return array


def _without_pillow(values: Sequence[Any], name: str) -> Sequence[Any]:
    from mnistkit.data.image_folder.reading import grey_pixels, is_pillow  # its room imports this module

    if not values or not all(map(is_pillow, values)):
        return values
    return [grey_pixels(value, f"{name}[{i}]") for i, value in enumerate(values)]


def _plain(values: Any, name: str) -> Any:
    """Return tables, columns of arrays and sparse matrices as arrays of numbers; anything else as it is."""
    if hasattr(values, "toarray"):
        return values.toarray()
    if hasattr(values, "dtypes") and hasattr(values, "columns"):
        kinds = [getattr(dtype, "kind", "O") for dtype in values.dtypes]
        for column, dtype, kind in zip(values.columns, values.dtypes, kinds, strict=True):
            if kind not in "buif":
                raise DataFormatError(
                    f"{name}: the column {column!r} holds {dtype} values; leave out what is no pixel."
                )
        if any(not isinstance(dtype, np.dtype) for dtype in values.dtypes):  # pandas' own, which may lack values
            return values.to_numpy(dtype="float64" if "f" in kinds else "int64")
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(array, np.ndarray) and array.dtype.kind == "O" and array.ndim == 1 and len(array):
        return np.stack([np.asarray(each) for each in array])
    return array


_EXPECTED = "use images of shape (n, h, w), or rows of pixels (n, h*w), as uint8 in 0..255 or floating in 0..1."


def _as_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.asarray(array, dtype=np.uint8)
    if array.dtype.kind == "b":
        return np.asarray(array * np.uint8(_MAX_PIXEL), dtype=np.uint8)
    return to_bytes(array, is_unit=is_unit_range(array.dtype, array.min(), array.max(), name))
