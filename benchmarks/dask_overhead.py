"""What a run on a Dask cluster costs next to one in processes of this machine, and next to joblib's Dask backend."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
from clusters import dask_cluster
from distributed import Client
from harness import Result, compare, in_turn
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from mnistkit import Trainer
from mnistkit.dask import DaskCompute
from mnistkit.interfaces import ComputeBackend
from mnistkit.local import FolderRegistry, ProcessCompute

__all__ = ["results"]

_N_WORKERS = 2


def results(*, quick: bool) -> Iterator[Result]:
    """A tiny run, warm, and 16 jobs on two workers, against `ProcessCompute`; a grid against `GridSearchCV`."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name, dask_cluster(Path(name), _N_WORKERS) as cluster:
        home, address = Path(name), cluster.address
        dask = DaskCompute(home / "dask", address=address)
        local = ProcessCompute(home / "local", parallel=_N_WORKERS)
        tiny = LogisticRegression(tol=1e-3)
        a, b = (_trainer(compute, home, "digits") for compute in (local, dask))
        for trainer in (a, b):
            trainer.train(tiny)
        one = ("ProcessCompute", lambda: a.train(tiny)), ("DaskCompute", lambda: b.train(tiny))
        yield compare("a tiny run on digits", *one, n=3 if quick else 21)
        yield _jobs(local, dask, home, quick=quick)
        yield _grid(dask, address, home, quick=quick)
        dask.close()


def _trainer(compute: ComputeBackend, home: Path, data: str) -> Trainer:
    return Trainer(data=data, compute=compute, models=FolderRegistry(home))


def _jobs(local: ComputeBackend, dask: ComputeBackend, home: Path, *, quick: bool) -> Result:
    """Jobs that use one core each, and take a second or two."""
    data = "digits" if quick else "mnist"
    grid = {"alpha": [10.0**-k / 4 for k in range(4 if quick else 16)]}
    classifier = SGDClassifier("log_loss", max_iter=5, tol=None, random_state=0)
    a, b = (_trainer(compute, home, data) for compute in (local, dask))
    for trainer in (a, b):  # the data is there and sent, and both workers have imported what they need
        trainer.sweep(classifier, {"alpha": [1.0, 2.0, 3.0, 4.0]})
    return Result(
        what=f"{len(grid['alpha'])} jobs of one core each on {data}, two at a time",
        a="ProcessCompute(parallel=2)",
        b="DaskCompute on two workers",
        **in_turn(lambda: a.sweep(classifier, grid), lambda: b.sweep(classifier, grid), quick=quick),
    )


def _grid(dask: ComputeBackend, address: str, home: Path, *, quick: bool) -> Result:
    """The same grid: scored on the test images, with every model and evaluation kept, or the scores alone."""
    data = "digits" if quick else "mnist"
    trainer = _trainer(dask, home, data)
    dataset = trainer.dataset()
    (X, y), (X_test, y_test) = dataset.as_sklearn()
    split = PredefinedSplit(np.r_[np.full(len(y), -1), np.zeros(len(y_test), dtype=int)])
    X_all, y_all = np.concatenate([X, X_test]), np.concatenate([y, y_test])
    grid = {"alpha": [10.0**-k / 4 for k in range(4 if quick else 8)]}
    classifier = SGDClassifier("log_loss", max_iter=5, tol=None, random_state=0)

    def search() -> object:
        with Client(address, set_as_default=True), joblib.parallel_backend("dask", scatter=[X_all, y_all]):
            return GridSearchCV(classifier, grid, cv=split, refit=False).fit(X_all, y_all)

    return Result(
        what=f"a grid of {len(grid['alpha'])} on {data}, two workers",
        a="GridSearchCV, joblib's Dask backend",
        b="trainer.sweep, DaskCompute",
        **in_turn(search, lambda: trainer.sweep(classifier, grid), quick=quick),
    )
