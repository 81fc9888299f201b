"""The accurate classifier next to the best of scikit-learn and a small network: accuracy, time, memory, size and speed.

All are fitted to MNIST's training images and measured on its test images, which no option was chosen by. Each model has
a process of its own, so that its peak memory is its own; ours is measured anew next to each peer, with another seed.
That of first order has the tutorial's model beside it.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from attrs import frozen
from harness import Result, Turn, timed, turn
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from data import mnist
from mnistkit.estimators import AccurateClassifier, ArrayRows
from mnistkit.models.persistence import save_model

__all__ = ["results"]

_OURS = "AccurateClassifier"
_FIRST = "AccurateClassifier, first order"
_TUTORIAL = "the tutorial's logistic regression"
_SEEDS = {_OURS: 5, _FIRST: 5}

MODELS: dict[str, Callable[[int], Any]] = {
    _OURS: lambda seed: AccurateClassifier(random_state=seed),
    _FIRST: lambda seed: AccurateClassifier(order=1, random_state=seed),
    _TUTORIAL: lambda seed: OneVsRestClassifier(LogisticRegression(C=1 / 0.8, solver="liblinear", random_state=seed)),
    "scikit-learn SVC(C=10), RBF": lambda _: SVC(C=10),
    "scikit-learn MLP, 512 units": lambda seed: MLPClassifier((512,), early_stopping=True, random_state=seed),
    "scikit-learn HistGradientBoosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "scikit-learn 3 nearest neighbours": lambda _: KNeighborsClassifier(3),
    "PyTorch, 2 convolutions, 4 epochs": lambda seed: Network(seed),  # noqa: PLW0108 - defined below
}


@frozen(kw_only=True)
class Measured:
    """One model, fitted in a process of its own.

    Attributes:
        turn: The fit.
        accuracy: On the test images.
        peak_bytes: The process's peak memory until it was fitted, data and libraries included.
        model_bytes: The model's file.
        per_second: Predictions of all test images at once.
    """

    turn: Turn
    accuracy: float
    peak_bytes: int
    model_bytes: int
    per_second: float

    def label(self, name: str) -> str:
        """All but the time, in a line."""
        memory, size = self.peak_bytes / 2**20, self.model_bytes / 2**20
        return f"{name}: {100 * self.accuracy:.2f} %, {memory:,.0f} MB, file {size:.1f} MB, {self.per_second:,.0f}/s"


def results(*, quick: bool) -> Iterator[Result]:
    """Each peer next to ours; last the means of several seeds."""
    ours: dict[str, list[Measured]] = {_OURS: [], _FIRST: []}
    for name in MODELS:
        if name in ours:
            continue
        if name.startswith("PyTorch") and find_spec("torch") is None:
            print("torch isn't installed, so it is left out: pip install --group peers", file=sys.stderr)
            continue
        theirs = _in_a_process(name, 0, quick=quick)
        for own in (_OURS, _FIRST) if name == _TUTORIAL else (_OURS,):
            measured = _in_a_process(own, len(ours[own]), quick=quick)
            ours[own].append(measured)
            yield _result("fit to MNIST", theirs.label(name), measured.label(own), [theirs.turn], [measured.turn])
    for own, count in _SEEDS.items():
        ours[own] += [_in_a_process(own, seed, quick=quick) for seed in range(len(ours[own]), count)]
        yield _mean(own, ours[own][:count])


def _mean(name: str, measured: list[Measured]) -> Result:
    """The mean accuracy of several seeds, with the lowest and the highest."""
    accuracies = [each.accuracy for each in measured]
    mean, low, high = (100 * of(accuracies) for of in (statistics.mean, min, max))
    label = f"{name}: {mean:.2f} % ({low:.2f}-{high:.2f})"
    return _result(f"mean of {len(measured)} seeds", "", label, [], [each.turn for each in measured])


def _result(what: str, a: str, b: str, a_turns: list[Turn], b_turns: list[Turn]) -> Result:
    return Result(
        what=what,
        a=a,
        b=b,
        a_seconds=[each.seconds for each in a_turns],
        b_seconds=[each.seconds for each in b_turns],
        others=max(each.others for each in a_turns + b_turns),
    )


def _in_a_process(name: str, seed: int, *, quick: bool) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_measure, name, seed, quick=quick).result()


def _measure(name: str, seed: int, *, quick: bool) -> Measured:
    warnings.simplefilter("ignore")
    dataset = mnist(500 if quick else None)
    model, y = MODELS[name](seed), dataset.train.y
    X = ArrayRows(dataset.train.images, scale=1 / 255) if name in _SEEDS else dataset.train.X()
    fit = turn(lambda: model.fit(X, y), quick=quick)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    X_test, predicted = dataset.test.X(), []
    seconds = timed(lambda: predicted.append(model.predict(X_test)))
    return Measured(
        turn=fit,
        accuracy=float((predicted[0] == dataset.test.y).mean()),
        peak_bytes=peak,
        model_bytes=_size(model),
        per_second=len(X_test) / seconds,
    )


def _size(model: Any) -> int:
    if isinstance(model, Network):
        return sum(4 * each.numel() for each in model.layers.parameters())
    with TemporaryDirectory(prefix="mnistkit-") as folder:
        return save_model(model, Path(folder)).stat().st_size


class Network:
    """Two convolutions with pooling and a hidden layer, by PyTorch on the processor; Adam, a falling learning rate."""

    def __init__(self, seed: int, epochs: int = 4, batch: int = 128) -> None:
        import torch
        from torch import nn

        torch.manual_seed(seed)
        self.epochs, self.batch = epochs, batch
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.25), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip

    def fit(self, X: Any, y: Any) -> Network:
        """Fit to ``(n, 784)`` and labels."""
        import torch

        images, labels = torch.from_numpy(X).reshape(-1, 1, 28, 28), torch.from_numpy(y)
        steps = self.epochs * -(-len(y) // self.batch)
        optimizer = torch.optim.Adam(self.layers.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        self.layers.train()
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(y)).split(self.batch):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(self.layers(images[chosen]), labels[chosen]).backward()
                optimizer.step()
                schedule.step()
        return self

    def predict(self, X: Any) -> Any:
        """The most probable classes of ``(n, 784)``."""
        import torch

        self.layers.eval()
        with torch.no_grad():
            parts = torch.from_numpy(X).reshape(-1, 1, 28, 28).split(1000)
            return np.concatenate([self.layers(part).argmax(dim=1).numpy() for part in parts])
