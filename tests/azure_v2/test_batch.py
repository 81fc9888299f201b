"""Batch endpoints of the SDK v2: deployments of models and pipelines, the jobs they are invoked as, what goes wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure.ai.ml import Input, Output, load_component
from azure.ai.ml.constants import BatchDeploymentOutputAction
from azure.ai.ml.entities import (
    BatchEndpoint,
    BatchRetrySettings,
    CodeConfiguration,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
    PipelineComponentBatchDeployment,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from sklearn.linear_model import LogisticRegression

from mnistkit.emulator import AzureMLEmulator, Fault

DEADLINE = 120.0
ENVIRONMENT = "azureml://registries/azureml/environments/sklearn-1.5/versions/1"
SCORE = """
import os, pathlib, sys, time

def init():
    global factor
    print("a print doesn't get into the output")
    factor = int(pathlib.Path(os.environ["AZUREML_MODEL_DIR"], "factor.txt").read_text())

def run(mini_batch):
    print(len(mini_batch), "files")
    found = []
    for place in map(pathlib.Path, mini_batch):
        text = place.read_text()
        if text == "hang":
            time.sleep(60)
        if text == "die":
            os._exit(3)
        if text == "skip":
            continue
        found.append(f"{place.name} {factor * int(text)}")
        pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], f"{place.stem}.own").write_text(text)
    return found
"""


@pytest.fixture
def endpoint(workspace: Any) -> str:
    """A batch endpoint without deployments."""
    made = workspace.batch_endpoints.begin_create_or_update(BatchEndpoint(name="digits")).result()
    assert (made.provisioning_state, made.defaults.deployment_name) == ("Succeeded", None)
    return str(made.name)


def model_of(tmp_path: Path) -> Model:
    """Return a model of one file, the number 10."""
    (tmp_path / "factor.txt").write_text("10")
    return Model(name="factor", version="1", path=str(tmp_path / "factor.txt"))


def deployment(tmp_path: Path, name: str = "ten", script: str = SCORE, **settings: Any) -> Any:
    """Return the description of a deployment, with its code and its model beside it."""
    code = tmp_path / f"code-{name}"
    code.mkdir()
    (code / "score.py").write_text(script)
    return ModelBatchDeployment(
        name=name,
        endpoint_name="digits",
        model=model_of(tmp_path),
        code_configuration=CodeConfiguration(code=str(code), scoring_script="./score.py"),
        environment=ENVIRONMENT,
        settings=ModelBatchDeploymentSettings(**{"mini_batch_size": 10, **settings}),
    )


def data(tmp_path: Path, *texts: str) -> Input:
    """Return a folder with a file for each text as an input."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
    return Input(type="uri_folder", path=str(folder))


def ended(client: Any, name: str) -> Any:
    """Return a job when it has ended."""
    end = time.monotonic() + DEADLINE
    while (job := client.jobs.get(name)).status not in {"Completed", "Failed", "Canceled"}:
        assert time.monotonic() < end, job.status
        time.sleep(0.1)
    return job


def score_of(client: Any, job: Any, folder: Path) -> Path:
    """Return the folder with the scores of a job, downloaded as Azure's documentation does it."""
    child = next(iter(client.jobs.list(parent_job_name=job.name)))
    client.jobs.download(name=child.name, output_name="score", download_path=folder)
    return folder / "named-outputs" / "score"


def log_of(client: Any, job: Any, folder: Path) -> str:
    """Return the log of a job's only step."""
    child = next(iter(client.jobs.list(parent_job_name=job.name)))
    client.jobs.download(name=child.name, download_path=folder)
    return next(folder.rglob("std_log.txt")).read_text()


