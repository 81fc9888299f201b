"""A picture of which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.evaluation.scores import Evaluation
from mnistkit.plots.canvas import axes_of, drawn_on, tick_classes

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion", "error_shares"]

_MOST_NUMBERS = 16
_MIDDLE = 0.179  # as far in contrast from black as from white


def confusion(evaluation: Evaluation, *, errors: bool = False, ax: Axes | None = None) -> Figure:
    """Draw how often each class was taken for each: counts, or the errors alone.

    Args:
        evaluation: Such as `mnistkit.evaluate` returns.
        errors: Draw which share of a class's images was taken for which other class, in percent, with the diagonal, the
            right answers, left blank: so the mistakes show, however good the classifier is.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure: true classes are rows, predicted ones columns; the darker, the more.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    names = [each.name for each in evaluation.classes]
    side = max(4.6, min(0.5 * len(names) + 1.2, 12))
    axes = axes_of(ax, (side + 0.9, side))
    if errors:
        values = 100 * error_shares(evaluation)
        image = _matrix(axes, values, "OrRd", 1.0)
        right = round(evaluation.accuracy * evaluation.n)
        title = f"{evaluation.n - right:,} errors on {evaluation.n:,} images ({1 - evaluation.accuracy:.2%})"
        scale, texts = "share of the true class's images (%)", _texts(values, "{:.1f}", 0.05)
    else:
        values = np.array(evaluation.confusion, dtype=float)
        image = _matrix(axes, values, "Blues", 0.4)  # so that the few errors aren't all as good as white
        title, scale = f"Confusion of {evaluation.n:,} images, accuracy {evaluation.accuracy:.2%}", "images"
        texts = _texts(values, "{:.0f}", 1)
    if len(names) <= _MOST_NUMBERS:
        _write(axes, image, values, texts)
    tick_classes(axes.xaxis, names, turned=True)
    tick_classes(axes.yaxis, names)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    axes.figure.colorbar(image, ax=axes, label=scale, shrink=0.8)
    figure: Figure = drawn_on(axes)
    return figure


def error_shares(evaluation: Evaluation) -> NDArray[np.float64]:
    """Which share of each class, by row, was taken for which other one: ``(k, k)`` in 0..1, NaN on the diagonal."""
    counts = np.array(evaluation.confusion, dtype=float)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, np.nan)
    return shares


def _matrix(axes: Axes, values: NDArray[np.float64], colours: str, power: float) -> Any:
    """A matrix in colours from white; NaN is left blank, with a stroke through it."""
    from matplotlib.colors import PowerNorm

    highest = np.nanmax(values, initial=0) or 1
    image = axes.imshow(values, cmap=colours, norm=PowerNorm(power, 0, highest), interpolation="nearest")
    axes.spines[["top", "right"]].set_visible(True)
    for row, column in np.argwhere(np.isnan(values)):
        axes.plot([column - 0.5, column + 0.5], [row - 0.5, row + 0.5], color="#cccccc", linewidth=0.8)
    return image


def _texts(values: NDArray[np.float64], form: str, least: float) -> list[list[str]]:
    return [[form.format(value) if value >= least else "" for value in row] for row in values]


def _write(axes: Axes, image: Any, values: NDArray[np.float64], texts: list[list[str]]) -> None:
    """Write each value into its cell, dark on light or light on dark."""
    for (row, column), value in np.ndenumerate(values):
        if texts[row][column]:
            colour = "white" if _luminance(image.cmap(image.norm(value))) < _MIDDLE else "black"
            axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=8, color=colour)


def _luminance(colour: Sequence[float]) -> float:
    """How bright a colour is, 0 to 1, as the Web Content Accessibility Guidelines 2.2 define it."""
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour[:3])  # noqa: PLR2004 - sRGB's formula
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)
