"""The tutorial's job, and a path of regularization rates, with scikit-learn's solvers and with mnistkit's."""

from __future__ import annotations

import gzip
import struct
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, in_turn
from objectives import one_vs_rest, rows_of
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from data import mnist, write_files
from mnistkit import Dataset, evaluate
from mnistkit.estimators import FastLogisticRegression

__all__ = ["results"]

_RATE = 0.8


def results(*, quick: bool) -> Iterator[Result]:
    """The tutorial's job end to end, then a path. Minutes, if not quick."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    dataset = mnist(2000 if quick else None)
    yield _tutorial(dataset, quick=quick)
    yield _path(dataset, 4 if quick else 16, quick=quick)


def _tutorial(dataset: Dataset, *, quick: bool) -> Result:
    """From the .gz files to an evaluated one-vs-rest model; the tutorial's script with what today's libraries force."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder = Path(name)
        files = write_files(dataset, folder, ".gz")
        theirs = OneVsRestClassifier(LogisticRegression(C=1 / _RATE, solver="liblinear", random_state=42))
        ours = FastLogisticRegression("ovr", C=1 / _RATE, penalize_intercept=True, random_state=42)
        accuracy = {}

        def run_theirs() -> None:
            X, y, X_test, y_test = (_load_data(file) for file in files)
            theirs.fit(X / 255.0, y)
            accuracy["A"] = float(np.average(theirs.predict(X_test / 255.0) == y_test))

        def run_ours() -> None:
            read = Dataset.from_folder(folder)
            ours.fit(rows_of(read.train.images), read.train.y)
            accuracy["B"] = evaluate(ours, read.test, read.class_names).accuracy

        times = in_turn(run_theirs, run_ours, quick=quick)
    coef = np.vstack([each.coef_ for each in theirs.estimators_])
    intercept = np.concatenate([each.intercept_ for each in theirs.estimators_])
    X, y = dataset.train.X(np.float64), dataset.train.y
    a = one_vs_rest(X, y, coef, intercept, _RATE)
    b = one_vs_rest(X, y, ours.coef_.astype(np.float64), ours.intercept_.astype(np.float64), _RATE)
    return Result(
        what=f"one-vs-rest at rate {_RATE}, from .gz to evaluated",
        a=f"the tutorial's script: objective {a:.1f}, accuracy {accuracy['A']:.4f}",
        b=f"FastLogisticRegression: {b:.1f}, {accuracy['B']:.4f}",
        **times,
    )


def _path(dataset: Dataset, count: int, *, quick: bool) -> Result:
    """A path of regularization rates, each to lbfgs' default tolerance or better."""
    X, y = dataset.train.X(), dataset.train.y
    rows, Cs = rows_of(dataset.train.images), np.geomspace(1e-3, 1, count)
    ours = FastLogisticRegression(tol=1e-3, random_state=0)
    times = in_turn(
        lambda: [LogisticRegression(C=C, max_iter=10_000).fit(X, y) for C in Cs],
        lambda: ours.path(rows, y, Cs),
        quick=quick,
    )
    a, b = "one lbfgs fit each, converged", "FastLogisticRegression.path"
    return Result(what=f"{count} values of C, 0.001 to 1", a=a, b=b, **times)


def _load_data(path: Path) -> Any:
    """As the tutorial's utils.load_data reads: the header by struct, the rest by numpy."""
    with gzip.open(path) as stream:
        _, count = struct.unpack(">II", stream.read(8))
        if "labels" in path.name:
            return np.frombuffer(stream.read(count), dtype=np.uint8)
        rows, columns = struct.unpack(">II", stream.read(8))
        return np.frombuffer(stream.read(count * rows * columns), dtype=np.uint8).reshape(count, rows * columns)
