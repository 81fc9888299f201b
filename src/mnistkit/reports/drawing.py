"""Pictures for a report: small files, and never an error for want of matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mnistkit.errors import MnistkitError
from mnistkit.reports.page import figure, missing
from mnistkit.utils.markup import Markup

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.figure import Figure

__all__ = ["drawn"]

_DOTS = 160  # an inch: twice what screens had, so that it is crisp on those of today
_PIXELS = 96  # an inch of CSS
_COLOURS = 64


def drawn(draw: Callable[[], Figure], *, alt: str, caption: str) -> Markup:
    """What ``draw`` draws, as a figure of the page; if it can't be drawn, why not.

    Args:
        draw: Calls one of `mnistkit.plots`.
        alt: What is seen on it.
        caption: Below it.
    """
    try:
        picture = draw()
    except MnistkitError as error:
        return missing("a picture", f"{error} It would show: {caption}")
    stream = io.BytesIO()
    picture.savefig(stream, format="png", dpi=_DOTS, metadata={"Software": None})
    width, height = (round(inches * _PIXELS) for inches in picture.get_size_inches())
    return figure(_smaller(stream), (width, height), alt=alt, caption=caption)


def _smaller(stream: io.BytesIO) -> bytes:
    """The same picture with a palette: a third of the bytes. matplotlib brings Pillow along."""
    from PIL import Image

    with Image.open(stream) as image:
        palette: Any = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    palette.save(small, format="PNG", optimize=True)
    return min(small.getvalue(), stream.getvalue(), key=len)