def test_files_are_scored_in_mini_batches(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A script scores files by mini batches, in several processes; rows come in the files' order."""
    endpoints, deployments = workspace.batch_endpoints, workspace.batch_deployments
    settings = {"mini_batch_size": 2, "instance_count": 2, "max_concurrency_per_instance": 2}
    made = deployments.begin_create_or_update(
        deployment(
            tmp_path,
            **settings,
            output_file_name="numbers.txt",
            retry_settings=BatchRetrySettings(max_retries=1, timeout=60),
        )
    ).result()
    assert (made.mini_batch_size, made.error_threshold, made.retry_settings.max_retries) == (2, -1, 1)
    files = data(tmp_path, "1", "2", "skip", "4", "5")
    with pytest.raises(HttpResponseError, match="no default deployment"):
        endpoints.invoke(endpoint_name=endpoint, input=files)
    found = endpoints.get(endpoint)
    found.defaults.deployment_name = "ten"
    endpoints.begin_create_or_update(found).result()
    job = endpoints.invoke(endpoint_name=endpoint, input=files)
    assert ended(workspace, job.name).status == "Completed"
    (child,) = workspace.jobs.list(parent_job_name=job.name)
    assert child.display_name == "batchscoring"
    assert child.creation_context.last_modified_at > child.creation_context.created_at
    score = score_of(workspace, job, tmp_path / "one")
    assert (score / "numbers.txt").read_text() == "0.txt 10\n1.txt 20\n3.txt 40\n4.txt 50\n"
    assert (score / "4.own").read_text() == "5"
    log = log_of(workspace, job, tmp_path / "log")
    assert "5 files in 3 mini batches, 3 at once." in log
    assert "5 files, 1 of them failed." in log

    where = Output(type="uri_file", path="azureml://datastores/workspaceblobstore/paths/mine/all.csv")
    second = endpoints.invoke(
        endpoint_name=endpoint,
        deployment_name="ten",
        inputs={"digits": Input(type="uri_file", path=str(tmp_path / "data" / "1.txt"))},
        outputs={"score": where},
        params_override=[{"mini_batch_size": 1}],
    )
    assert ended(workspace, second.name).status == "Completed"
    assert (score_of(workspace, second, tmp_path / "two") / "all.csv").read_text() == "1.txt 20\n"
    assert {each.name for each in endpoints.list_jobs(endpoint)} == {job.name, second.name}
    assert [each.status for each in deployments.list_jobs(endpoint, name="ten")] == ["Completed"] * 2


def test_files_that_fail(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A mini batch that hangs or ends its process is tried again in another, and costs its own files alone."""
    settings = {"mini_batch_size": 1, "retry_settings": BatchRetrySettings(max_retries=1, timeout=1)}
    hangs = deployment(tmp_path, "hangs", **settings, output_action=BatchDeploymentOutputAction.APPEND_ROW)
    strict = deployment(tmp_path, "strict", **settings, error_threshold=1)
    for each in (hangs, strict):
        workspace.batch_deployments.begin_create_or_update(each).result()
    files = data(tmp_path, "hang", "die", "3")
    jobs = [
        workspace.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name=name, input=files)
        for name in ("hangs", "strict")
    ]
    assert [ended(workspace, job.name).status for job in jobs] == ["Completed", "Failed"]
    assert (score_of(workspace, jobs[0], tmp_path / "one") / "predictions.csv").read_text() == "2.txt 30\n"
    log = log_of(workspace, jobs[0], tmp_path / "log")
    assert log.count("run() took longer than 1 seconds.") == log.count("run() ended its process.") == 2
    child = next(iter(workspace.jobs.list(parent_job_name=jobs[1].name)))
    assert "2 files failed, and the error threshold is 1." in log_of(workspace, jobs[1], tmp_path / "other")
    assert child.status == "Failed"


def test_a_script_that_cannot_begin(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A job whose ``init`` raises fails with its log, and is listed as failed."""
    broken = deployment(tmp_path, "broken", "def init():\n    raise OSError('no weights')\n")
    workspace.batch_deployments.begin_create_or_update(broken).result()
    job = workspace.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name="broken", input=data(tmp_path, "1"))
    assert ended(workspace, job.name).status == "Failed"
    log = log_of(workspace, job, tmp_path / "log")
    assert "no weights" in log
    assert "The scoring script can't be used" in log
    workspace.batch_deployments.begin_delete("broken", endpoint).wait()
    assert list(workspace.batch_deployments.list(endpoint)) == []
    workspace.batch_endpoints.begin_delete(endpoint).wait()
    with pytest.raises(ResourceNotFoundError):
        workspace.batch_endpoints.get(endpoint)
    assert workspace.jobs.get(job.name).status == "Failed"


def test_an_mlflow_model_scores_tables(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A model with an ``MLmodel`` predicts the rows of CSV files without a script: row, prediction, file."""
    folder = tmp_path / "model"
    folder.mkdir()
    X, y = np.array([[0.0, 0.0], [1.0, 1.0], [0.1, 0.0], [0.9, 1.0]]), np.array([0, 7, 0, 7])
    joblib.dump(LogisticRegression().fit(X, y), folder / "model.pkl")
    (folder / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    described = ModelBatchDeployment(
        name="two",
        endpoint_name=endpoint,
        model=Model(name="two", version="1", path=str(folder), type="mlflow_model"),
        settings=ModelBatchDeploymentSettings(mini_batch_size=10),
    )
    workspace.batch_deployments.begin_create_or_update(described).result()
    table = tmp_path / "rows.csv"
    table.write_text("a,b\n0,0.1\n1,0.9\n")
    job = workspace.batch_endpoints.invoke(
        endpoint_name=endpoint, deployment_name="two", input=Input(type="uri_file", path=str(table))
    )
    assert ended(workspace, job.name).status == "Completed"
    found = (score_of(workspace, job, tmp_path / "down") / "predictions.csv").read_text()
    assert found == "0,0,rows.csv\n1,7,rows.csv\n"


def test_a_pipeline_component_is_invoked(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A deployment of a pipeline component runs its steps; literal inputs have defaults."""
    (tmp_path / "hello.yml").write_text(f"""
name: hello
version: "1"
type: pipeline
inputs:
  word: {{type: string, default: hello}}
  data: {{type: uri_file}}
outputs:
  text: {{type: uri_folder}}
jobs:
  main:
    type: command
    component:
      inputs:
        word: {{type: string}}
        data: {{type: uri_file}}
      outputs:
        text: {{type: uri_folder}}
      environment: {ENVIRONMENT}
      command: (echo -n ${{{{inputs.word}}}}; cat ${{{{inputs.data}}}}) > ${{{{outputs.text}}}}/all.txt
    inputs:
      word: ${{{{parent.inputs.word}}}}
      data: ${{{{parent.inputs.data}}}}
    outputs:
      text: ${{{{parent.outputs.text}}}}
""")
    component = workspace.components.create_or_update(load_component(tmp_path / "hello.yml"))
    described = PipelineComponentBatchDeployment(name="hello", endpoint_name=endpoint, component=component)
    workspace.batch_deployments.begin_create_or_update(described).result()
    assert workspace.batch_deployments.get("hello", endpoint).properties["deployment_configuration_type"]
    (tmp_path / "end.txt").write_text("!")
    given = {"data": Input(type="uri_file", path=str(tmp_path / "end.txt"))}
    with pytest.raises(HttpResponseError, match="with its input 'data'"):
        workspace.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name="hello")
    for word, inputs in (("hello", given), ("bye", {**given, "word": Input(type="string", default="bye")})):
        job = workspace.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name="hello", inputs=inputs)
        assert ended(workspace, job.name).status == "Completed"
        workspace.jobs.download(job.name, output_name="text", download_path=tmp_path / word)
        assert (tmp_path / word / "named-outputs" / "text" / "all.txt").read_text() == f"{word}!"


