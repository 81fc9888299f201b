"""Calibration: a classifier that is 90 % confident should be right 90 times in 100."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from mnistkit.errors import UsageError
from mnistkit.evaluation.scores import SplitPredictions, wilson_interval

__all__ = ["Bin", "Calibration", "calibrate"]


@frozen(kw_only=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low: The least confidence that belongs here.
        high: The end of the bin; belongs to it only in the last one.
        n: How many answers there are.
        confidence: Their mean confidence.
        accuracy: The share of right ones.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The lowest and highest accuracy that go well with these answers."""
        return wilson_interval(round(self.accuracy * self.n), self.n, confidence)


@frozen(kw_only=True)
class Calibration:
    """Confidence of a classifier compared with its accuracy, by bins of confidence.

    Attributes:
        n: How many answers there were.
        bins: Those that hold an answer, least confident first.
    """

    n: int
    bins: tuple[Bin, ...]

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean gap between accuracy and confidence, bins by their size.

        Source: M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
        binning", AAAI (2015), 2901-2907.
        """
        return sum(each.n * abs(each.accuracy - each.confidence) for each in self.bins) / self.n


def calibrate(predictions: SplitPredictions, bins: int = 10) -> Calibration:
    """Sort answers by their confidence into bins of equal width, and count the right ones in each.

    Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML (2017).

    Args:
        predictions: With confidences.
        bins: How many bins there are between 0 and 1.

    Raises:
        UsageError: There are no confidences, or ``bins`` is below 1.
    """
    if predictions.confidence is None:
        raise UsageError("This classifier gives no probabilities: use one that has predict_proba.")
    if bins < 1:
        raise UsageError(f"bins={bins}: use at least 1.")
    confidence, right = predictions.confidence, predictions.right
    positions = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for position in np.unique(positions):
        here = positions == position
        found.append(
            Bin(
                low=position / bins,
                high=(position + 1) / bins,
                n=int(here.sum()),
                confidence=float(confidence[here].mean()),
                accuracy=float(right[here].mean()),
            )
        )
    return Calibration(n=len(right), bins=tuple(found))
