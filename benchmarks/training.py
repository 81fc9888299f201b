"""The same optimum, found by scikit-learn's solvers and by mnistkit's, on the real MNIST."""

from __future__ import annotations

import gzip
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, timed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from mnistkit import Dataset, evaluate, load_dataset
from mnistkit.estimators import ArrayRows, FastLogisticRegression
from mnistkit.idx import write_idx

__all__ = ["results"]

_RATE = 0.8
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def results(*, quick: bool) -> Iterator[Result]:
    """The tutorial's job end to end; the multinomial model at several rates; a path of rates. Minutes, if not quick."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    dataset = load_dataset("mnist")
    if quick:
        dataset = dataset.subset(3000)
    yield _tutorial(dataset)
    for rate in (_RATE,) if quick else (1000.0, 30.0, _RATE, 0.03, 0.001):
        yield _multinomial(dataset, rate)
    yield _path(dataset, 4 if quick else 16)


def _tutorial(dataset: Dataset) -> Result:
    """From the .gz files to an evaluated one-vs-rest model; the tutorial's script with what today's libraries force."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder = Path(name)
        arrays = (dataset.train.images, dataset.train.labels, dataset.test.images, dataset.test.labels)
        for file, array in zip(_FILES, arrays, strict=True):
            write_idx(folder / f"{file}.gz", array)
        found: dict[str, float] = {}

        def theirs() -> None:
            X, y, X_test, y_test = (_load_data(folder / f"{file}.gz") for file in _FILES)
            model = OneVsRestClassifier(LogisticRegression(C=1 / _RATE, solver="liblinear", random_state=42))
            model.fit(X / 255.0, y)
            found["A"] = float(np.average(model.predict(X_test / 255.0) == y_test))
            coef = np.vstack([each.coef_ for each in model.estimators_])
            intercept = np.concatenate([each.intercept_ for each in model.estimators_])
            found["objective A"] = _one_vs_rest(X / 255.0, y, coef, intercept)

        def ours() -> None:
            read = Dataset.from_folder(folder)
            model = FastLogisticRegression("ovr", C=1 / _RATE, penalize_intercept=True, random_state=42)
            model.fit(_rows(read), read.train.y)
            found["B"] = evaluate(model, read.test, read.class_names).accuracy
            found["objective B"] = model.objective_

        a, b = timed(theirs), timed(ours)
    return Result(
        what=f"one-vs-rest at rate {_RATE}, from .gz to evaluated",
        a=f"the tutorial's script: {found['objective A']:.1f}, accuracy {found['A']:.4f}",
        b=f"FastLogisticRegression: {found['objective B']:.1f}, accuracy {found['B']:.4f}",
        a_value=a * 1000,
        b_value=b * 1000,
        unit="ms",
        n=1,
    )


def _multinomial(dataset: Dataset, rate: float) -> Result:
    """scikit-learn's lbfgs to its default tolerance, and ours until its objective is no higher."""
    X, y = dataset.train.X(), dataset.train.y
    theirs = LogisticRegression(C=1 / rate, max_iter=10_000)
    a = timed(lambda: theirs.fit(X, y))
    goal = _softmax(X, y, theirs, rate)
    rows, ours = _rows(dataset), FastLogisticRegression(C=1 / rate, random_state=0)
    ours.set_params(callback=_until(goal))
    b = timed(_stopping(lambda: ours.fit(rows, y)))
    return Result(
        what=f"multinomial at rate {rate:g}, to the objective {goal:.1f}",
        a=f"lbfgs, float32, converged: {theirs.n_iter_[0]} iterations",
        b="FastLogisticRegression",
        a_value=a * 1000,
        b_value=b * 1000,
        unit="ms",
        n=1,
    )


def _path(dataset: Dataset, count: int) -> Result:
    """A path of regularization rates, each to lbfgs' default tolerance or better."""
    X, y = dataset.train.X(), dataset.train.y
    Cs = np.geomspace(1e-3, 1, count)
    a = sum(timed(lambda C=C: LogisticRegression(C=C, max_iter=10_000).fit(X, y)) for C in Cs)
    rows = _rows(dataset)
    b = timed(lambda: FastLogisticRegression(tol=1e-3, random_state=0).path(rows, y, Cs))
    return Result(
        what=f"{count} values of C, 0.001 to 1",
        a="one lbfgs fit each, converged",
        b="FastLogisticRegression.path",
        a_value=a * 1000,
        b_value=b * 1000,
        unit="ms",
        n=1,
    )


class _ReachedError(Exception):
    """The objective is as low as it was to be."""


def _until(goal: float) -> Callable[[int, float, float], None]:
    def callback(iteration: int, objective: float, gradient: float) -> None:  # noqa: ARG001 - a callback's shape
        if objective <= goal:
            raise _ReachedError

    return callback


def _stopping(run: Callable[[], object]) -> Callable[[], None]:
    def stopping() -> None:
        try:
            run()
        except _ReachedError:
            return
        raise AssertionError("the objective of lbfgs was not reached")

    return stopping


def _rows(dataset: Dataset) -> ArrayRows:
    return ArrayRows(dataset.train.images.reshape(len(dataset.train), -1), scale=1 / 255)


def _load_data(path: Path) -> Any:
    """As the tutorial's utils.load_data reads: the header by struct, the rest by numpy."""
    with gzip.open(path) as stream:
        _, count = struct.unpack(">II", stream.read(8))
        if "labels" in path.name:
            return np.frombuffer(stream.read(count), dtype=np.uint8)
        rows, columns = struct.unpack(">II", stream.read(8))
        return np.frombuffer(stream.read(count * rows * columns), dtype=np.uint8).reshape(count, rows * columns)


def _softmax(X: Any, y: Any, model: Any, rate: float) -> float:
    Z = (X @ model.coef_.T + model.intercept_).astype(np.float64)
    top = Z.max(axis=1)
    loss = np.log(np.exp(Z - top[:, None]).sum(axis=1)) + top - Z[np.arange(len(y)), y]
    return float(loss.sum() + rate / 2 * np.sum(model.coef_.astype(np.float64) ** 2))


def _one_vs_rest(X: Any, y: Any, coef: Any, intercept: Any) -> float:
    Z = X @ coef.T + intercept
    signs = np.where(y[:, None] == np.arange(len(intercept)), 1, -1)
    return float(np.logaddexp(0, -signs * Z).sum() + _RATE / 2 * (np.sum(coef**2) + np.sum(intercept**2)))
