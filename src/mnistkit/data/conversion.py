"""Arrays, lists and tables of any usual form as images and labels of a dataset."""

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
    "as_labels",
    "check_brightness",
    "check_numbers",
    "image_shape",
    "is_unit_range",
    "to_bytes",
]

_log = logging.getLogger(__name__)

DARK_LEVEL = 64
"""Images that are nowhere brighter are suspicious: masks of 0 and 1, or another range than 0 to 255."""

_MAX_LABEL = 255
_MAX_LISTED_LABELS = 10


def as_images(values: Any, shape: tuple[int, int] | None = None, *, name: str = "X") -> NDArray[np.uint8]:
    """Return images as a dataset holds them.

    Args:
        values: ``(n, h, w)``, ``(n, h, w, 1)``, ``(n, 1, h, w)`` or flat rows ``(n, h*w)``: an array, a list, or a
            pandas table. uint8 stays as it is; other whole numbers are 0 to 255; bools are black and white; floats are
            scaled by 255 if none is above 1, else they are 0 to 255, and rounded.
        shape: ``(h, w)``; None for that of the images, or for squares if rows are flat. With it, a single image
            ``(h, w)`` will do.
        name: Of the argument, for messages.

    Returns:
        ``(n, h, w) uint8``; the caller's own array if it is that already.

    Raises:
        DataFormatError: It holds something else; the message has what was found, and what is expected.
    """
    array = _numbers(values, name)
    return _as_bytes(array.reshape(-1, *image_shape(array.shape, shape, name)), name)


def as_labels(
    values: Sequence[Any], class_names: Sequence[str] | None, *, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    """Return labels as a dataset holds them, and the names of the classes.

    Args:
        values: One or several sequences of labels, ``(n,)`` or ``(n, 1)``: whole numbers from 0 without a gap, or
            texts, which become the names of the classes in their order.
        class_names: One per label, label 0 first; None for the texts themselves, or for the numbers. With names, a
            number without an example is no gap.
        names: Of the arguments, for messages.

    Raises:
        DataFormatError: A label is neither, is missing, or has no name; or numbers are left out.
    """
    columns = [_column(value, name) for value, name in zip(values, names, strict=True)]
    kinds = {column.dtype.kind for column in columns}
    if len(kinds) > 1:
        raise DataFormatError(f"{names[0]} holds numbers and {names[-1]} texts, or the reverse: use one kind.")
    if kinds == {"U"}:
        return _from_texts(columns, class_names, names)
    return _from_numbers(columns, class_names, names)


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
        found: ``(n, h, w)``, ``(n, h, w, 1)``, ``(n, 1, h, w)`` or ``(n, h*w)``; with ``shape`` also that itself.
        shape: What is expected; None for what is found, or for squares if rows are flat.
        name: Of the array, for messages.

    Raises:
        DataFormatError: It is another shape.
    """
    size = found[1:]
    if shape is not None and found == shape:
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
        DataFormatError: They are in neither range.
    """
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise DataFormatError(f"{name} holds NaN or infinite values: leave these images out, or fill them with 0.")
    if lowest < 0 or highest > _MAX_LABEL:
        raise DataFormatError(
            f"{name} holds {dtype} in {lowest:g}..{highest:g}: expected uint8 in 0..255 or floating in 0..1. "
            "Scale it to one of the two."
        )
    is_unit = dtype.kind == "f" and highest <= 1
    if is_unit:
        _log.info("%s is in 0..1: multiplied by 255", name)
    return is_unit


def to_bytes(array: NDArray[Any], *, is_unit: bool) -> NDArray[np.uint8]:
    """Return pixels as uint8: those in 0..1 multiplied by 255, floats rounded."""
    if is_unit:
        array = array * array.dtype.type(_MAX_LABEL)
    return np.asarray(np.round(array) if array.dtype.kind == "f" else array, dtype=np.uint8)


def _numbers(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"{name} is no array of numbers: {error}. {_EXPECTED}") from error
    check_numbers(array.dtype, name)
    return array


_EXPECTED = "use images of shape (n, h, w), or rows of pixels (n, h*w), as uint8 in 0..255 or floating in 0..1."


def _as_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.asarray(array, dtype=np.uint8)
    if array.dtype.kind == "b":
        return np.asarray(array * np.uint8(_MAX_LABEL), dtype=np.uint8)
    return to_bytes(array, is_unit=is_unit_range(array.dtype, array.min(), array.max(), name))


def _column(values: Any, name: str) -> NDArray[Any]:
    """Return labels as int64 or text."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.ndim == 2 and array.shape[1] == 1:  # noqa: PLR2004 - a column
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        raise DataFormatError(f"{name} has shape {array.shape}: expected one label per image, shape (n,).")
    if array.dtype.kind == "O":
        listed = array.tolist()
        if all(isinstance(each, str) for each in listed):
            return np.array(listed, dtype=np.str_)
        if not all(isinstance(each, (int, np.integer)) for each in listed):
            odd = next(each for each in listed if not isinstance(each, (str, int, np.integer)) or each is None)
            raise DataFormatError(f"{name} holds {odd!r:.40}: labels are whole numbers, or texts; leave none open.")
        array = np.array(listed)
    if array.dtype.kind == "f" and (np.isfinite(array) & (array == np.round(array))).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuU":
        raise DataFormatError(f"{name} holds {array.dtype} values: labels are whole numbers, or texts.")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _from_texts(
    columns: Sequence[NDArray[Any]], class_names: Sequence[str] | None, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    found = sorted({text for column in columns for text in column.tolist()})
    if all(text.isdecimal() for text in found):
        found.sort(key=int)
    classes = tuple(found if class_names is None else class_names)
    unknown = [text for text in found if text not in classes]
    if unknown:
        raise DataFormatError(f"{names[0]} holds {unknown[0]!r:.40}, which isn't one of class_names.")
    _check_count(classes)
    number = {text: label for label, text in enumerate(classes)}
    return [np.array([number[text] for text in column.tolist()], dtype=np.uint8) for column in columns], classes


def _from_numbers(
    columns: Sequence[NDArray[Any]], class_names: Sequence[str] | None, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    found = np.unique(np.concatenate(columns))
    lowest, highest = int(found[0]), int(found[-1])
    if lowest < 0 or highest > _MAX_LABEL:
        raise DataFormatError(f"{names[0]} holds labels from {lowest} to {highest}: use 0 to {_MAX_LABEL}, or texts.")
    if class_names is None:
        gaps = sorted(set(range(highest + 1)) - set(found.tolist()))
        if gaps:
            more = ", ..." if len(gaps) > _MAX_LISTED_LABELS else ""
            listed = ", ".join(map(str, gaps[:_MAX_LISTED_LABELS])) + more
            raise DataFormatError(
                f"{names[0]} has no label {listed}, but {highest}: name every class with class_names=, one per label "
                "from 0; or give texts as labels, such as y.astype(str)."
            )
        class_names = [str(label) for label in range(max(highest, 1) + 1)]
    _check_count(class_names)
    return [column.astype(np.uint8) for column in columns], tuple(class_names)


def _check_count(class_names: Sequence[str]) -> None:
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise UsageError(f"class_names={class_names!r:.80}: use a list of texts, one per label.")
    if len(set(class_names)) != len(class_names) or len(class_names) > _MAX_LABEL + 1:
        raise DataFormatError(f"There are {len(class_names)} classes: use at most {_MAX_LABEL + 1} different names.")
