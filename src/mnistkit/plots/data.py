"""Figures of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UnknownNameError, UsageError
from mnistkit.plots.canvas import BLUE, GREY, Grid, axes_of, drawn_on, plain, tick_classes

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["class_balance", "mean_images", "sample_grid", "split_of"]

_WORDS = {"train": "training", "test": "test"}
_FEW_CLASSES = 15
_FEW_INCHES_PER_CLASS = 0.36
_MANY_INCHES_PER_CLASS = 0.26
_FONT_POINTS = 8


def sample_grid(
    dataset: Dataset,
    n: int = 30,
    *,
    seed: int = 0,
    split: Literal["train", "test"] = "train",
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw randomly chosen images, each with the name of its class above it.

    Deterministic for a seed; a larger sample of the same seed begins with the smaller one.

    Args:
        dataset: Any dataset.
        n: How many images; all of them if the split holds fewer.
        seed: Chooses the images.
        split: ``"train"`` or ``"test"``.
        figure: Where to draw; None for a new one.

    Returns:
        A Figure with one axes per image, in rows of at most ten: ``figure.savefig("digits.png")``.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: ``n`` is below 1.
        UnknownNameError: There is no such split.
    """
    if n < 1:
        raise UsageError(f"n={n}: draw at least 1 image.")
    part = split_of(dataset, split)
    chosen = np.random.default_rng(seed).permutation(len(part))[:n]
    titles = [dataset.class_names[label] for label in part.labels[chosen]]
    grid = Grid(titles, figure=figure, shape=part.images.shape[1:])
    for index, axes in zip(chosen, grid, strict=True):
        axes.imshow(part.images[index], cmap="Greys", vmin=0, vmax=255, interpolation="nearest")
    return grid.figure  # type: ignore[return-value]  # a SubFigure only if the caller gave one


def mean_images(
    dataset: Dataset, *, split: Literal["train", "test"] = "train", figure: Figure | SubFigure | None = None
) -> Figure:
    """Draw the mean of all images of each class: what they have in common, and how much they vary.

    Args:
        dataset: Any dataset.
        split: ``"train"`` or ``"test"``.
        figure: Where to draw; None for a new one.

    Returns:
        A Figure with one axes per class that has an image; black is ink in all of them, as in `sample_grid`.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UnknownNameError: There is no such split.
    """
    part = split_of(dataset, split)
    labels = np.unique(part.labels)
    names = [dataset.class_names[label] for label in labels]
    title = f"{dataset.name}: mean of the {_WORDS[split]} images of each class"
    grid = Grid(names, figure=figure, title=title, shape=part.images.shape[1:])
    for label, axes in zip(labels, grid, strict=True):
        mean = part.images[part.labels == label].mean(axis=0)
        axes.imshow(mean, cmap="Greys", vmin=0, vmax=255, interpolation="nearest")
    return grid.figure  # type: ignore[return-value]  # a SubFigure only if the caller gave one


def class_balance(dataset: Dataset, *, ax: Axes | None = None) -> Figure:
    """Draw which share of the training and of the test images each class has, with the counts.

    Args:
        dataset: Any dataset.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure, with a pair of bars per class, and a line where each bar would end if all classes were equal.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    names = dataset.class_names
    inches = (
        _FEW_INCHES_PER_CLASS if len(names) <= _FEW_CLASSES else _MANY_INCHES_PER_CLASS
    )  # of height, for each class
    axes = axes_of(ax, (6.4, 1.2 + inches * len(names)))
    positions = np.arange(len(names))
    highest = 0.0
    parts = (("train", dataset.train, -0.2, BLUE, ""), ("test", dataset.test, 0.2, "#ffffff", "//////"))
    for word, split, offset, colour, hatch in parts:
        counts = np.bincount(split.labels, minlength=len(names))
        shares = 100 * counts / max(len(split), 1)
        highest = max(highest, shares.max())
        bars = axes.barh(
            positions + offset,
            shares,
            height=0.38,
            color=colour,
            edgecolor=BLUE,
            linewidth=0.8,
            hatch=hatch,
            label=f"{len(split):,} {_WORDS[word]} images",
        )
        texts = axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=_FONT_POINTS)
        for text in texts:  # the line behind shall not cross it out
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.axvline(100 / len(names), color=GREY, linestyle="--", linewidth=1, label="all classes equal", zorder=0)
    axes.set_xlim(0, highest * 1.15)
    axes.set_ylim(len(names) - 0.4, -0.6)
    tick_classes(axes.yaxis, names, least=_FONT_POINTS if ax is None else 4)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="share of the images (%)", ylabel="class", title=plain(f"{dataset.name}: images of each class"))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.48 / (inches * len(names))), ncols=3, frameon=False)
    figure: Figure = drawn_on(axes)
    return figure


def split_of(dataset: Dataset, name: str) -> Split:
    """Return a split by its name.

    Raises:
        UnknownNameError: There is no such split.
    """
    splits = {"train": dataset.train, "test": dataset.test}
    if name not in splits:
        raise UnknownNameError(f"split={name!r}: use {' or '.join(map(repr, splits))}.")
    return splits[name]
