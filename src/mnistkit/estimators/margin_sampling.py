r"""Margin sampling: the rows that are hard to classify, selected without looking at a label.

A row's *margin* is the difference between its two highest scores. In active learning the rows with the smallest
margins are the ones to get labels for (T. Scheffer, C. Decomain and S. Wrobel, *Active hidden Markov models for
information extraction*, IDA 2001); here they are the ones worth their time. A selection by the residual, which does
look at the labels, is as good where all labels are right, and gathers the wrong ones where some aren't.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["smallest_margins"]

Array = NDArray[Any]


def smallest_margins(margins: Array, count: int, coverage: float, rng: np.random.Generator) -> Array:
    """Return the numbers of ``count`` rows, sorted: most have the smallest margins, some are random others.

    Args:
        margins: ``(n,)``.
        count: All rows, if n isn't larger.
        coverage: The share of random rows, 0 to 1: a class that is never confused isn't forgotten.
        rng: Draws them.
    """
    if count >= len(margins):
        return np.arange(len(margins))
    n_random = round(count * coverage)
    order = np.argpartition(margins, count - n_random)
    hard, others = np.split(order, [count - n_random])
    return np.sort(np.concatenate([hard, rng.choice(others, n_random, replace=False)]))
