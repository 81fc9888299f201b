"""How many rows a preconditioner is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnistkit.estimators import FastLogisticRegression, newton


def test_the_sample_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that take many products make it larger, up to a bound: its rows are in memory, those of the data aren't."""
    made, sizes = newton.sampled_inverse, []

    def noted(passes: Any, P: Any, size: int, rng: Any) -> Any:
        sizes.append(size)
        return made(passes, P, size, rng)

    monkeypatch.setattr(newton, "sampled_inverse", noted)
    monkeypatch.setattr(newton, "_MAX_SAMPLE_ROWS", 10_000)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 12)) * np.logspace(0, 3, 12)
    y = (X @ np.logspace(0, -3, 12) + rng.normal(size=len(X)) > 0).astype(int)
    FastLogisticRegression(C=1e6, tol=1e-9, random_state=0).fit(X, y)
    assert max(sizes) == 16_000
