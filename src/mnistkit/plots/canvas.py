"""What all plots share: figures, axes, grids of images, colours."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mnistkit.errors import MissingExtraError, StorageError, UsageError
from mnistkit.utils.files import write_atomically
from mnistkit.utils.text import safe

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "BLUE",
    "COLOURS",
    "FORMATS",
    "GREY",
    "MARKS",
    "RED",
    "Grid",
    "axes_of",
    "drawn_on",
    "format_of",
    "key",
    "plain",
    "save",
    "tick_classes",
]

BLUE: Final = "#0072b2"
RED: Final = "#b2182b"
GREY: Final = "#666666"

COLOURS: Final = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
"""The palette of Okabe and Ito, "Color Universal Design" (2008), which the colour-blind can tell apart; no yellow."""

MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
"""Marks of lines: more than `COLOURS`, so that no two lines have the same of both before the 78th."""

FORMATS: Final = (".png", ".svg", ".pdf")
"""The endings of the files that `save` writes."""

_MAX_COLUMNS = 10
_INCHES = 0.8
_MAX_POINTS = 13.0
_LETTERS_PER_LINE = 12
_SIZE = (6.4, 4.4)
_INSIDE = 8
_BESIDE_LINES = 20
_BESIDE_LETTERS = 26
_LONG = 3
_MANY = 15


class Grid:
    """Room for images in rows of at most ten, with a title above each, and one above all.

    Attributes:
        figure: What it is drawn on.
    """

    def __init__(
        self,
        titles: Sequence[str],
        *,
        figure: Figure | SubFigure | None = None,
        title: str = "",
        shape: tuple[int, int] = (1, 1),
        extra: float = 0.0,
    ) -> None:
        """Lay out as many images as there are titles.

        Args:
            titles: One per image; long ones are broken.
            figure: Where to draw; None for a new one that fits.
            title: Above all of them.
            shape: ``(h, w)`` of an image, for its proportions.
            extra: Inches to add to the width.
        """
        self._titles = ["\n".join(_broken(line) for line in text.split("\n")) for text in titles]
        self._columns = min(len(titles), _MAX_COLUMNS)
        self._rows = math.ceil(len(titles) / self._columns)
        lines = max(text.count("\n") + 1 for text in self._titles)
        longest = max(len(line) for text in self._titles for line in text.split("\n"))
        # A letter is about 0.6 of its size wide, and a line 1.35 of it high.
        self._points = min(_MAX_POINTS - 3 * bool(title), _INCHES * 72 / (0.6 * max(longest, 1)))
        high = _INCHES * min(max(shape[0] / shape[1], 0.5), 2)
        height = self._rows * (high + 0.02 + lines * self._points * 1.35 / 72) + (0.34 if title else 0)
        width = max(self._columns * _INCHES, len(title) * 0.1 if title else 0) + extra
        self.figure = _new_figure(width, height, tight=True) if figure is None else figure
        if title:
            self.figure.suptitle(plain(title), fontsize=12)

    def __iter__(self) -> Iterator[Axes]:
        """An axes per image, titled."""
        for position, title in enumerate(self._titles, start=1):
            axes = self.figure.add_subplot(self._rows, self._columns, position)
            axes.set_title(plain(title), fontsize=self._points, pad=2)
            axes.set_axis_off()
            yield axes


def axes_of(ax: Axes | None, size: tuple[float, float] = _SIZE) -> Axes:
    """The axes to draw into: the caller's, or those of a new Figure of so many inches."""
    if ax is not None:
        return ax
    axes = _new_figure(*size).add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def drawn_on(axes: Axes) -> Any:
    """The Figure (or SubFigure of the caller's) that axes belong to."""
    return axes.figure


def tick_classes(axis: Any, names: Sequence[str], *, turned: bool = False, least: float = 4) -> None:
    """Name the classes along an axis at 0, 1, 2 and so on.

    Args:
        axis: ``axes.xaxis`` or ``axes.yaxis``.
        names: One per class.
        turned: Whether long names are written upwards.
        least: The size below which the letters of many classes don't shrink.
    """
    points = 10 if len(names) <= _MANY else max(10 * _MANY / len(names), least)
    upwards = turned and max(map(len, names)) > _LONG
    axis.set_ticks(range(len(names)), [plain(name) for name in names], fontsize=points, rotation=90 if upwards else 0)


def key(axes: Axes, *, points: float = 10, first: Sequence[Any] = ()) -> None:
    """Say what each line of the axes is: few inside, more beside them, and only some if there are very many.

    Args:
        axes: Their lines have labels.
        points: The size of the letters, if there are few.
        first: The lines to name if there isn't room for all; then come those that were drawn first.
    """
    drawn, labels = axes.get_legend_handles_labels()
    if len(drawn) <= _INSIDE:
        axes.legend(frameon=False, fontsize=points)
        return
    order = {id(line): position for position, line in enumerate(first)}
    texts = {id(line): textwrap.fill(label, _BESIDE_LETTERS) for line, label in zip(drawn, labels, strict=True)}
    ranked = sorted(drawn, key=lambda line: order.get(id(line), len(order)))
    heights = accumulate(texts[id(line)].count("\n") + 1 for line in ranked)
    named = {id(line) for line, height in zip(ranked, heights, strict=True) if height <= _BESIDE_LINES}
    shown = [line for line in drawn if id(line) in named]
    axes.legend(
        shown,
        [texts[id(line)] for line in shown],
        title=f"{len(shown)} of {len(drawn)}" if len(shown) < len(drawn) else None,
        title_fontsize=8,
        fontsize=8,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )


def plain(text: str) -> str:
    """Text as matplotlib draws it literally: a dollar would begin a formula."""
    return safe(text).replace("$", r"\$")


def format_of(path: Path) -> str:
    """The ending of a picture's name, in lower case.

    Raises:
        UsageError: It isn't one of `FORMATS`.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"{path}: a picture's name ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    return kind


def save(figure: Figure, path: Path) -> Path:
    """Write a Figure as the file's ending says, whole or not at all, and return the file; the same each time.

    Raises:
        UsageError: The ending isn't one of `FORMATS`.
        StorageError: It can't be written.
    """
    import matplotlib as mpl

    kind = format_of(path)
    stream = io.BytesIO()
    times: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": "mnistkit"}):
        figure.savefig(stream, format=kind[1:], dpi=150, metadata=times.get(kind))
    try:
        write_atomically(path, stream.getvalue())
    except OSError as error:
        raise StorageError(
            f"The picture can't be written to {path}: {error.strerror or error}. Name a file that can be."
        ) from error
    return path


def _broken(text: str) -> str:
    return textwrap.fill(text, _LETTERS_PER_LINE)


def _new_figure(width: float, height: float, *, tight: bool = False) -> Figure:
    """An empty Figure of that many inches."""
    try:
        import matplotlib.figure  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtraError("Drawing needs matplotlib: python -m pip install 'mnistkit[plot]'.") from error
    from mnistkit.plots.figure import Picture

    figure = Picture(figsize=(width, height), layout="constrained")
    if tight:
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.02)
    return figure
