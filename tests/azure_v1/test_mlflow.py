"""MLflow with Azure's plugin: what it logs and what the SDK logs are one truth, in jobs and outside of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")
pytest.importorskip("azureml.mlflow")

import mlflow
import sdk_jobs as jobs
from azureml.core import Experiment, Model, Run, Workspace

NUMBERS = """
import os
import mlflow

with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5, step=0)
    mlflow.log_metric("loss", 0.25, step=1)
    mlflow.log_param("depth", 3)
    mlflow.set_tag("stage", "dev")
    mlflow.log_text("hello", "notes/a.txt")
print("same", run.info.run_id == os.environ["AZUREML_RUN_ID"])
"""


@pytest.fixture
def tracked(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The workspace, where MLflow tracks."""
    from azureml.mlflow._internal.service_context_loader import _AzureMLServiceContextLoader as Loader

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    Loader._tracking_uri_to_service_context.clear()  # it would remember a workspace that is gone
    mlflow.set_tracking_uri(workspace.get_mlflow_tracking_uri())
    mlflow.set_experiment("digits")
    yield workspace
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


def test_what_mlflow_logs(tracked: Workspace, tmp_path: Path) -> None:
    """Metrics, parameters, tags and files that MLflow logs are the run's, for MLflow and for the SDK."""
    with mlflow.start_run(run_name="one") as active:
        mlflow.log_metric("accuracy", 0.5)
        mlflow.log_metric("accuracy", 0.75, step=1)
        mlflow.log_metrics({"loss": 1.0, "odd": float("nan")})
        mlflow.log_params({"alpha": 0.1, "kind": "x"})
        mlflow.set_tag("stage", "dev")
        mlflow.log_text("hello", "deep/er/note.txt")
    client, run_id = mlflow.MlflowClient(), active.info.run_id
    found = client.get_run(run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "one")
    assert found.data.params == {"alpha": "0.1", "kind": "x"}
    assert found.data.metrics["accuracy"] == 0.75
    assert math.isnan(found.data.metrics["odd"])
    history = client.get_metric_history(run_id, "accuracy")
    assert [(each.step, each.value) for each in history] == [(0, 0.5), (1, 0.75)]
    assert [each.path for each in client.list_artifacts(run_id, "deep")] == ["deep/er"]
    file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="deep/er/note.txt", dst_path=str(tmp_path))
    assert Path(file).read_text() == "hello"
    run = Run.get(tracked, run_id)
    assert (run.get_status(), run.display_name, run.tags["stage"]) == ("Completed", "one", "dev")
    assert run.get_metrics()["accuracy"] == [0.5, 0.75]
    assert run.get_file_names() == ["deep/er/note.txt"]


def test_what_the_sdk_logs(tracked: Workspace) -> None:
    """Metrics and tags that the SDK logs are found by MLflow, and searched by it."""
    run = Experiment(tracked, "digits").start_logging(snapshot_directory=None)
    run.log("loss", 0.5)
    run.log("loss", 0.25)
    run.log_row("point", x=1, y=2)
    run.tag("stage", "dev")
    run.complete()
    found = mlflow.get_run(run.id)
    assert found.data.metrics == {"loss": 0.25, "point.x": 1, "point.y": 2}
    text = "metrics.loss < 0.3 and tags.stage = 'dev' and attributes.status = 'FINISHED'"
    (same,) = mlflow.search_runs(experiment_names=["digits"], filter_string=text, output_format="list")
    assert same.info.run_id == run.id


def test_in_a_job(tracked: Workspace, tmp_path: Path) -> None:
    """A job's script logs to the job's own run, without a word about where."""
    run = jobs.submit(tracked, jobs.write(tmp_path / "src", NUMBERS), jobs.cluster(tracked))
    assert jobs.wait(run) == "Completed", run.get_details()
    assert "same True" in jobs.log(run)
    assert run.get_metrics() == {"loss": [0.5, 0.25]}
    assert "notes/a.txt" in run.get_file_names()
    assert mlflow.get_run(run.id).data.params == {"depth": "3"}


@pytest.mark.filterwarnings("ignore:.*type hint")  # of MLflow's own functions
def test_registry(tracked: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logged model is registered, loaded by ``models:/``, and is a model of the workspace."""
    sklearn = pytest.importorskip("mlflow.sklearn")
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    options = {"pip_requirements": ["scikit-learn"], "serialization_format": "pickle"}
    with mlflow.start_run() as active:
        info = sklearn.log_model(fitted, name="model", **options)
    mlflow.register_model(info.model_uri, "classifier")
    model = Model(tracked, "classifier")
    assert (model.version, model.run_id) == (1, active.info.run_id)
    assert (Path(model.download(str(tmp_path / "model"))) / "MLmodel").is_file()
    assert list(sklearn.load_model("models:/classifier/1").predict([[3.0]])) == [1]
    sklearn.save_model(fitted, str(tmp_path / "saved"), **options)
    second = mlflow.register_model(f"file://{tmp_path / 'saved'}", "classifier")
    assert (str(second.version), Model(tracked, "classifier").version) == ("2", 2)
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("classifier", "champion", "1")
    assert str(client.get_model_version_by_alias("classifier", "champion").version) == "1"
    assert [each.name for each in client.search_registered_models()] == ["classifier"]
    monkeypatch.chdir(tmp_path)  # the SDK registers nothing from elsewhere
    Model.register(tracked, "saved/MLmodel", "by-the-sdk")
    assert {each.name for each in client.search_registered_models()} == {"classifier", "by-the-sdk"}
