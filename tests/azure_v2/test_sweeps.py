"""Sweep jobs of the SDK v2: trials, the best one, early ends, cancellation, and what isn't emulated."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure.ai.ml import command
from azure.ai.ml.sweep import Choice, Uniform
from azure.core.exceptions import HttpResponseError

DEADLINE = 120.0
LOG = """
import json, os, sys, urllib.request
uri, run = os.environ["MLFLOW_TRACKING_URI"].replace("azureml://", "https://"), os.environ["MLFLOW_RUN_ID"]
def log(value):
    body = json.dumps({"run_id": run, "key": "accuracy", "value": value, "timestamp": 1, "step": 0}).encode()
    headers = {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(uri + "/api/2.0/mlflow/runs/log-metric", body, headers)).close()
log(float(sys.argv[1]))
os.makedirs("outputs", exist_ok=True)
open("outputs/lr.txt", "w").write(sys.argv[1])
open(os.path.join(sys.argv[2], "model.txt"), "w").write(sys.argv[1])
"""


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    """A command that logs its learning rate as its accuracy, and leaves two files."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "log.py").write_text(LOG)
    return command(
        code=str(folder),
        command="python log.py ${{inputs.lr}} ${{outputs.model}}",
        inputs={"lr": 0.1},
        outputs={"model": {"type": "uri_folder"}},
        environment="azureml://registries/azureml/environments/sklearn-1.5/versions/1",
        experiment_name="sweeps",
    )


def ended(client: Any, name: str) -> Any:
    """Return a job when it has ended."""
    end = time.monotonic() + DEADLINE
    while (job := client.jobs.get(name)).status not in {"Completed", "Failed", "Canceled"}:
        assert time.monotonic() < end, job.status
        time.sleep(0.2)
    return job


def test_a_grid(workspace: Any, trial: Any, tmp_path: Path) -> None:
    """Each point of a grid is a child job, the best one is named, and a download has its files and outputs."""
    sweep = trial(lr=Choice([0.1, 0.7, 0.3])).sweep(
        primary_metric="accuracy", goal="Maximize", sampling_algorithm="grid", max_concurrent_trials=3
    )
    name = workspace.jobs.create_or_update(sweep).name
    job = ended(workspace, name)
    assert (job.status, job.type) == ("Completed", "sweep")
    best = job.properties["best_child_run_id"]
    children = {child.name: child for child in workspace.jobs.list(parent_job_name=name)}
    assert set(children) == {f"{name}_0", f"{name}_1", f"{name}_2"}
    assert json.loads(workspace.jobs.get(best).tags["hyperparameters"]) == {"lr": 0.7}
    workspace.jobs.download(name, download_path=tmp_path / "down", all=True)
    files = {path.name: path.read_text() for path in (tmp_path / "down").glob("[!h]*/**/*.txt")}  # not those of each
    assert files["lr.txt"] == files["model.txt"] == "0.7"


def test_a_random_sweep_is_canceled(workspace: Any, trial: Any) -> None:
    """A sweep that is canceled ends its trials, starts no more, and is Canceled."""
    trial.command = "sleep 60 # ${{inputs.lr}} ${{outputs.model}}"
    sweep = trial(lr=Uniform(0.1, 0.2)).sweep(
        primary_metric="accuracy", goal="Minimize", sampling_algorithm="random", max_total_trials=4,
        max_concurrent_trials=1,
    )  # fmt: skip
    name = workspace.jobs.create_or_update(sweep).name
    end = time.monotonic() + DEADLINE
    while not any(child.status == "Running" for child in workspace.jobs.list(parent_job_name=name)):
        assert time.monotonic() < end
        time.sleep(0.2)
    workspace.jobs.begin_cancel(name)
    assert ended(workspace, name).status == "Canceled"
    assert [child.status for child in workspace.jobs.list(parent_job_name=name)] == ["Canceled"]


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_bayesian_sampling_is_refused(workspace: Any, trial: Any) -> None:
    """What isn't emulated is refused when it is submitted, and nothing is made."""
    sweep = trial(lr=Uniform(0.1, 0.2)).sweep(
        primary_metric="accuracy", goal="Minimize", sampling_algorithm="bayesian", max_total_trials=4
    )
    with pytest.raises(HttpResponseError, match="use random or grid"):
        workspace.jobs.create_or_update(sweep)
    assert list(workspace.jobs.list()) == []
