"""The tutorial on image classification as its notebook does it: the SDK alone, from the workspace to the model.

It knows nothing of any emulator: it takes its workspace from config.json, and its credentials from the environment.
Every name that others may see can be set; what it prints last is the model's name, id and version.
"""

from __future__ import annotations

import gzip
import os
import textwrap
from pathlib import Path

import azureml.core
import numpy as np
from azureml.core import Dataset, Environment, Experiment, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.conda_dependencies import CondaDependencies
from azureml.opendatasets import MNIST
from azureml.train.estimator import Estimator

UTILS = '''
import gzip
import struct

import numpy as np


def load_data(filename, label=False):
    """The images of a compressed IDX file, one a row, or its labels."""
    with gzip.open(filename) as stream:
        struct.unpack("I", stream.read(4))
        n_items = struct.unpack(">I", stream.read(4))[0]
        if label:
            return np.frombuffer(stream.read(n_items), dtype=np.uint8).reshape(n_items, 1)
        n_rows, n_columns = struct.unpack(">II", stream.read(8))
        size = n_rows * n_columns
        return np.frombuffer(stream.read(n_items * size), dtype=np.uint8).reshape(n_items, size)
'''

TRAIN = """
import argparse
import glob
import os

import joblib
import numpy as np
from azureml.core import Run
from sklearn.linear_model import LogisticRegression

from utils import load_data

parser = argparse.ArgumentParser()
parser.add_argument("--data-folder", type=str, dest="data_folder", help="where the data is mounted")
parser.add_argument("--regularization", type=float, dest="reg", default=0.01, help="regularization rate")
args = parser.parse_args()
print("Data folder:", args.data_folder)


def load(name, label=False):
    found = glob.glob(os.path.join(args.data_folder, "**", name), recursive=True)
    return load_data(found[0], label)


X_train, X_test = load("train-images-idx3-ubyte.gz") / 255.0, load("t10k-images-idx3-ubyte.gz") / 255.0
y_train, y_test = load("train-labels-idx1-ubyte.gz", True).ravel(), load("t10k-labels-idx1-ubyte.gz", True).ravel()
print(X_train.shape, y_train.shape, X_test.shape, y_test.shape, sep="\\n")

run = Run.get_context()
print("Train a logistic regression model with regularization rate of", args.reg)
model = LogisticRegression(C=1.0 / args.reg, solver="lbfgs", max_iter=100, random_state=42)
model.fit(X_train, y_train)

print("Predict the test set")
accuracy = np.average(model.predict(X_test) == y_test)
print("Accuracy is", accuracy)
run.log("regularization rate", float(args.reg))
run.log("accuracy", float(accuracy))

os.makedirs("outputs", exist_ok=True)
joblib.dump(value=model, filename="outputs/sklearn_mnist_model.pkl")  # what is in outputs is uploaded by itself
"""


def find_cluster(workspace: Workspace) -> ComputeTarget:
    """The cluster, created if it isn't there."""
    name = os.environ.get("AML_COMPUTE_CLUSTER_NAME", "cpucluster")
    if name in workspace.compute_targets:
        print(f"found compute target. just use it. {name}")
        return workspace.compute_targets[name]
    print("creating a new compute target...")
    configuration = AmlCompute.provisioning_configuration(
        vm_size=os.environ.get("AML_COMPUTE_CLUSTER_SKU", "STANDARD_D2_V2"),
        min_nodes=int(os.environ.get("AML_COMPUTE_CLUSTER_MIN_NODES", "0")),
        max_nodes=int(os.environ.get("AML_COMPUTE_CLUSTER_MAX_NODES", "4")),
    )
    cluster = ComputeTarget.create(workspace, name, configuration)
    cluster.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    print(cluster.get_status().serialize())
    return cluster


def get_data(workspace: Workspace) -> Dataset:
    """MNIST of Azure Open Datasets, downloaded to look at it, and registered."""
    folder = Path.cwd() / "data"
    folder.mkdir(exist_ok=True)
    dataset = MNIST.get_file_dataset()
    dataset.download(str(folder), overwrite=True)
    files = list(folder.rglob("*-ubyte.gz"))
    assert len(files) == 4, files
    images = next(file for file in files if "t10k-images" in file.name)
    with gzip.open(images) as stream:
        print("first test image:", np.frombuffer(stream.read()[16 : 16 + 784], dtype=np.uint8).sum())
    return dataset.register(
        workspace=workspace,
        name="mnist_opendataset",
        description="training and test dataset",
        create_new_version=True,
    )


def make_environment(workspace: Workspace) -> Environment:
    """What the script needs, registered to be used again."""
    environment = Environment("tutorial-env")
    environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["azureml-dataset-runtime[pandas,fuse]", "azureml-defaults"], conda_packages=["scikit-learn"]
    )
    environment.register(workspace=workspace)
    return environment


def main() -> None:
    """Go through the tutorial."""
    print("Azure ML SDK Version:", azureml.core.VERSION)
    workspace = Workspace.from_config()
    print(workspace.name, workspace.location, workspace.resource_group, sep="\t")
    experiment = Experiment(workspace=workspace, name="sklearn-mnist")
    cluster = find_cluster(workspace)
    dataset = get_data(workspace)

    script_folder = Path.cwd() / "sklearn-mnist"
    script_folder.mkdir(exist_ok=True)
    (script_folder / "train.py").write_text(textwrap.dedent(TRAIN), encoding="utf-8")
    (script_folder / "utils.py").write_text(textwrap.dedent(UTILS), encoding="utf-8")

    estimator = Estimator(
        source_directory=str(script_folder),
        script_params={
            "--data-folder": dataset.as_named_input("mnist_opendataset").as_mount(),
            "--regularization": 0.5,
        },
        compute_target=cluster,
        environment_definition=make_environment(workspace),
        entry_script="train.py",
    )
    run = experiment.submit(config=estimator)
    run.wait_for_completion(show_output=True)
    print(run.get_metrics())
    print(run.get_file_names())
    model = run.register_model(model_name="sklearn_mnist", model_path="outputs/sklearn_mnist_model.pkl")
    print(model.name, model.id, model.version, sep="\t")
    cluster.delete()


if __name__ == "__main__":
    main()
