"""A data source of your own: it draws circles, squares and triangles, and a Trainer learns to tell them apart.

Run it with ``python examples/04_your_own_backend.py``. Compute backends and model registries are made in the same way:
subclass `ComputeBackend` or `ModelRegistry`. The contract is in the docstrings; whether you keep it, a suite tells::

    class TestShapes(DataSourceSuite):          # from mnistkit.testing
        @pytest.fixture
        def source(self): return Shapes()
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import frozen
from sklearn.svm import SVC

from mnistkit import DataSource, Trainer
from mnistkit.data import DatasetManifest, Split, write_idx

SIZE = 16


@frozen
class Shapes(DataSource):
    """Shapes of random size at random places, on a noisy ground."""

    seed: int = 0
    n_train: int = 3000
    n_test: int = 500

    @property
    def uri(self) -> str:
        return f"shapes:{self.seed}"  # what a run remembers; the same for the same data, and no I/O

    def fetch(self, into: Path) -> Path:
        rng = np.random.default_rng(self.seed)
        for part, n in (("train", self.n_train), ("t10k", self.n_test)):
            split = draw(rng, n)
            write_idx(into / f"{part}-images-idx3-ubyte.gz", split.images)  # whole or not at all; else a StorageError
            write_idx(into / f"{part}-labels-idx1-ubyte.gz", split.labels)
        DatasetManifest(name="shapes", class_names=("circle", "square", "triangle")).write(into)
        return into


def draw(rng: np.random.Generator, n: int) -> Split:
    """``n`` random shapes."""
    y, x = np.mgrid[:SIZE, :SIZE]
    labels = rng.integers(0, 3, n).astype(np.uint8)
    images = rng.integers(0, 60, (n, SIZE, SIZE)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        r = rng.uniform(3, 6)
        dx, dy = x - rng.uniform(r, SIZE - r), y - rng.uniform(r, SIZE - r)
        inside = (
            np.hypot(dx, dy) < r,
            np.maximum(abs(dx), abs(dy)) < r * 0.85,
            (dy < r * 0.8) & (dy > 2 * abs(dx) - r),
        )
        image[inside[label]] = 230
    return Split(images=images, labels=labels)


def show(image: np.ndarray) -> None:
    """Print an image as text, without its empty rows."""
    for row in image > np.max(image) / 2:
        if row.any():
            print("".join("##" if pixel else "  " for pixel in row).rstrip())
    print()


def main() -> None:
    trainer = Trainer.local(data=Shapes(), experiment="shapes")
    data = trainer.dataset()
    print(data, data.class_names)
    for image in data.test.images[:3]:
        show(image)

    run = trainer.train(SVC(C=10))
    print(run)
    model = trainer.register(run, "shapes")
    answers = trainer.load("shapes").predict(data.test.X()[:3])
    print(f"Predictions of {model.id}:", *(data.class_names[answer] for answer in answers))


if __name__ == "__main__":
    main()
