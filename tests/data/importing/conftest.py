"""Images with labels, and the files that people have them in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnistkit.utils import progress
from support.tables import Sample


@pytest.fixture(scope="session")
def sample() -> Sample:
    """Images of 4x4 in three classes; their labels mix."""
    rng = np.random.default_rng(3)
    X = rng.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    X[0, 0, :2] = 0, 255
    y = np.arange(40) * 7 % 3
    return Sample(X[:30], y[:30], X[30:], y[30:])


@pytest.fixture
def steps() -> Any:
    """The reports of progress."""
    found: list[progress.Step] = []
    with progress.listening(found.append):
        yield found
