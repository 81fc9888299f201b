"""How the cost of a multinomial fit grows: with rows, features, classes, regularization, and fewer threads.

Each row has scikit-learn's lbfgs in float32 next to ours at the objective that lbfgs reaches: to its default tolerance,
or for the number of iterations that its label gives, where more would take minutes. The data is made from MNIST.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, in_turn, timed
from objectives import fit_to, rows_of, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from data import mnist, repeated, resized, with_classes, write_many
from mnistkit.estimators import FastLogisticRegression, FileRows

__all__ = ["long_results", "results"]

_RATE = 0.8
_CONVERGED = 10_000


def results(*, quick: bool) -> Iterator[Result]:
    """One thing grows at a time."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    dataset = mnist(3000 if quick else None)
    images, labels = dataset.train.images, dataset.train.labels
    n = len(labels)
    for rows, cap in ((n // 6, _CONVERGED), (n * 10 // 3, 50)):
        yield _compare(f"{rows:,} rows, jittered", *repeated(images, labels, rows), max_iter=cap, quick=quick)
    part, few, few_labels = n // 6, images[: n // 6], labels[: n // 6]
    for side in (14, 28, 56):
        what = f"{part:,} rows of {side * side} features"
        yield _compare(what, resized(few, side), few_labels, max_iter=200, quick=quick)
    part, few, few_labels = n // 3, images[: n // 3], labels[: n // 3]
    for classes in (10, 26, 47):
        what = f"{part:,} rows, {classes} classes"
        yield _compare(what, *with_classes(few, few_labels, classes), max_iter=100, quick=quick)
    for threads in (1, 2):
        what = f"{part:,} rows, {threads} thread{'s' * (threads > 1)}"
        yield _compare(what, few, few_labels, threads=threads, quick=quick)
    yield _threads(images, labels, quick=quick)
    for rate in (1000.0, 30.0, 0.03, 0.001):
        yield _compare(f"{n:,} rows at rate {rate:g}", images, labels, rate=rate, quick=quick)


def long_results(*, quick: bool) -> Iterator[Result]:
    """Two million rows in a file of 1.6 GB, to the default tolerance; in a process of its own, for its peak memory."""
    dataset = mnist(500 if quick else None)
    n = 20_000 if quick else 2_000_000
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        path = Path(name, "images")
        labels = write_many(path, dataset.train.images, dataset.train.labels, n)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
            seconds, peak, objective = fresh.submit(_fit_file, path, labels).result()
    label = f"FileRows: {objective:.1f}, peak memory {peak / 2**20:.0f} MB"
    yield Result(what=f"{n:,} rows from a file, to convergence", a="", b=label, a_seconds=(), b_seconds=(seconds,))


def _compare(
    what: str,
    images: Any,
    labels: Any,
    *,
    rate: float = _RATE,
    max_iter: int = _CONVERGED,
    threads: int | None = None,
    quick: bool,
) -> Result:
    """lbfgs, then ours until its objective is no higher."""
    rows, y = rows_of(images), labels.astype(np.int64)
    X = np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
    theirs = LogisticRegression(C=1 / rate, max_iter=max_iter)
    goals: list[float] = []
    reached: list[float] = []
    with threadpool_limits(threads):
        times = in_turn(
            lambda: theirs.fit(X, y),
            lambda: reached.append(fit_to(goals[-1], rows, y, rate, threads=threads)),
            between=lambda: goals.append(softmax(X, y, theirs.coef_, theirs.intercept_, rate)),
            quick=quick,
        )
    ended = "stopped" if theirs.n_iter_[0] >= max_iter else "converged"
    return Result(
        what=what,
        a=f"lbfgs: {goals[-1]:.1f}, {ended} after {theirs.n_iter_[0]} iterations",
        b=f"FastLogisticRegression: {reached[-1]:.1f}",
        **times,
    )


def _threads(images: Any, labels: Any, *, quick: bool) -> Result:
    """Ours on one thread and on two, to the default tolerance."""
    rows = rows_of(images)

    def fit(threads: int) -> None:
        FastLogisticRegression(C=1 / _RATE, n_jobs=threads, random_state=0).fit(rows, labels)

    times = in_turn(lambda: fit(1), lambda: fit(2), quick=quick)
    return Result(what=f"{len(labels):,} rows, to convergence", a="ours, 1 thread", b="ours, 2 threads", **times)


def _fit_file(path: Path, labels: Any) -> tuple[float, int, float]:
    """Seconds, this process's peak memory in bytes, and the objective."""
    model = FastLogisticRegression(C=1 / _RATE, random_state=0)
    seconds = timed(lambda: model.fit(FileRows(path), labels))
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, model.objective_
