"""Images with labels, and tables of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen


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


def write_csv(path: Path, X: Any, y: Any, *, header: bool = True, where: str = "first", end: str = "\n") -> Path:
    """Write images and labels as competitions do."""
    rows = [[f"pixel{i}" for i in range(X[0].size)]] if header else []
    rows += [list(map(str, image.ravel().tolist())) for image in X]
    labels = [*(["label"] if header else []), *map(str, y)]
    lines = [[label, *row] if where == "first" else [*row, label] for label, row in zip(labels, rows, strict=True)]
    path.write_text(end.join(",".join(line) for line in lines) + end, newline="")
    return path
