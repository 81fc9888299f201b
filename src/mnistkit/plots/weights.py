"""Pictures of what a linear classifier has learnt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.errors import NotFoundError, UsageError
from mnistkit.evaluation.results import run_evaluation
from mnistkit.models.linear_export import fold
from mnistkit.plots.canvas import Grid
from mnistkit.plots.subject import classifier_of
from mnistkit.runs.run import Run

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.figure import Figure, SubFigure

__all__ = ["weight_images", "weights"]

_SHOWN = 0.995  # of the weights are on the scale: a single extreme one would pale all others


def weights(model: Any, dataset: Dataset | None = None, *, figure: Figure | SubFigure | None = None) -> Figure:
    """Draw the weights of a linear classifier as an image per class: what speaks for the class, and what against it.

    Red pixels speak for it where there is ink, blue ones against it; the same colour is the same weight in all images.
    Scalers that come before the classifier are taken into account.

    Args:
        model: A run, or a fitted linear classifier such as LogisticRegression, or a Pipeline of scalers with one.
        dataset: Says the images' height and width and what the classes are called; None for square images, and for
            labels, or what the run called them.
        figure: Where to draw; None for a new one.

    Returns:
        A Figure with one axes per class (one alone if there are two classes), and one for the scale.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: The model isn't linear, or isn't one of square images and no dataset is given.
        NotFoundError: The run left no model.
    """
    images, names = weight_images(model, dataset)
    most = float(np.quantile(np.abs(images), _SHOWN)) or float(np.abs(images).max()) or 1.0
    title = "What speaks for each class (red) and against it (blue)"
    grid = Grid(names, figure=figure, title=title, shape=(images.shape[1], images.shape[2]), extra=0.8)
    drawn = list(grid)
    shown = [
        axes.imshow(image, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        for image, axes in zip(images, drawn, strict=True)
    ]
    bar = grid.figure.colorbar(shown[0], ax=drawn, fraction=0.05, pad=0.02, extend="both")
    bar.set_label("weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return grid.figure  # type: ignore[return-value]  # a SubFigure only if the caller gave one


def weight_images(model: Any, dataset: Dataset | None = None) -> tuple[NDArray[np.float64], list[str]]:
    """The weights themselves.

    Args:
        model: As in `weights`.
        dataset: As in `weights`.

    Returns:
        ``(k, h, w)`` weights of pixels from 0, background, to 1, ink; and the name of each. With two classes there is
        one image: of the second against the first.

    Raises:
        UsageError: As from `weights`.
        NotFoundError: As from `weights`.
    """
    classifier = classifier_of(model)
    try:
        linear = fold(classifier)
    except UsageError as error:
        raise UsageError(
            f"There is no weight for each pixel to draw: {type(classifier).__name__} isn't linear. "
            f"Use LogisticRegression, LinearSVC or the like, with or without scalers. ({error})"
        ) from error
    shape = _shape(linear.n_features_in_, dataset)
    known = _names(model, dataset)
    names = [known[int(label)] if known and int(label) < len(known) else str(label) for label in linear.classes_]
    if len(linear.coef_) == 1:
        names = [f"{names[1]} against {names[0]}"]
    return np.asarray(linear.coef_, dtype=np.float64).reshape(-1, *shape), names


def _shape(n: int, dataset: Dataset | None) -> tuple[int, int]:
    if dataset is not None:
        h, w = dataset.train.images.shape[1:]
        if h * w == n:
            return h, w
        raise UsageError(f"The model has weights for {n} pixels, but images of {dataset.name} have {h}x{w}.")
    side = math.isqrt(n)
    if side * side != n:
        raise UsageError(f"The model has weights for {n} pixels, which is no square: give the dataset as well.")
    return side, side


def _names(model: Any, dataset: Dataset | None) -> tuple[str, ...]:
    if dataset is not None:
        return dataset.class_names
    try:
        return tuple(each.name for each in run_evaluation(model).classes) if isinstance(model, Run) else ()
    except NotFoundError:
        return ()
