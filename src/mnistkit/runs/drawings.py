"""Images that a run logs, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mnistkit.errors import MissingExtraError, UsageError

__all__ = ["as_drawn"]

_MAX_PIXELS = 100_000_000
_CHANNELS = {1, 3, 4}
_FORMS = (
    "a Figure or Axes of matplotlib, a Pillow image, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of whole "
    "numbers from 0 to 255, of floats from 0 to 1, or of bools"
)


def as_drawn(image: Any, name: str) -> Callable[[Path], object]:
    """Return what writes an image as a PNG file.

    Args:
        image: See `mnistkit.runs.context.RunContext.log_image`.
        name: For messages.

    Raises:
        UsageError: It is no image.
        MissingExtraError: Pillow isn't installed.
    """
    figure: Any = image if hasattr(image, "savefig") else getattr(image, "figure", None)
    if hasattr(figure, "savefig"):
        return lambda path: figure.savefig(path, format="png")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Writing pictures needs Pillow: python -m pip install 'mnistkit[plot]'.") from error
    if isinstance(image, Image.Image):
        kept = image if image.mode in {"1", "L", "LA", "P", "RGB", "RGBA"} else image.convert("RGB")
        return lambda path: kept.save(path, format="PNG")
    pixels = Image.fromarray(_pixels(image, name))
    return lambda path: pixels.save(path, format="PNG")


def _pixels(image: Any, name: str) -> Any:
    """Return an array as ``(h, w)``, ``(h, w, 3)`` or ``(h, w, 4) uint8``."""
    try:
        array = np.asarray(image)
    except Exception as error:
        raise UsageError(f"log_image({name!r}): {type(image).__name__} is no image: give {_FORMS}.") from error
    if array.ndim not in {2, 3} or not array.size or (array.ndim == 3 and array.shape[2] not in _CHANNELS):  # noqa: PLR2004 - with channels
        raise UsageError(f"log_image({name!r}): got {array.dtype} of shape {array.shape}: give {_FORMS}.")
    if array.size > _MAX_PIXELS:
        raise UsageError(f"log_image({name!r}): {array.size} values are more than {_MAX_PIXELS}: make it smaller.")
    if array.ndim == 3 and array.shape[2] == 1:  # noqa: PLR2004 - with channels
        array = array[:, :, 0]
    if array.dtype.kind == "b":
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind not in "uif":
        raise UsageError(f"log_image({name!r}): values of type {array.dtype} are no colours: give {_FORMS}.")
    top = 1 if array.dtype.kind == "f" else 255
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= top):  # NaN too
        raise UsageError(
            f"log_image({name!r}): {array.dtype} values from {low} to {high}, expected 0 to {top}: scale them first."
        )
    return np.ascontiguousarray(np.round(array * 255.0) if top == 1 else array, dtype=np.uint8)
