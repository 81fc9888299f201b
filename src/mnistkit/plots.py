"""Pictures for people, as matplotlib Figures. Needs the extra ``plot``.

A Figure is returned to be shown or saved by the caller: nothing is drawn through pyplot, so nothing stays open and no
state is shared. Grey levels carry the images, words the classes: no meaning hangs on a hue.
"""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Literal

import numpy as np

from mnistkit.dataset import Dataset, Split
from mnistkit.errors import MissingExtraError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sample_grid"]

_MAX_COLUMNS = 10
_INCHES = 0.8
_LINE_INCHES = 0.24
_MAX_POINTS = 13.0
_LETTERS_PER_LINE = 12


def sample_grid(dataset: Dataset, n: int = 30, *, seed: int = 0, split: Literal["train", "test"] = "train") -> Figure:
    """Draw randomly chosen images, each with the name of its class above it.

    Deterministic for a seed; a larger sample of the same seed begins with the smaller one.

    Args:
        dataset: Any dataset.
        n: How many images; all of them if the split holds fewer.
        seed: Chooses the images.
        split: ``"train"`` or ``"test"``.

    Returns:
        A Figure with one axes per image, in rows of at most ten: ``figure.savefig("digits.png")``.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: ``n`` is below 1.
        UnknownNameError: There is no such split.
    """
    if n < 1:
        raise UsageError(f"n={n}: draw at least 1 image.")
    part = _split(dataset, split)
    chosen = np.random.default_rng(seed).permutation(len(part))[:n]
    columns = min(len(chosen), _MAX_COLUMNS)
    rows = math.ceil(len(chosen) / columns)
    titles = [textwrap.fill(dataset.class_names[label], _LETTERS_PER_LINE) for label in part.labels[chosen]]
    lines = max(title.count("\n") + 1 for title in titles)
    figure = _figure(columns * _INCHES, rows * (_INCHES + lines * _LINE_INCHES))
    points = _title_points(titles)
    for position, (index, title) in enumerate(zip(chosen, titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, position)
        axes.imshow(part.images[index], cmap="Greys", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=points, pad=2)
        axes.set_axis_off()
    return figure


def _split(dataset: Dataset, name: str) -> Split:
    splits = {"train": dataset.train, "test": dataset.test}
    if name not in splits:
        raise UnknownNameError(f"split={name!r}: use {' or '.join(map(repr, splits))}.")
    return splits[name]


def _title_points(titles: list[str]) -> float:
    """The font size at which the longest line fits over its image: a letter is about 0.6 of its size wide."""
    longest = max(len(line) for title in titles for line in title.split("\n"))
    return min(_MAX_POINTS, _INCHES * 72 / (0.6 * max(longest, 1)))


def _figure(width: float, height: float) -> Figure:
    """An empty Figure of that many inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Drawing needs matplotlib: python -m pip install 'mnistkit[plot]'.") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    return figure
