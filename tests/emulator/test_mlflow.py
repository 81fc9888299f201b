"""MLflow's REST API without MLflow: its shapes, its search language, its errors."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from emulator import runs_client as runs
from emulator.conftest import Client
from mnistkit.emulator.mlflow.search import parse_filter, sorted_by
from mnistkit.emulator.routing import Refusal


def ask(client: Client, method: str, path: str, status: int = 200, api: str = "v2.0", /, **body: Any) -> Any:
    """The answer to a request."""
    url = f"{runs.scope(client, f'mlflow/{api}')}/api/2.0/mlflow/{path}"
    return runs.answer(client.ask(method, url, body=body if method != "GET" else None), status)


def new_run(client: Client, **fields: Any) -> str:
    """The id of a new run of the experiment ``digits``."""
    known = client.ask("GET", f"{runs.scope(client, 'history/v1.0')}/experiments/digits").status == 200
    if not known:
        ask(client, "POST", "experiments/create", name="digits")
    experiment = ask(client, "GET", "experiments/get-by-name?experiment_name=digits")["experiment"]
    made = ask(client, "POST", "runs/create", experiment_id=experiment["experiment_id"], **fields)
    return str(made["run"]["info"]["run_id"])


def pairs(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Values by their keys."""
    return {each["key"]: each["value"] for each in values}


