"""Accuracy on digits as people photograph them, prepared in today's way and in a naive one.

``python benchmarks/photographs.py [--digits N]`` prints a Markdown table. Each test image of MNIST is drawn dark on
paper, ten times as large, with empty paper around it, and then disturbed. The model is the tutorial's linear one, which
is trained on all of MNIST. The naive way crops to every pixel that is darker than the lightest one by more than 32.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistkit import load_dataset
from mnistkit.data.image_folder.fitting import placed, scaled
from mnistkit.data.image_folder.preparation import prepared
from mnistkit.errors import DataFormatError
from mnistkit.estimators import FastLogisticRegression

Photo = NDArray[np.float64]
Change = Callable[[Photo, np.random.Generator], Photo]

_SHAPE = (28, 28)
_ZOOM = 10
_MARGIN_PIXELS = 140
_PAPER = 235
_NAIVE_THRESHOLD = 32
_REFUSED = -1


def paper(image: NDArray[np.uint8]) -> Photo:
    """Return a test image as dark ink on light paper, ``(560, 560)``."""
    large = Image.fromarray(np.asarray(image)).resize((_SHAPE[1] * _ZOOM, _SHAPE[0] * _ZOOM))
    return _PAPER * (1 - 0.8 / 255 * np.pad(np.asarray(large, dtype=np.float64), _MARGIN_PIXELS))


def noise(sigma: float) -> Change:
    """Return a change that adds Gaussian noise."""
    return lambda photo, rng: photo + rng.normal(0, sigma, photo.shape)


def fall_off(levels: float) -> Change:
    """Return a change that lets the light fall from top to bottom."""
    return lambda photo, _: photo - np.linspace(0, levels, len(photo))[:, None]


def speck(photo: Photo, rng: np.random.Generator) -> Photo:
    """Put a speck of 3 by 3 pixels near a corner."""
    del rng
    photo = photo.copy()
    photo[5:8, 5:8] = 60
    return photo


def ruled(photo: Photo, rng: np.random.Generator) -> Photo:
    """Rule the paper: a line every 70 pixels."""
    del rng
    photo = photo.copy()
    photo[::70] = np.minimum(photo[::70], 190)
    return photo


def grey(photo: Photo, rng: np.random.Generator) -> Photo:
    """Draw on grey paper of 118 instead."""
    del rng
    return photo * 118 / _PAPER


def all_of_them(photo: Photo, rng: np.random.Generator) -> Photo:
    """Disturb in four ways at once."""
    return noise(6)(fall_off(60)(ruled(speck(photo, rng), rng), rng), rng)


CHANGES: dict[str, Change] = {
    "clean paper": lambda photo, _: photo,
    "noise, sigma 4": noise(4),
    "noise, sigma 8": noise(8),
    "noise, sigma 16": noise(16),
    "light falls by 30": fall_off(30),
    "light falls by 60": fall_off(60),
    "light falls by 120": fall_off(120),
    "a 3x3 speck": speck,
    "ruled lines": ruled,
    "grey paper": grey,
    "speck, lines, fall-off of 60, noise 6": all_of_them,
}


def naive(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Prepare an image by cropping to every pixel that isn't the ground."""
    inverted = 255 - image
    ink = inverted > inverted.min() + _NAIVE_THRESHOLD
    if not ink.any():
        raise DataFormatError("nothing there")
    rows, columns = (np.nonzero(ink.any(axis=axis))[0] for axis in (1, 0))
    cropped = inverted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return placed(scaled(cropped - cropped.min(), (20, 20)), _SHAPE)


def today(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Prepare an image as ``mnistkit predict`` does for a model of MNIST."""
    return prepared(image, _SHAPE, inverted=True, centred=True)


def predicted(model: Any, prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], photo: NDArray[np.uint8]) -> int:
    """Return the predicted label, or -1 if the image is refused."""
    try:
        row = prepare(photo).reshape(1, -1) / np.float32(255)
    except DataFormatError:
        return _REFUSED
    return int(model.predict(row)[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=int, default=200, help="the number of test images")
    n = parser.parse_args().digits
    dataset = load_dataset("mnist")
    model = FastLogisticRegression(C=2.0, tol=1e-3).fit(dataset.train.X(), dataset.train.y)
    truth = dataset.test.y[:n]
    print("| photograph | cropped to what is dark | today | refused today |\n|---|--:|--:|--:|")
    for name, change in CHANGES.items():
        rng = np.random.default_rng(0)
        photos = [np.clip(change(paper(image), rng), 0, 255).astype(np.uint8) for image in dataset.test.images[:n]]
        old, new = (np.array([predicted(model, prepare, photo) for photo in photos]) for prepare in (naive, today))
        shares = (np.mean(old == truth), np.mean(new == truth), np.mean(new == _REFUSED))
        print(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
