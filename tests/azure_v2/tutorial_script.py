"""The tutorial on image classification through azure-ai-ml alone, from the workspace to the model.

It knows nothing of any emulator: it takes its workspace from config.json, and its credentials from the environment.
Every name that others may see can be set; what it prints last is the model's name and version.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import azure.ai.ml
from azure.ai.ml import Input, MLClient, command
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import AmlCompute, Data, Environment, Model
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

TRAIN = """
import argparse
import glob
import gzip
import os

import joblib
import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser()
parser.add_argument("--data", help="where the data is mounted")
parser.add_argument("--regularization", type=float, default=0.01, help="regularization rate")
parser.add_argument("--model", help="where the model is written to")
args = parser.parse_args()
print("Data folder:", args.data)


def load(name, header, shape):
    with gzip.open(glob.glob(os.path.join(args.data, "**", name), recursive=True)[0]) as stream:
        return np.frombuffer(stream.read()[header:], dtype=np.uint8).reshape(shape)


X_train, X_test = (load(f"{part}-images-idx3-ubyte.gz", 16, (-1, 784)) / 255.0 for part in ("train", "t10k"))
y_train, y_test = (load(f"{part}-labels-idx1-ubyte.gz", 8, -1) for part in ("train", "t10k"))
print(X_train.shape, y_train.shape, X_test.shape, y_test.shape, sep="\\n")

mlflow.start_run()
mlflow.log_param("regularization rate", args.regularization)
model = LogisticRegression(C=1.0 / args.regularization, solver="lbfgs", max_iter=100, random_state=42)
model.fit(X_train, y_train)
accuracy = np.average(model.predict(X_test) == y_test)
print("Accuracy is", accuracy)
mlflow.log_metric("accuracy", float(accuracy))
mlflow.end_run()

os.makedirs("outputs", exist_ok=True)
joblib.dump(value=model, filename="outputs/sklearn_mnist_model.pkl")  # what is in outputs is uploaded by itself
joblib.dump(value=model, filename=os.path.join(args.model, "model.pkl"))
"""


def find_cluster(client: MLClient) -> str:
    """The cluster, created if it isn't there."""
    name = os.environ.get("AML_COMPUTE_CLUSTER_NAME", "cpu-cluster")
    try:
        client.compute.get(name)
        print(f"found compute target. just use it. {name}")
    except ResourceNotFoundError:
        print("creating a new compute target...")
        cluster = AmlCompute(
            name=name,
            size=os.environ.get("AML_COMPUTE_CLUSTER_SKU", "STANDARD_D2_V2"),
            min_instances=int(os.environ.get("AML_COMPUTE_CLUSTER_MIN_NODES", "0")),
            max_instances=int(os.environ.get("AML_COMPUTE_CLUSTER_MAX_NODES", "4")),
            idle_time_before_scale_down=120,
        )
        print(client.compute.begin_create_or_update(cluster).result().provisioning_state)
    return name


def main() -> None:
    """Go through the tutorial."""
    print("Azure ML SDK Version:", azure.ai.ml.__version__)
    client = MLClient.from_config(credential=DefaultAzureCredential())
    workspace = client.workspaces.get(client.workspace_name)
    print(workspace.name, workspace.location, workspace.resource_group, sep="\t")
    cluster = find_cluster(client)
    data = client.data.create_or_update(
        Data(
            name="mnist_opendataset",
            type=AssetTypes.URI_FOLDER,
            path="https://azureopendatastorage.blob.core.windows.net/mnist",
            description="training and test dataset",
        )
    )
    environment = client.environments.create_or_update(
        Environment(
            name="tutorial-env",
            image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04",
            conda_file={
                "name": "tutorial",
                "dependencies": ["python=3.11", {"pip": ["scikit-learn", "azureml-mlflow"]}],
            },
        )
    )
    script_folder = Path.cwd() / "sklearn-mnist"
    script_folder.mkdir(exist_ok=True)
    (script_folder / "train.py").write_text(textwrap.dedent(TRAIN), encoding="utf-8")

    job = command(
        code=str(script_folder),
        command="python train.py --data ${{inputs.data}} --regularization ${{inputs.regularization}} "
        "--model ${{outputs.model}}",
        inputs={
            "data": Input(type=AssetTypes.URI_FOLDER, path=data.id, mode="ro_mount"),
            "regularization": 0.5,
        },
        outputs={"model": {"type": AssetTypes.URI_FOLDER}},
        environment=environment,
        compute=cluster,
        experiment_name="sklearn-mnist",
        display_name="sklearn-mnist",
    )
    job = client.jobs.create_or_update(job)
    client.jobs.stream(job.name)
    print(client.jobs.get(job.name).status)
    client.jobs.download(job.name, download_path="downloaded", all=True)
    print(*sorted(path.as_posix() for path in Path("downloaded").rglob("*") if path.is_file()), sep="\n")

    path = f"azureml://jobs/{job.name}/outputs/artifacts/paths/outputs/sklearn_mnist_model.pkl"
    model = client.models.create_or_update(Model(name="sklearn_mnist", path=path, type=AssetTypes.CUSTOM_MODEL))
    client.compute.begin_delete(cluster).wait()
    print(model.name, model.version, sep="\t")


if __name__ == "__main__":
    main()
