"""The Azure Machine Learning tutorial: train on a cluster, follow the run, register, predict.

It needs the extra ``azure-v1``, and trains on Azure, in the workspace of a ``config.json`` here or in a folder above,
with the login of ``az login`` or of the ``AZURE_*`` variables of a service principal. Machines cost while they run.
It trains on this machine instead, for nothing, with an emulator in place of Azure and nothing changed::

    mnistkit emulator exec --data FOLDER --write-config . -- python examples/05_azure_tutorial.py

FOLDER holds MNIST's four files. ``mnistkit data fetch mnist`` gets them, and says where they are. Without ``--data``
the emulator's own synthetic digits stand in for them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mnistkit import DATA_FOLDER, ScriptJob, Trainer
from mnistkit.azureml import AmlCompute, OpenDatasetsMnist, WorkspaceRegistry, connect

SCRIPT = Path(__file__).with_name("03_your_own_script")  # the tutorial's train.py


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    # A workspace, a cluster in it that is reused or created, and MNIST of Azure's Open Datasets, registered.
    workspace = connect()
    print(workspace.name, workspace.location, workspace.resource_group, sep="\t")
    compute = AmlCompute(workspace)
    print(compute.ensure())
    mnist = OpenDatasetsMnist(workspace).register("mnist_opendataset")
    trainer = Trainer(data=mnist, compute=compute, models=WorkspaceRegistry(workspace), experiment="sklearn-mnist")

    # The same data here: fetched once, verified, and as arrays.
    data = trainer.dataset()
    print(data)

    # Train on the cluster. DATA_FOLDER stands for where the node mounts the data.
    arguments = ("--data-folder", DATA_FOLDER, "--regularization", 0.5, "--limit", 5000)
    run = trainer.submit(ScriptJob(SCRIPT, "train.py", arguments))
    print(run)  # submitted; it keeps running when this program ends
    for text in run.logs(follow=True):
        print(text, end="")
    run.raise_for_state()
    print(run.metrics, run.record.url)
    print("\n".join(run.files))

    # Register what it left behind, and ask it about some digits.
    model = trainer.register(run, "sklearn_mnist", file="outputs/sklearn_mnist_model.pkl")
    print(model.name, model.id, model.version, sep="\t")
    classifier = trainer.load("sklearn_mnist", allow_pickle=True)  # a pickle runs code: this one is our own
    print("the digits are     ", *data.test.y[:10])
    print("the classifier says", *classifier.predict(data.test.X()[:10]))

    compute.delete()


if __name__ == "__main__":
    main()
