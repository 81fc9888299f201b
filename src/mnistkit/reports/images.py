"""A dataset's images in a report: of the data as it is, and of the mistakes. Needs no extra."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.evaluation.scores import Predictions
from mnistkit.plots.predictions import wrong_first
from mnistkit.reports.page import thumbnails
from mnistkit.utils.markup import Markup, escape
from mnistkit.utils.png import encode_grey

__all__ = ["mistakes", "samples"]

_SIDE = 64
_LONG = 12


def samples(dataset: Dataset, n: int) -> Markup:
    """Randomly chosen images to train on, dark on white, each with its class; the same each time."""
    chosen = np.random.default_rng(0).permutation(len(dataset.train))[:n]

    def items() -> Iterator[tuple[bytes, object, str]]:
        for index in chosen:
            name = dataset.class_names[dataset.train.labels[index]]
            yield _png(255 - dataset.train.images[index]), name, f"Training image {index}, dark on white: {name}"

    return thumbnails(items(), label=f"{len(chosen)} training images", wide=_longest(dataset) > _LONG)


def mistakes(dataset: Dataset, predictions: Predictions, n: int) -> Markup:
    """The wrong answers, the surest first: light on black with a red frame, and what each was taken for."""
    wrong = wrong_first(predictions)[:n]
    names = dataset.class_names

    def items() -> Iterator[tuple[bytes, object, str]]:
        for index in wrong:
            taken, truth = (names[label] for label in (predictions.predicted[index], predictions.truth[index]))
            sure = "" if predictions.confidence is None else _percent(predictions.confidence[index])
            caption = Markup(f"<b>{escape(taken)}</b> not {escape(truth)}<small>{sure}</small>")
            told = f"Test image {index}, light on black: it is {truth}, and was taken for {taken}"
            yield _png(dataset.test.images[index]), caption, told

    return thumbnails(
        items(), label=f"{len(wrong)} misclassified test images", inverted=True, wide=2 * _longest(dataset) > _LONG
    )


def _longest(dataset: Dataset) -> int:
    return max(map(len, dataset.class_names))


def _percent(confidence: float) -> str:
    text = f"{confidence:.0%}"
    return "&gt;99%" if text == "100%" else text


def _png(image: NDArray[np.uint8]) -> bytes:
    """A small PNG: of a large image every so many pixels."""
    step = max(-(-max(image.shape) // _SIDE), 1)
    small = np.ascontiguousarray(image[::step, ::step])
    height, width = small.shape
    return encode_grey(small.tobytes(), width, height)
