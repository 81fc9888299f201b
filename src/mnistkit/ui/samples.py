"""Samples of a dataset for a page: some images of each class."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.reports.page import PageImage
from mnistkit.utils.markup import encode_grey

__all__ = ["ClassSamples", "class_samples"]

_MAX_IMAGES = 12
_MAX_CLASSES = 100
_MAX_SIDE_PX = 64


@frozen(kw_only=True)
class ClassSamples:
    """Some training images of one class.

    Attributes:
        name: Of the class.
        n_train: The number of its training images.
        n_test: The number of its test images.
        images: A few of them, dark on white; the same each time.
    """

    name: str
    n_train: int
    n_test: int
    images: tuple[PageImage, ...]


def class_samples(dataset: Dataset) -> list[ClassSamples]:
    """Return samples of each class, of at most 100 classes."""
    order = np.random.default_rng(0).permutation(len(dataset.train))
    shuffled = dataset.train.labels[order]
    found = []
    for label, name in enumerate(dataset.class_names[:_MAX_CLASSES]):
        chosen = order[np.flatnonzero(shuffled == label)[:_MAX_IMAGES]]
        images = tuple(
            PageImage(png=_png(dataset.train.images[index]), alt=f"Training image {index}: {name}", name=str(index))
            for index in chosen
        )
        n_train, n_test = (int((split.labels == label).sum()) for split in (dataset.train, dataset.test))
        found.append(ClassSamples(name=name, n_train=n_train, n_test=n_test, images=images))
    return found


def _png(image: NDArray[np.uint8]) -> bytes:
    """Return a small PNG, dark on white: of a large image every so many pixels."""
    step = max(-(-max(image.shape) // _MAX_SIDE_PX), 1)
    small = np.ascontiguousarray(255 - image[::step, ::step])
    height, width = small.shape
    return encode_grey(small.tobytes(), width, height)
