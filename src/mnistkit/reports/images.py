"""A dataset's images in a report: samples to train on, and misclassified ones. Needs no extra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.evaluation.scores import SplitPredictions
from mnistkit.plots.predictions import wrong_first
from mnistkit.reports.page import PageImage
from mnistkit.utils.markup import encode_grey

__all__ = ["has_long_names", "misclassified_images", "sample_images"]

_MAX_SIDE_PX = 64
_MAX_CAPTION_CHARS = 12


def sample_images(dataset: Dataset, n: int) -> list[PageImage]:
    """Return randomly chosen training images, dark on white, each with its class; the same each time."""
    chosen = np.random.default_rng(0).permutation(len(dataset.train))[:n]
    names = [dataset.class_names[label] for label in dataset.train.labels[chosen]]
    return [
        PageImage(
            png=_png(255 - dataset.train.images[index]),
            alt=f"Training image {index}, dark on white: {name}",
            name=name,
        )
        for index, name in zip(chosen, names, strict=True)
    ]


def misclassified_images(dataset: Dataset, predictions: SplitPredictions, n: int) -> list[PageImage]:
    """Return the misclassified test images, light on black, those with the highest confidence first."""
    return [_misclassified(dataset, predictions, index) for index in wrong_first(predictions)[:n]]


def has_long_names(dataset: Dataset, per_caption: int = 1) -> bool:
    """Return True if captions with so many names of classes need more room than usual."""
    return per_caption * max(map(len, dataset.class_names)) > _MAX_CAPTION_CHARS


def _misclassified(dataset: Dataset, predictions: SplitPredictions, index: int) -> PageImage:
    names = dataset.class_names
    predicted, truth = names[predictions.predicted[index]], names[predictions.truth[index]]
    return PageImage(
        png=_png(dataset.test.images[index]),
        alt=f"Test image {index}, light on black: it is {truth}, and was predicted to be {predicted}",
        name=predicted,
        truth=truth,
        confidence="" if predictions.confidence is None else _percent(predictions.confidence[index]),
    )


def _percent(confidence: float) -> str:
    text = f"{confidence:.0%}"
    return ">99%" if text == "100%" else text


def _png(image: NDArray[np.uint8]) -> bytes:
    """Return a small PNG: of a large image every so many pixels."""
    step = max(-(-max(image.shape) // _MAX_SIDE_PX), 1)
    small = np.ascontiguousarray(image[::step, ::step])
    height, width = small.shape
    return encode_grey(small.tobytes(), width, height)
