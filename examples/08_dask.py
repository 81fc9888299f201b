"""Run a sweep on a Dask cluster, a run that outlives the program, and one fit whose rows lie on all workers.

Run it with ``python examples/08_dask.py``; it needs the extra ``dask``. It starts a cluster of two workers on this
machine, to have one: give `DaskCompute` the address of yours. It keeps runs and models in ``./.mnistkit``.
"""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
from distributed import LocalCluster
from sklearn.linear_model import LogisticRegression

from mnistkit import Dataset, Trainer
from mnistkit.dask import DaskCompute, DaskRows, train_rows
from mnistkit.estimators import FastLogisticRegression
from mnistkit.jobs import ModelSpec, TrainingJob
from mnistkit.local import FolderRegistry
from mnistkit.runs import Run

HOME = ".mnistkit"


def main() -> None:
    settings = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.ERROR}
    with LocalCluster(n_workers=2, threads_per_worker=1, **settings) as cluster:
        compute = DaskCompute(HOME, address=cluster.scheduler_address)
        trainer = Trainer(data="digits", compute=compute, models=FolderRegistry(HOME), experiment="cluster")
        sweep = trainer.sweep(LogisticRegression(tol=1e-3, max_iter=500), {"C": [0.003, 0.03, 0.3, 3]})
        for params, run in zip(sweep.params, sweep, strict=True):
            print(params["C"], run.metrics["accuracy"], "on", run.record.host)

        job = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"tol": 1e-3, "max_iter": 500}))
        detached = trainer.submit(job, detach=True)  # from here on this program could end

        later = DaskCompute(HOME, address=cluster.scheduler_address)  # as another program makes it, tomorrow
        run = Run(later, later.get(detached.id)).wait()
        print("collected", run.state, run.metrics["accuracy"])
        print(trainer.register(run, "sklearn_mnist").id)
        later.close()

        fit_on_all_workers(trainer, compute)
        compute.close()


def fit_on_all_workers(trainer: Trainer, compute: DaskCompute) -> None:
    """Fit one model on nine times the data, which the workers make, and pass over in parallel."""
    parts = [partial(moved, trainer.dataset(), number) for number in range(9)]
    with DaskRows(compute.client, parts) as rows, trainer.start_run("nine times the data") as run:
        scores = train_rows(run, FastLogisticRegression(C=0.5), rows)
    print(rows, scores.accuracy)
    print(trainer.register(run, "moved_digits").id)


def moved(dataset: Dataset, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all images, moved by a pixel or not, and their labels: part ``number`` of nine."""
    down, right = divmod(number, 3)
    return np.roll(dataset.train.images, (down - 1, right - 1), axis=(1, 2)), dataset.train.labels


if __name__ == "__main__":
    main()
