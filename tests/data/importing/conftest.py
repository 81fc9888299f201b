"""Images with labels, and the files that people have them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen

from mnistkit.utils import progress


@frozen
class Sample:
    """Images and labels to train and to test on."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any

    @property
    def arrays(self) -> tuple[Any, Any, Any, Any]:
        return self.X, self.y, self.X_test, self.y_test


@pytest.fixture(scope="session")
def sample() -> Sample:
    """Images of 4x4 in three classes; their labels mix."""
    rng = np.random.default_rng(3)
    X = rng.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    X[0, 0, :2] = 0, 255
    y = np.arange(40) * 7 % 3
    return Sample(X[:30], y[:30], X[30:], y[30:])


def write_csv(path: Path, X: Any, y: Any, *, header: bool = True, where: str = "first", end: str = "\n") -> Path:
    """Write images and labels as competitions do."""
    rows = [[f"pixel{i}" for i in range(X[0].size)]] if header else []
    rows += [list(map(str, image.ravel().tolist())) for image in X]
    labels = [*(["label"] if header else []), *map(str, y)]
    lines = [[label, *row] if where == "first" else [*row, label] for label, row in zip(labels, rows, strict=True)]
    path.write_text(end.join(",".join(line) for line in lines) + end, newline="")
    return path


@pytest.fixture
def steps() -> Any:
    """The reports of progress."""
    found: list[progress.Step] = []
    with progress.listening(found.append):
        yield found
