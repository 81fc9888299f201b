"""The Azure Machine Learning tutorial through the SDK v2: train on a cluster, follow, register, promote, predict.

It needs the extra ``azure``, and trains on Azure, in the workspace of a ``config.json`` here or in a folder above,
with the login of ``az login`` or of the ``AZURE_*`` variables of a service principal. Machines cost while they run.
It trains on this machine instead, for nothing, with an emulator in place of Azure and nothing changed::

    mnistkit emulator exec --data FOLDER --write-config . -- python examples/07_azure_v2.py

FOLDER holds MNIST's four files. ``mnistkit data fetch mnist`` gets them, and says where they are. Without ``--data``
the emulator's own synthetic digits stand in for them.
"""

from __future__ import annotations

import logging

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, best_run, promote
from mnistkit.azureml.v2 import AmlCompute, OpenDatasetsMnist, WorkspaceRegistry, connect


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    # A workspace, a cluster in it that is reused or created, and MNIST of Azure's Open Datasets, as a data asset.
    client = connect()
    print(client.workspace_name, client.resource_group_name, sep="\t")
    compute = AmlCompute(client)
    print(compute.ensure())
    mnist = OpenDatasetsMnist(client).register("mnist_opendataset")
    trainer = Trainer(data=mnist, compute=compute, models=WorkspaceRegistry(client), experiment="sklearn-mnist")

    # The same data here: fetched once, verified, and as arrays.
    data = trainer.dataset()
    print(data)

    # Train several classifiers on the cluster, as many at a time as it has nodes, and follow one of them.
    estimator = LogisticRegression(solver="lbfgs", max_iter=50)
    print(compute.plan(trainer.job(estimator, limit=5000), mnist).command)
    runs = trainer.submit_all([trainer.job(estimator.set_params(C=c), limit=5000) for c in (0.02, 2.0)])
    for text in runs[0].logs(follow=True):
        print(text, end="")
    for run in runs:
        run.wait().raise_for_state()
        print(run.id, run.metrics["accuracy"], run.record.url)

    # Register the best one, promote it, and predict some digits.
    best = best_run(runs, "accuracy")
    print("\n".join(best.files))
    model = trainer.register(best, "sklearn_mnist")
    promote(trainer.models, model.id, "champion", reason="the best of two")
    print(model.name, model.id, model.version, sep="\t")
    classifier = trainer.load("sklearn_mnist@champion")
    print("the digits are     ", *data.test.y[:10])
    print("the classifier says", *classifier.predict(data.test.X()[:10]))

    compute.delete()


if __name__ == "__main__":
    main()