def test_an_invocation_that_is_cut_starts_one_job(
    emulator: AzureMLEmulator, workspace: Any, endpoint: str, tmp_path: Path
) -> None:
    """The SDK sends an invocation again whose answer it didn't get; the job is started once."""
    workspace.batch_deployments.begin_create_or_update(deployment(tmp_path)).result()
    emulator.inject(Fault("reset", match="POST digits.*/jobs"))
    job = workspace.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name="ten", input=data(tmp_path, "1"))
    assert [each.name for each in workspace.batch_endpoints.list_jobs(endpoint)] == [job.name]
    assert ended(workspace, job.name).status == "Completed"
    assert len(list(workspace.jobs.list())) == 1


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_what_cannot_be_deployed(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A default that isn't there, a script that isn't in the code, and a model without a script are refused."""
    found = workspace.batch_endpoints.get(endpoint)
    found.defaults.deployment_name = "none"
    with pytest.raises(HttpResponseError, match="no deployment 'none'"):
        workspace.batch_endpoints.begin_create_or_update(found).result()
    plain = deployment(tmp_path, "plain")
    plain.code_configuration = None
    with pytest.raises(HttpResponseError, match="needs a scoring script"):
        workspace.batch_deployments.begin_create_or_update(plain).result()
    missing = deployment(tmp_path, "missing")
    (Path(missing.code_configuration.code) / "score.py").rename(tmp_path / "code-missing" / "other.py")
    with pytest.raises(HttpResponseError, match=r"isn't in the code; it has \['other.py'\]"):
        workspace.batch_deployments.begin_create_or_update(missing, skip_script_validation=True).result()
    nowhere = deployment(tmp_path, "nowhere")
    nowhere.compute = "none"
    with pytest.raises(HttpResponseError, match="none"):
        workspace.batch_deployments.begin_create_or_update(nowhere).result()
    assert list(workspace.batch_deployments.list(endpoint)) == []
