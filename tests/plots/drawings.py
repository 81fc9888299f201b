"""The drawings that have a picture in ``baseline``, and how two pictures are compared.

A picture is kept as the means of squares of 10 by 10 pixels, at 80 pixels an inch. Another release of matplotlib or
FreeType moves letters and lines by a few pixels, so that a square is compared with its neighbourhood in the other
picture: how far it is out of the range from the darkest to the lightest of the 3 by 3 squares there, per colour, and
the other way round. Two pictures are alike if that is at most `MEAN` of 255 on average, and above `LARGE` in at most
`SHARE` of the squares. Between matplotlib 3.8.4 and 3.11.2 it is 3.2 on average and 1.7 % at most; what is wrong
on purpose in ``test_pictures.py`` is beyond 4 %.

After a change that is meant to be seen: ``python tests/plots/drawings.py``, and look at what it has written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit import plots
from mnistkit.evaluation.scores import evaluate
from plots import subjects

BASELINE = Path(__file__).parent / "baseline"
SQUARE = 10
MEAN, LARGE, SHARE = 4.0, 32, 0.025


def _confusion(**options: Any) -> Any:
    dataset = subjects.digits()
    return plots.confusion(evaluate(subjects.nearest_mean(dataset), dataset), **options)


def _asked(draw: Callable[..., Any], **options: Any) -> Any:
    dataset = subjects.digits()
    return draw(subjects.nearest_mean(dataset), dataset, **options)


DRAWINGS: dict[str, Callable[[], Any]] = {
    "sample_grid": lambda: plots.sample_grid(subjects.digits(), 20),
    "mean_images": lambda: plots.mean_images(subjects.digits()),
    "class_balance": lambda: plots.class_balance(subjects.digits()),
    "confusion": _confusion,
    "confusion_errors": lambda: _confusion(errors=True),
    "misclassified": lambda: _asked(plots.misclassified, n=20),
    "prediction_grid": lambda: _asked(plots.prediction_grid, n=20),
    "reliability": lambda: _asked(plots.reliability),
    "weights": lambda: _asked(plots.weights),
    "sweep_curve": lambda: plots.sweep_curve(subjects.regularization()),
    "learning_curve": lambda: plots.learning_curve(subjects.halved()),
    "series": lambda: plots.series([subjects.logged(i) for i in range(3)], "objective", log=True),
    "timeline": lambda: plots.timeline(subjects.run()),
}


def coarse(figure: Any) -> NDArray[np.uint8]:
    """The figure at 80 pixels an inch, as the means of squares: ``(rows, columns, 3) uint8``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(80)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(float)
    rows, columns = pixels.shape[0] // SQUARE, pixels.shape[1] // SQUARE
    squares = pixels[: rows * SQUARE, : columns * SQUARE].reshape(rows, SQUARE, columns, SQUARE, 3)
    means: NDArray[np.uint8] = squares.mean(axis=(1, 3)).round().astype(np.uint8)
    return means


def difference(got: NDArray[np.uint8], expected: NDArray[np.uint8]) -> str:
    """How two coarse pictures differ, in words; empty if they are alike."""
    if got.shape != expected.shape:
        return f"{got.shape} squares, expected {expected.shape}"
    gap = np.maximum(_outside(got, expected), _outside(expected, got))
    mean, share = float(gap.mean()), float((gap > LARGE).mean())
    found = f"differs by {mean:.2f} on average, and by more than {LARGE} in {share:.1%}"
    return "" if mean <= MEAN and share <= SHARE else found


def baseline(name: str) -> NDArray[np.uint8]:
    """What a drawing looked like when somebody last looked."""
    from PIL import Image

    with Image.open(BASELINE / f"{name}.png") as image:
        return np.asarray(image.convert("RGB"))


def _outside(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far each square is out of the range of its neighbourhood in the other picture."""
    padded = np.pad(other.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    low, high, here = around.min(axis=(3, 4)), around.max(axis=(3, 4)), picture.astype(float)
    gap: NDArray[np.float64] = np.maximum(np.maximum(low - here, here - high), 0).max(axis=2)
    return gap


def write_all() -> None:
    """Keep every drawing as it is now."""
    from PIL import Image

    BASELINE.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        Image.fromarray(coarse(draw())).save(BASELINE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write_all()
