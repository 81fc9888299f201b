"""Figures for a report: small files, and never an error for want of matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mnistkit.errors import MnistkitError
from mnistkit.reports.data import Missing
from mnistkit.reports.page import Figure

if TYPE_CHECKING:  # an optional dependency
    from matplotlib import figure as mpl

__all__ = ["drawn"]

_DOTS_PER_INCH = 160  # crisp on the screens of today
_CSS_PIXELS_PER_INCH = 96
_MAX_COLOURS = 64


def drawn(draw: Callable[[], mpl.Figure], *, alt: str, caption: str) -> Figure | Missing:
    """Draw a figure of a page; return why it is missing if it can't be drawn.

    Args:
        draw: Calls one of `mnistkit.plots`.
        alt: What is seen on it.
        caption: Below it.
    """
    try:
        figure = draw()
    except MnistkitError as error:
        return Missing(f"{error} It would show: {caption}")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    width, height = (round(inches * _CSS_PIXELS_PER_INCH) for inches in figure.get_size_inches())
    return Figure(png=_smaller(stream), width=width, height=height, alt=alt, caption=caption)


def _smaller(stream: io.BytesIO) -> bytes:
    """Return the same image with a palette: a third of the bytes. matplotlib brings Pillow along."""
    from PIL import Image

    with Image.open(stream) as image:
        palette: Any = image.convert("RGB").quantize(_MAX_COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    palette.save(small, format="PNG", optimize=True)
    return min(small.getvalue(), stream.getvalue(), key=len)