def test_experiments(client: Client) -> None:
    """Experiments are made once, found by name and id, tagged, deleted and restored; they are run history's."""
    made = ask(client, "POST", "experiments/create", name="digits", tags=[{"key": "a", "value": "b"}])
    again = ask(client, "POST", "experiments/create", 409, name="digits")
    assert again["error_code"] == "RESOURCE_ALREADY_EXISTS"
    found = ask(client, "GET", f"experiments/get?experiment_id={made['experiment_id']}", 200, "v1.0")["experiment"]
    assert (found["name"], found["tags"]) == ("digits", [{"key": "a", "value": "b"}])
    assert runs.history(client, "GET", "")["experimentId"] == made["experiment_id"]
    ask(client, "POST", "experiments/delete", experiment_id=made["experiment_id"])
    assert ask(client, "POST", "experiments/search")["experiments"] == []
    shown = ask(client, "POST", "experiments/search", view_type="ALL", filter="name LIKE 'dig%'")["experiments"]
    assert [each["lifecycle_stage"] for each in shown] == ["deleted"]
    ask(client, "POST", "experiments/restore", experiment_id=made["experiment_id"])
    assert ask(client, "GET", "experiments/get?experiment_id=0")["experiment"]["name"] == "Default"
    assert ask(client, "GET", "experiments/get?experiment_id=none", 404)["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_run(client: Client) -> None:
    """What is logged comes back, and run history's run has it too."""
    run_id = new_run(client, run_name="one", start_time=1_700_000_000_000, tags=[{"key": "t", "value": "1"}])
    ask(client, "POST", "runs/log-metric", run_id=run_id, key="m", value=0.5, timestamp=1_700_000_001_000, step=0)
    metrics = [{"key": "m", "value": 0.75, "timestamp": 1_700_000_002_000, "step": 2}]
    metrics += [{"key": "m", "value": 0.625, "timestamp": 1_700_000_003_000, "step": 1}, {"key": "n", "value": "NaN"}]
    ask(client, "POST", "runs/log-batch", run_id=run_id, metrics=metrics, params=[{"key": "p", "value": "x"}])
    ask(client, "POST", "runs/log-parameter", run_id=run_id, key="p", value="x")
    assert (
        "can't be changed"
        in ask(client, "POST", "runs/log-parameter", 400, run_id=run_id, key="p", value="y")["message"]
    )
    ask(client, "POST", "runs/update", run_id=run_id, status="FINISHED", end_time=1_700_000_009_000)
    run = ask(client, "GET", f"runs/get?run_id={run_id}")["run"]
    assert (run["info"]["status"], run["info"]["start_time"]) == ("FINISHED", 1_700_000_000_000)
    assert run["info"]["end_time"] == 1_700_000_009_000
    assert pairs(run["data"]["metrics"]) == {"m": 0.75, "n": "NaN"}
    assert pairs(run["data"]["params"]) == {"p": "x"}
    assert pairs(run["data"]["tags"])["mlflow.runName"] == "one"
    history = ask(client, "GET", f"metrics/get-history?run_id={run_id}&metric_key=m")["metrics"]
    assert [(each["step"], each["value"]) for each in history] == [(0, 0.5), (1, 0.625), (2, 0.75)]
    record = runs.history(client, "GET", f"/runs/{run_id}")
    assert (record["status"], record["displayName"], record["tags"]) == ("Completed", "one", {"t": "1"})
    assert not any(key.startswith("_") for key in record)


def test_a_jobs_run_is_ended_by_its_job(client: Client) -> None:
    """A script that ends its MLflow run, or fails it, doesn't end its job."""
    runs.cluster(client)
    runs.submit(client, "job", "import time\ntime.sleep(600)\n")
    runs.wait(client, "job", "Running")
    ask(client, "POST", "runs/update", run_id="job", status="FAILED")
    assert runs.state(client, "job") == "Running"
    runs.cancel(client, "job")
    assert runs.wait(client, "job")["status"] == "Canceled"
    assert ask(client, "GET", "runs/get?run_id=job")["run"]["info"]["status"] == "KILLED"


def test_delete_and_tags(client: Client) -> None:
    """A deleted run is found by its view alone, takes no metrics, and comes back; tags come and go."""
    run_id = new_run(client)
    experiment = ask(client, "GET", f"runs/get?run_id={run_id}")["run"]["info"]["experiment_id"]
    ask(client, "POST", "runs/set-tag", run_id=run_id, key="t", value="1")
    ask(client, "POST", "runs/delete-tag", run_id=run_id, key="t")
    assert (
        ask(client, "POST", "runs/delete-tag", 404, run_id=run_id, key="t")["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    )
    ask(client, "POST", "runs/delete", run_id=run_id)
    ask(client, "POST", "runs/log-metric", 400, run_id=run_id, key="m", value=1)
    for view, count in (("ACTIVE_ONLY", 0), ("DELETED_ONLY", 1), ("ALL", 1)):
        found = ask(client, "POST", "runs/search", experiment_ids=[experiment], run_view_type=view)
        assert len(found["runs"]) == count
    ask(client, "POST", "runs/restore", run_id=run_id)
    ask(client, "POST", "runs/log-metric", run_id=run_id, key="m", value=1)


def test_search(client: Client) -> None:
    """Runs are filtered, ordered and paged; the newest come first by default."""
    made = [new_run(client, run_name=f"r{number}") for number in range(4)]
    experiment = ask(client, "GET", f"runs/get?run_id={made[0]}")["run"]["info"]["experiment_id"]
    for number, run_id in enumerate(made):
        ask(client, "POST", "runs/log-metric", run_id=run_id, key="val acc", value=number / 4)
    rows = ask(client, "POST", "runs/search", experiment_ids=[experiment])["runs"]
    assert [each["info"]["run_id"] for each in rows] == made[::-1]
    body = {"experiment_ids": [experiment], "filter": "metrics.\"val acc\" >= 0.25 and run_name != 'r2'"}
    rows = ask(client, "POST", "runs/search", order_by=["metrics.`val acc` DESC"], **body)["runs"]
    assert [each["info"]["run_name"] for each in rows] == ["r3", "r1"]
    first = ask(client, "POST", "runs/search", experiment_ids=[experiment], max_results=3)
    token = first["next_page_token"]
    rest = ask(client, "POST", "runs/search", experiment_ids=[experiment], max_results=3, page_token=token)
    assert (len(first["runs"]), len(rest["runs"]), "next_page_token" in rest) == (3, 1, False)
    wrong = ask(client, "POST", "runs/search", 400, experiment_ids=[experiment], filter="metrics.x ~ 1")
    assert wrong["error_code"] == "INVALID_PARAMETER_VALUE"


RUN = {
    "metric": {"loss": 0.5},
    "param": {"kind": "Ridge"},
    "tag": {"stage": "dev"},
    "attribute": {"status": "FINISHED"},
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("metrics.loss < 1", True),
        ("metric.loss > 1e0", False),
        ("metrics.nothing < 1", False),
        ("params.kind = 'Ridge' AND tags.stage = 'dev'", True),
        ("params.kind LIKE 'Rid%'", True),
        ("params.kind LIKE 'rid%'", False),
        ("params.kind ILIKE 'rid_e'", True),
        ("params.kind IN ('Lasso', 'Ridge')", True),
        ("params.kind NOT IN ('Lasso')", True),
        ("tags.nothing IS NULL", True),
        ("tags.stage IS NOT NULL and attributes.status = 'FINISHED'", True),
        ('status = "FINISHED"', True),
        ("tags.`stage` != 'prod'", True),
    ],
)
def test_filters(text: str, fits: bool) -> None:
    """The search language says what MLflow's documentation says."""
    assert parse_filter(text, lambda item, kind, key: item[kind].get(key))(RUN) is fits


@pytest.mark.parametrize(
    "text",
    ["metrics.loss", "metrics.loss <", "metrics.loss < 1 or a = 1", "x.y = 1", "a = b", "a in 'x'", "a is 1",
     "a = 1 and", "(a = 1)", "a not like 'x'"],
)  # fmt: skip
def test_wrong_filters(text: str) -> None:
    """Anything else is refused, not guessed."""
    with pytest.raises(Refusal):
        parse_filter(text, lambda item, kind, key: None)


def test_order() -> None:
    """What has no value comes last, whatever the direction."""
    items = [{"a": 1}, {"a": None}, {"a": 3}]
    for order, values in (("a DESC", [3, 1, None]), ("a", [1, 3, None])):
        assert [each["a"] for each in sorted_by(items, [order], lambda item, kind, key: item[key])] == values


def test_registry(client: Client) -> None:
    """Versions are the workspace's models; stages, tags and aliases belong to them."""
    run_id = new_run(client)
    uri = ask(client, "GET", f"runs/get?run_id={run_id}")["run"]["info"]["artifact_uri"]
    ask(client, "POST", "registered-models/create", name="m", tags=[{"key": "a", "value": "b"}])
    assert ask(client, "POST", "registered-models/create", 409, name="m")["error_code"] == "RESOURCE_ALREADY_EXISTS"
    for number in ("1", "2"):
        made = ask(client, "POST", "model-versions/create", name="m", source=f"{uri}/model", run_id=run_id)
        assert made["model_version"]["version"] == number
    url = f"{runs.scope(client, 'modelmanagement/v1.0')}/models?name=m"
    listed = runs.answer(client.ask("GET", url))["value"]
    assert [each["version"] for each in listed] == [2, 1]
    assert not any(key.startswith("_") for each in listed for key in each)
    ask(client, "POST", "model-versions/transition-stage", name="m", version="1", stage="production")
    ask(client, "POST", "model-versions/transition-stage", name="m", version="2", stage="Production",
        archive_existing_versions="true")  # fmt: skip
    stages = {
        each["version"]: each["current_stage"] for each in ask(client, "GET", "model-versions/search")["model_versions"]
    }
    assert stages == {"1": "Archived", "2": "Production"}
    ask(client, "POST", "registered-models/alias", name="m", alias="champion", version="1")
    assert ask(client, "GET", "registered-models/alias?name=m&alias=champion")["model_version"]["version"] == "1"
    found = ask(client, "GET", "model-versions/get-download-uri?name=m&version=1")
    assert found["artifact_uri"] == f"{uri}/model"
    ask(client, "DELETE", "model-versions/delete", name="m", version="2")
    made = ask(client, "POST", "model-versions/create", name="m", source=f"{uri}/model")
    assert made["model_version"]["version"] == "3"
    ask(client, "POST", "model-versions/create", 400, name="m", source="s3://elsewhere/x")
    ask(client, "DELETE", "registered-models/delete", name="m")
    assert ask(client, "GET", "registered-models/search")["registered_models"] == []


def test_a_token_is_needed(client: Client) -> None:
    """Nothing is answered without a token."""
    url = f"{runs.scope(client, 'mlflow/v2.0')}/api/2.0/mlflow/experiments/search"
    assert client.ask("POST", url, body={}, token=None).status == 401
