"""Choose the accurate classifier's options: ``python benchmarks/explore_accurate.py [--json FILE] [NAME ...]``.

Every variant is fitted to 50,000 of MNIST's training images and judged by the 10,000 that are left, for several folds.
The test images aren't read: what is chosen here is measured on them once, by ``run.py accuracy``. With ``--json``,
results are kept, and those that are there aren't computed again; ``--markdown`` prints the table of such a file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, frozen
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.ensemble import VotingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union

from data import mnist
from mnistkit.estimators import (
    AccurateClassifier,
    FastLogisticRegression,
    NystroemRidgeClassifier,
    OrientedGradients,
    WithinClassComponents,
)

_HELD_OUT = 10_000
_DEFORMED_TOGETHER = 128
_BEND_PIXELS = 4  # how far a bend reaches

Fit = Callable[[Any, Any, int], Callable[[Any], Any]]
"""From images ``(n, h, w) uint8``, labels and a seed to a function from images to labels."""


@frozen(kw_only=True)
class Outcome:
    """How one variant did on one fold.

    Attributes:
        variant: Its name.
        fold: Which 10,000 images were held out.
        accuracy: The share of these that are right.
        cpu_seconds: What fitting took, of all threads.
    """

    variant: str
    fold: int
    accuracy: float
    cpu_seconds: float


def kernel(classifier: dict[str, Any] | None = None, **features: Any) -> Fit:
    """Oriented gradients and a kernel ridge classifier, with options other than the defaults."""

    def model(seed: int) -> Any:
        options = {"random_state": seed} | (classifier or {})
        return make_pipeline(OrientedGradients(**features), NystroemRidgeClassifier(**options))

    return plain(model)


def plain(model: Callable[[int], Any]) -> Fit:
    """Any scikit-learn classifier of flat images."""

    def fit(images: Any, labels: Any, seed: int) -> Callable[[Any], Any]:
        fitted = model(seed).fit(_flat(images), labels)
        return lambda others: fitted.predict(_flat(others))

    return fit


def two_scales(coarse: int, fine: int) -> Fit:
    """The features of two numbers of cells, side by side."""
    return plain(
        lambda seed: make_pipeline(
            make_union(OrientedGradients(cells=coarse), OrientedGradients(cells=fine)),
            NystroemRidgeClassifier(random_state=seed),
        )
    )


def voting(*cells: int) -> Fit:
    """The mean of the probabilities of several classifiers, each with cells and a seed of its own."""

    def model(seed: int) -> Any:
        return VotingClassifier(
            [
                (
                    f"cells{n}-{i}",
                    make_pipeline(OrientedGradients(cells=n), NystroemRidgeClassifier(random_state=seed + i)),
                )
                for i, n in enumerate(cells)
            ],
            voting="soft",
        )

    return plain(model)


def normal(components: dict[str, Any] | None = None, classifier: dict[str, Any] | None = None, **features: Any) -> Fit:
    """What the accurate classifier does by default, in parts that have options; all rows make the components."""
    return plain(
        lambda seed: make_pipeline(
            OrientedGradients(**{"order": 2, "resize": True} | features),
            WithinClassComponents(**components or {}),
            NystroemRidgeClassifier(**{"random_state": seed} | (classifier or {})),
        )
    )


def vote_of(*options: dict[str, Any]) -> Fit:
    """The mean of the probabilities of accurate classifiers with these options, each with a seed of its own."""

    def model(seed: int) -> Any:
        voters = [AccurateClassifier(random_state=seed + 10 * i, **each) for i, each in enumerate(options)]
        return VotingClassifier([(str(i), voter) for i, voter in enumerate(voters)], voting="soft")

    return plain(model)


def with_copies(count: int, landmarks: int = 3000, row_share: float = 0.125, **deformation: float) -> Fit:
    """Each image ``count`` times more, deformed at random before deskewing; hard ones are selected among all."""
    features = OrientedGradients()

    def fit(images: Any, labels: Any, seed: int) -> Callable[[Any], Any]:
        all_images = [images, *(deformed(images, 1000 * seed + i + 1, **deformation) for i in range(count))]
        X = np.concatenate([features.fit_transform(_flat(each)) for each in all_images])
        classifier = NystroemRidgeClassifier(landmarks, row_share=row_share, random_state=seed)
        classifier.fit(X, np.tile(labels, count + 1))
        return lambda others: classifier.predict(features.transform(_flat(others)))

    return fit


def with_noise(share: float, fit: Fit) -> Fit:
    """A share of the training labels replaced by random ones."""

    def fit_noisy(images: Any, labels: Any, seed: int) -> Callable[[Any], Any]:
        rng = np.random.default_rng(seed)
        wrong = rng.random(len(labels)) < share
        return fit(images, np.where(wrong, rng.integers(0, 10, len(labels)), labels), seed)

    return fit_noisy


VARIANTS: dict[str, Fit] = {
    "7 x 7 cells, 8 directions, 3,000 landmarks, a quarter of the rows": kernel(),
    "1,500 landmarks": kernel({"n_landmarks": 1500}),
    "6,000 landmarks, half of the rows": kernel({"n_landmarks": 6000, "row_share": 0.5}),
    "all rows": kernel({"row_share": 1.0}),
    "random landmarks, all rows": kernel({"selection": "random"}),
    "no random rows among the hard ones": kernel({"coverage": 0.0}),
    "a quarter of them random": kernel({"coverage": 0.25}),
    "no deskewing": kernel(deskew=False),
    "no deskewing, no centring": kernel(deskew=False, centre=False),
    "no square root": kernel(root=False),
    "6 x 6 cells": kernel(cells=6),
    "9 x 9 cells": kernel(cells=9),
    "12 directions": kernel(orientations=12),
    "9 x 9 cells, 12 directions": kernel(cells=9, orientations=12),
    "wider windows (0.7)": kernel(window=0.7),
    "narrower windows (0.4)": kernel(window=0.4),
    "narrower kernel (0.4)": kernel({"bandwidth": 0.4}),
    "wider kernel (0.65)": kernel({"bandwidth": 0.65}),
    "five times the ridge": kernel({"alpha": 1e-4}),
    "5 x 5 and 9 x 9 cells side by side": two_scales(5, 9),
    "vote of two: 7 x 7 and 9 x 9 cells": voting(7, 9),
    "a deformed copy of each image": with_copies(1, row_share=0.25),
    "three deformed copies": with_copies(3),
    "three copies, deformed half as much": with_copies(3, turn=5, scaling=0.05, bend=0.5),
    "three deformed copies, 4,000 landmarks, a quarter of the rows": with_copies(3, landmarks=4000, row_share=0.25),
    "resized": kernel(resize=True),
    "second order": kernel(order=2),
    "the defaults": vote_of({}),
    "not scaled by the variation within classes": normal({"power": 0.0}),
    "scaled by it less (0.1)": normal({"power": 0.1}),
    "scaled by it more (0.3)": normal({"power": 0.3}),
    "160 components": normal({"n_components": 160}),
    "400 components": normal({"n_components": 400}),
    "first order alone": normal(order=1),
    "first order alone, 160 components": normal({"n_components": 160}, order=1),
    "first order alone, not scaled by the variation within classes": normal({"power": 0.0}, order=1),
    "not resized": normal(resize=False),
    "neither deskewed nor resized": normal(deskew=False, resize=False),
    "second order, 9 x 9 cells": normal(cells=9),
    "second order, 12 directions": normal(orientations=12),
    "second order, narrower kernel (0.4)": normal(classifier={"bandwidth": 0.4}),
    "second order, wider kernel (0.6)": normal(classifier={"bandwidth": 0.6}),
    "second order, 4,000 landmarks, 40 % of the rows": normal(classifier={"n_landmarks": 4000, "row_share": 0.4}),
    "12 directions, 4,000 landmarks, 40 % of the rows": vote_of(
        {"orientations": 12, "n_landmarks": 4000, "row_share": 0.4}
    ),
    "12 directions, 5,000 landmarks, 60 % of the rows": vote_of(
        {"orientations": 12, "n_landmarks": 5000, "row_share": 0.6}
    ),
    "second order, all rows": normal(classifier={"row_share": 1.0}),
    "vote of two seeds": vote_of({}, {}),
    "vote of 8 and 12 directions": vote_of({}, {"orientations": 12}),
    "10 % random labels, the defaults": with_noise(0.1, vote_of({})),
    "2 % random labels": with_noise(0.02, kernel()),
    "2 % random labels, random landmarks, all rows": with_noise(0.02, kernel({"selection": "random"})),
    "10 % random labels": with_noise(0.1, kernel()),
    "logistic regression on the same features": plain(
        lambda seed: make_pipeline(OrientedGradients(), FastLogisticRegression(random_state=seed))
    ),
    "5 nearest neighbours on the same features": plain(
        lambda _: make_pipeline(OrientedGradients(), KNeighborsClassifier(5))
    ),
}


def main() -> None:
    """Compute what was asked for and isn't there yet; print the table."""
    parser = argparse.ArgumentParser(description="Compare variants of the accurate classifier on training images.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {'; '.join(VARIANTS)}; all if none is named")
    parser.add_argument("--folds", type=int, default=3, choices=range(1, 7), help="how many (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep results there; don't compute those again")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="print the table of such a file, and end")
    args = parser.parse_args()
    if unknown := set(args.names) - VARIANTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if args.markdown:
        print(table(_kept(args.markdown)))
        return
    outcomes = _kept(args.json)
    train = mnist().train
    for name in args.names or VARIANTS:
        for fold in range(args.folds):
            if any((each.variant, each.fold) == (name, fold) for each in outcomes):
                continue
            outcomes.append(judge(name, fold, train.images, train.y))
            if args.json:
                args.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1), encoding="utf-8")
    print(table(outcomes))


