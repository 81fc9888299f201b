"""Figures of a classifier's predictions and their confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.errors import UsageError
from mnistkit.evaluation.calibration import calibrate
from mnistkit.evaluation.scores import SplitPredictions, predict
from mnistkit.plots.canvas import BLUE, GREY, RED, Grid, axes_of, drawn_on, plain
from mnistkit.plots.data import split_of
from mnistkit.plots.subject import classifier_and_data

if TYPE_CHECKING:  # an optional dependency
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["caption", "misclassified", "prediction_grid", "reliability", "wrong_first"]


def misclassified(
    model: Any,
    dataset: Dataset | None = None,
    *,
    n: int = 30,
    split: Literal["train", "test"] = "test",
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw misclassified images, those with the highest confidence first: inverted, with a red text above.

    The text is the predicted class, the true class, and the confidence, where the classifier gives one:
    ``5 not 6`` and ``97%``.

    Args:
        model: A run, or a fitted classifier of ``(n, h*w)`` float32 in 0..1.
        dataset: The images to predict; None for the data of the run.
        n: The maximum number of images.
        split: ``"train"`` or ``"test"``.
        figure: Where to draw; None for a new one.

    Returns:
        A Figure with one axes per image; with none but a sentence if there is no mistake.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: ``n`` is below 1, the dataset is missing, or the model takes images of another size.
        UnknownNameError: There is no such split, or the run's data has no name that is known here.
        NotFoundError: The run left no model.
    """
    if n < 1:
        raise UsageError(f"n={n}: draw at least 1 image.")
    classifier, dataset = classifier_and_data(model, dataset)
    predictions = predict(classifier, split_of(dataset, split))
    wrong = wrong_first(predictions)
    count = len(wrong)
    order = f", the first {n}" if predictions.confidence is None else f", the {n} most confident"
    shown = order if n < count else ""
    title = f"{dataset.name}: {count:,} of {len(predictions.right):,} {split} images misclassified{shown}"
    return _drawn(dataset, split, predictions, wrong[:n], title=title, figure=figure)


def prediction_grid(
    model: Any,
    dataset: Dataset | None = None,
    *,
    n: int = 30,
    seed: int = 0,
    split: Literal["train", "test"] = "test",
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw randomly chosen images, the predictions above them; misclassified ones are inverted, with a red text.

    Args:
        model: As in `misclassified`.
        dataset: As in `misclassified`.
        n: How many images; all of them if the split holds fewer.
        seed: Chooses the images, as in `mnistkit.plots.sample_grid`.
        split: ``"train"`` or ``"test"``.
        figure: Where to draw; None for a new one.

    Returns:
        A Figure with one axes per image.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: ``n`` is below 1, the dataset is missing, or the model takes images of another size.
        UnknownNameError: There is no such split, or the run's data has no name that is known here.
        NotFoundError: The run left no model.
    """
    if n < 1:
        raise UsageError(f"n={n}: draw at least 1 image.")
    classifier, dataset = classifier_and_data(model, dataset)
    predictions = predict(classifier, split_of(dataset, split))
    chosen = np.random.default_rng(seed).permutation(len(predictions.right))[:n]
    right = int(predictions.right[chosen].sum())
    title = f"{dataset.name}: {right} of {len(chosen)} {split} images right"
    return _drawn(dataset, split, predictions, chosen, title=title, figure=figure)


def reliability(model: Any, dataset: Dataset | None = None, *, bins: int = 10, ax: Axes | None = None) -> Figure:
    """Draw the accuracy of a classifier against its confidence, with 95% intervals.

    Above the diagonal it is underconfident, below it overconfident. The grey bars are the shares of its predictions.

    Args:
        model: A run, or a fitted classifier with ``predict_proba``.
        dataset: Its test images are predicted; None for the data of the run.
        bins: How many bins of confidence there are between 0 and 1.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UsageError: The classifier gives no probabilities, the dataset is missing, or ``bins`` is below 1.
        UnknownNameError: The run's data has no name that is known here.
        NotFoundError: The run left no model.
    """
    classifier, dataset = classifier_and_data(model, dataset)
    found = calibrate(predict(classifier, dataset.test), bins)
    axes = axes_of(ax, (5.4, 5.6))
    lows = [100 * each.low for each in found.bins]
    shares = [100 * each.n / found.n for each in found.bins]
    axes.bar(
        lows, shares, width=100 / bins, align="edge", color="#dddddd", edgecolor="white", label="share of predictions"
    )
    axes.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    x, y = ([100 * getattr(each, name) for each in found.bins] for name in ("confidence", "accuracy"))
    ends = [each.interval() for each in found.bins]
    spans = [
        [max(value - 100 * low, 0) for value, (low, _) in zip(y, ends, strict=True)],
        [max(100 * high - value, 0) for value, (_, high) in zip(y, ends, strict=True)],
    ]
    axes.errorbar(x, y, spans, color=BLUE, marker="o", linewidth=1.5, capsize=3, label="accuracy, 95% interval")
    axes.set(xlim=(0, 100), ylim=(0, 102), aspect="equal")
    axes.set(xlabel="confidence (%)", ylabel="accuracy (%)")
    axes.set_title(plain(f"{dataset.name}: confidence is off by {100 * found.error:.1f} points on average"))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=8, frameon=False)
    figure: Figure = drawn_on(axes)
    return figure


def wrong_first(predictions: SplitPredictions) -> NDArray[np.int64]:
    """Return the positions of wrong predictions, the highest confidence first; in order if there is none."""
    (wrong,) = np.nonzero(~predictions.right)
    if predictions.confidence is None:
        return wrong
    return wrong[np.argsort(-predictions.confidence[wrong], kind="stable")]


def caption(names: Sequence[str], predictions: SplitPredictions, index: int) -> str:
    """Return the text above an image: its class or ``6 read as 5``, and the confidence in a line below: ``97%``."""
    predicted, is_right = int(predictions.predicted[index]), predictions.right[index]
    text = names[predicted] if 0 <= predicted < len(names) else str(predicted)
    if not is_right:
        text = f"{names[predictions.truth[index]]} read as {text}"
    if predictions.confidence is None:
        return text
    percent = f"{predictions.confidence[index]:.0%}"
    return f"{text}\n{'>99%' if percent == '100%' else percent}"


def _drawn(
    dataset: Dataset,
    split: Literal["train", "test"],
    predictions: SplitPredictions,
    chosen: NDArray[np.int64],
    *,
    title: str,
    figure: Figure | SubFigure | None,
) -> Figure:
    """Draw images with their predictions; misclassified ones are inverted."""
    images = split_of(dataset, split).images
    captions = [caption(dataset.class_names, predictions, index) for index in chosen] or [""]
    grid = Grid(captions, figure=figure, title=title, shape=images.shape[1:])
    for index, axes in zip(chosen, grid, strict=False):
        is_right = predictions.right[index]
        axes.imshow(images[index], cmap="Greys" if is_right else "gray", vmin=0, vmax=255, interpolation="nearest")
        if not is_right:
            axes.title.set_color(RED)
    return grid.figure  # type: ignore[return-value]  # a SubFigure only if the caller gave one
