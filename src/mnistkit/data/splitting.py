"""Choosing images by class: a test split, and a subset in which each class keeps its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import UsageError

__all__ = ["DEFAULT_TEST_FRACTION", "check_fraction", "check_seed", "choose_subset", "choose_test"]

DEFAULT_TEST_FRACTION = 0.2
"""The share of each class that becomes the test split, where nothing else is given."""


def check_fraction(fraction: float) -> None:
    """Raise UsageError unless a share is between 0 and 1."""
    if not isinstance(fraction, (int, float, np.floating)) or not 0 < fraction < 1:
        raise UsageError(f"test_fraction={fraction!r:.80}: use a share between 0 and 1, such as 0.2.")


def check_seed(seed: int) -> None:
    """Raise UsageError unless a seed is a whole number of at least 0."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UsageError(f"seed={seed!r:.80}: use a whole number of at least 0.")


def choose_test(labels: NDArray[np.integer], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which images become the test split: that share of each class, and at least one of two.

    Arrays, files and folders of images are all split by this, so that the same images in the same order are the same
    dataset.

    Args:
        labels: ``(n,)``.
        fraction: Between 0 and 1.
        seed: Chooses others.

    Returns:
        ``(n,) bool``.
    """
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.random.default_rng([seed, label]).permutation(np.nonzero(labels == label)[0])
        count = min(max(int(len(members) * fraction + 0.5), 1), len(members) - 1)
        is_test[members[:count]] = True
    return is_test


def choose_subset(labels: NDArray[np.uint8], limit: int, seed: int) -> NDArray[np.intp]:
    """Return the indices of ``limit`` images, sorted: of each class's shuffled images, the first by their quantile.

    A larger subset of the same seed contains the smaller one.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    quantile = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(order[np.argsort(quantile[order], kind="stable")[:limit]])