def judge(name: str, fold: int, images: Any, labels: Any) -> Outcome:
    """Fit a variant to what a fold leaves, and count what it gets right of the fold."""
    order = np.random.default_rng(0).permutation(len(labels))
    held = order[fold * _HELD_OUT : (fold + 1) * _HELD_OUT]
    left = np.setdiff1d(order, held)
    start = time.process_time()
    predict = VARIANTS[name](images[left], labels[left], fold)
    seconds = time.process_time() - start
    accuracy = float((predict(images[held]) == labels[held]).mean())
    return Outcome(variant=name, fold=fold, accuracy=accuracy, cpu_seconds=seconds)


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table: accuracy by fold and on average, and processor seconds of the fit."""
    folds = sorted({each.fold for each in outcomes})
    lines = [
        f"| variant | mean | {' | '.join(f'fold {fold + 1}' for fold in folds)} | CPU seconds |",
        f"|---|--:|{'--:|' * len(folds)}--:|",
    ]
    for name in dict.fromkeys(each.variant for each in outcomes):
        mine = {each.fold: each for each in outcomes if each.variant == name}
        mean = statistics.mean(each.accuracy for each in mine.values())
        cells = " | ".join(f"{100 * mine[fold].accuracy:.2f}" if fold in mine else "" for fold in folds)
        seconds = statistics.median(each.cpu_seconds for each in mine.values())
        lines.append(f"| {name} | {100 * mean:.2f} | {cells} | {seconds:.1f} |")
    return "\n".join(lines)


def deformed(images: Any, seed: int, *, turn: float = 10, scaling: float = 0.1, bend: float = 0.8) -> Any:
    """The images turned by up to so many degrees, scaled by up to this share, and bent by so many pixels on average.

    128 neighbours at a time are deformed in the same way; interpolated linearly.
    """
    out = np.empty_like(images)
    for start in range(0, len(images), _DEFORMED_TOGETHER):
        rng = np.random.default_rng([seed, start])
        where = _sources(images.shape[1:], rng, turn, scaling, bend)
        part = images[start : start + _DEFORMED_TOGETHER].astype(np.float32)
        out[start : start + _DEFORMED_TOGETHER] = [map_coordinates(each, where, order=1) + 0.5 for each in part]
    return out


def _sources(shape: tuple[int, int], rng: np.random.Generator, turn: float, scaling: float, bend: float) -> Any:
    """The coordinates that pixels are read from, ``(2, h, w)``: rows and columns."""
    middle = (np.array(shape) - 1) / 2
    y, x = np.mgrid[: shape[0], : shape[1]] - middle[:, None, None]
    angle = np.deg2rad(rng.uniform(-turn, turn))
    tall, wide = 1 + rng.uniform(-scaling, scaling, 2)
    turned = [y * tall * np.cos(angle) - x * wide * np.sin(angle), y * tall * np.sin(angle) + x * wide * np.cos(angle)]
    moves = gaussian_filter(rng.normal(size=(2, *shape)), (0, _BEND_PIXELS, _BEND_PIXELS), mode="constant")
    return turned + middle[:, None, None] + moves * bend / np.sqrt((moves**2).mean())


def _kept(path: Path | None) -> list[Outcome]:
    if path is None or not path.exists():
        return []
    return [Outcome(**each) for each in json.loads(path.read_text(encoding="utf-8"))]


def _flat(images: Any) -> Any:
    return images.reshape(len(images), -1)


if __name__ == "__main__":
    main()
