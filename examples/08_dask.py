"""Run a sweep on a Dask cluster, then a run that outlives the program which submitted it.

Run it with ``python examples/08_dask.py``; it needs the extra ``dask``. It starts a cluster of two workers on this
machine, to have one: give `DaskCompute` the address of yours. It keeps runs and models in ``./.mnistkit``.
"""

from __future__ import annotations

import logging

from distributed import LocalCluster
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.dask import DaskCompute
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
        compute.close()


if __name__ == "__main__":
    main()
