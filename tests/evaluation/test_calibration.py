"""Whether confidence is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from mnistkit.errors import UsageError
from mnistkit.evaluation.calibration import calibrate
from mnistkit.evaluation.scores import SplitPredictions, wilson_interval


def predictions(confidence: list[float], right: list[int]) -> SplitPredictions:
    """Answers that are right (1) or wrong (0), with these confidences."""
    return SplitPredictions(truth=np.ones(len(right), int), predicted=np.array(right), confidence=np.array(confidence))


def test_bins_by_hand() -> None:
    """Answers are sorted by confidence into bins; 1.0 belongs to the last one; empty bins are left out."""
    found = calibrate(predictions([0.05, 0.25, 0.29, 0.9, 1.0], [0, 1, 0, 1, 1]))
    assert [(b.low, b.high, b.n, b.accuracy) for b in found.bins] == [
        (0.0, 0.1, 1, 0.0),
        (0.2, pytest.approx(0.3), 2, 0.5),
        (0.9, 1.0, 2, 1.0),
    ]
    assert [b.confidence for b in found.bins] == pytest.approx([0.05, 0.27, 0.95])
    assert found.error == pytest.approx((1 * 0.05 + 2 * 0.23 + 2 * 0.05) / 5)
    assert found.bins[1].interval() == wilson_interval(1, 2)


def test_the_honest_have_a_small_error() -> None:
    """Who is right as often as they say has a small error; who is always sure has their share of mistakes."""
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    right = rng.random(20_000) < confidence
    assert calibrate(predictions(list(confidence), list(right))).error < 0.02
    assert calibrate(predictions([1.0] * 20_000, list(right))).error == pytest.approx(0.5, abs=0.02)


def test_what_can_not_be_binned_is_refused() -> None:
    """No confidences, or no bins, is a usage error."""
    with pytest.raises(UsageError, match="predict_proba"):
        calibrate(SplitPredictions(truth=np.array([1]), predicted=np.array([1])))
    with pytest.raises(UsageError, match="bins=0"):
        calibrate(predictions([0.5], [1]), bins=0)
