"""Accuracy under shifts, rotations and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from mnistkit.evaluation.scores import predict, wilson_interval
from mnistkit.utils.progress import Step, report

__all__ = ["UNITS", "Change", "Robustness", "measure_robustness", "noisy", "rotated", "shifted"]

Images = NDArray[np.uint8]
Kind = Literal["shift", "rotation", "noise"]

UNITS: dict[Kind, str] = {"shift": "pixels", "rotation": "degrees", "noise": "of the grey range"}
"""The unit of the amount, for each kind of change."""

_MAX_IMAGES_AT_ONCE = 2048  # so that memory is bounded
_DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@frozen(kw_only=True)
class Change:
    """The scores of a classifier on images that were changed in one way.

    Attributes:
        kind: ``"shift"``, ``"rotation"`` or ``"noise"``.
        amount: How much, in `UNITS` of the kind.
        right: How many it got right.
        n: Of how many.
    """

    kind: Kind
    amount: float
    right: int
    n: int

    @property
    def accuracy(self) -> float:
        """The share of right answers, 0 to 1."""
        return self.right / self.n

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The lowest and highest accuracy that go well with these answers."""
        return wilson_interval(self.right, self.n, confidence)


@frozen(kw_only=True)
class Robustness:
    """The scores of a classifier on images as they are, and on changed ones.

    Attributes:
        right: How many it got right of the images as they are.
        n: Of how many.
        changes: One per kind and amount, in the order in which they were asked for.
    """

    right: int
    n: int
    changes: tuple[Change, ...]

    @property
    def accuracy(self) -> float:
        """The share of right answers on the images as they are, 0 to 1."""
        return self.right / self.n


def measure_robustness(
    model: Any,
    data: Dataset | Split,
    *,
    shifts: Sequence[int] = (1, 2, 3),
    rotations: Sequence[float] = (5, 10, 20),
    noises: Sequence[float] = (0.1, 0.2, 0.3),
    seed: int = 0,
) -> Robustness:
    """Ask a fitted classifier for images that were shifted, rotated, or overlaid with noise. Reports its progress.

    Each image gets a direction, or noise, of its own; ``seed`` decides which, so that two classifiers that are measured
    with the same seed see the very same images.

    Args:
        model: A fitted scikit-learn classifier of ``(n, h*w)`` float32 in 0..1.
        data: A dataset, of which the test split is asked for, or a split.
        shifts: By how many pixels, to one of the eight neighbours' sides.
        rotations: By how many degrees, to the left or to the right.
        noises: The standard deviation of Gaussian noise, as a share of the range from background to ink.
        seed: Decides directions and noise.

    Raises:
        UsageError: There is no image, the model takes images of another size, or an amount is below 0.
    """
    split = data.test if isinstance(data, Dataset) else data
    wanted = [
        *_each("shift", shifts, shifted),
        *_each("rotation", rotations, rotated),
        *_each("noise", noises, noisy),
    ]
    task, changes = "changed images", list[Change]()
    right = int(predict(model, split).right.sum())
    try:
        for kind, amount, change in wanted:
            report(Step(task, len(changes) * split.images.nbytes, len(wanted) * split.images.nbytes))
            images = change(split.images, amount, seed)
            answers = predict(model, Split(images=images, labels=split.labels))
            changes.append(Change(kind=kind, amount=amount, right=int(answers.right.sum()), n=len(split)))
    finally:
        total = len(wanted) * split.images.nbytes
        report(Step(task, len(changes) * split.images.nbytes, total, finished=True))
    return Robustness(right=right, n=len(split), changes=tuple(changes))


def shifted(images: Images, pixels: int, seed: int = 0) -> Images:
    """Images moved by so many pixels to one of eight sides each; what comes in from outside is background.

    Args:
        images: ``(n, h, w) uint8``.
        pixels: At least 0.
        seed: Decides the sides.
    """
    sides = np.random.default_rng(seed).integers(len(_DIRECTIONS), size=len(images))
    n, h, w = images.shape
    padded = np.zeros((n, h + 2 * pixels, w + 2 * pixels), dtype=np.uint8)
    padded[:, pixels : pixels + h, pixels : pixels + w] = images
    moved = np.empty_like(images)
    for side, (down, along) in enumerate(_DIRECTIONS):
        here = sides == side
        top, left = pixels - down * pixels, pixels - along * pixels
        moved[here] = padded[here, top : top + h, left : left + w]
    return moved


def rotated(images: Images, degrees: float, seed: int = 0) -> Images:
    """Return images turned about their centre, each to the left or to the right, with bilinear interpolation.

    Args:
        images: ``(n, h, w) uint8``.
        degrees: At least 0.
        seed: Decides which way.
    """
    is_left = np.random.default_rng(seed).integers(2, size=len(images)).astype(bool)
    turned = np.empty_like(images)
    for here, angle in ((is_left, degrees), (~is_left, -degrees)):
        turned[here] = _turned(images[here], angle)
    return turned


def noisy(images: Images, deviation: float, seed: int = 0) -> Images:
    """Images with Gaussian noise on each pixel, cut off at background and ink.

    Args:
        images: ``(n, h, w) uint8``.
        deviation: The standard deviation, as a share of 255.
        seed: Decides the noise.
    """
    generator, overlaid = np.random.default_rng(seed), np.empty_like(images)
    for start in range(0, len(images), _MAX_IMAGES_AT_ONCE):
        part = images[start : start + _MAX_IMAGES_AT_ONCE]
        noise = generator.standard_normal(part.shape, dtype=np.float32)
        noise *= deviation * 255
        noise += part
        overlaid[start : start + _MAX_IMAGES_AT_ONCE] = np.clip(noise, 0, 255, out=noise).round()
    return overlaid


def _each(
    kind: Kind, amounts: Sequence[Any], change: Callable[[Images, Any, int], Images]
) -> Iterator[tuple[Kind, Any, Callable[[Images, Any, int], Images]]]:
    for amount in amounts:
        if not amount >= 0 or (kind == "shift" and amount != int(amount)):
            whole = "a whole number of" if kind == "shift" else "0 or more"
            raise UsageError(f"{kind} by {amount}: use {whole} {UNITS[kind]}.")
        yield kind, amount, change


def _turned(images: Images, angle: float) -> Images:
    """Return images turned by an angle in degrees, background beyond their edges."""
    from scipy.ndimage import rotate

    turned = np.empty_like(images)
    for start in range(0, len(images), _MAX_IMAGES_AT_ONCE):
        part = images[start : start + _MAX_IMAGES_AT_ONCE]
        found = rotate(part, angle, axes=(1, 2), reshape=False, output=np.float32, order=1, mode="grid-constant")
        turned[start : start + _MAX_IMAGES_AT_ONCE] = np.clip(found, 0, 255).round()
    return turned
