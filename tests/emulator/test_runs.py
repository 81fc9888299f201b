"""Run history: upserts, events, children, queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from emulator.runs_client import answer, history, make_run, scope

if TYPE_CHECKING:
    from emulator.conftest import Client


def test_upsert_merges(client: Client) -> None:
    """A run is made by the first PATCH; later ones add to its tags and properties and change nothing else."""
    made = make_run(client, "one", tags={"a": "1"}, properties={"p": "1"}, displayName="first")
    assert (made["status"], made["rootRunId"], made["dataContainerId"]) == ("NotStarted", "one", "dcid.one")
    history(client, "PATCH", "/runs/one", {"tags": {"b": None}, "displayName": None})
    again = history(client, "GET", "/runs/one")
    assert (again["tags"], again["properties"], again["displayName"]) == ({"a": "1", "b": None}, {"p": "1"}, "first")
    assert again["createdUtc"] == made["createdUtc"]
    assert not [key for key in again if key.startswith("_")]
    history(client, "DELETE", "/runs/one/tags", ["a"])
    assert history(client, "GET", "/runs/one")["tags"] == {"b": None}


def test_by_experiment_id(client: Client) -> None:
    """An experiment's id does as well as its name; another experiment doesn't have the run."""
    experiment = history(client, "POST", "")["experimentId"]
    make_run(client, "one")
    base = scope(client, "history/v1.0")
    assert answer(client.ask("GET", f"{base}/experimentids/{experiment}/runs/one"))["runId"] == "one"
    client.ask("POST", f"{base}/experiments/other")
    assert client.ask("GET", f"{base}/experiments/other/runs/one").status == 404
    assert client.ask("GET", f"{base}/experiments/none/runs/one").status == 404
    assert answer(client.ask("GET", f"{base}/runs/one"))["runId"] == "one"


def test_events(client: Client) -> None:
    """Events bring a run from state to state; a final one stays; an unknown event is refused."""
    make_run(client, "one")
    event = "Microsoft.MachineLearning.Run."
    for name, status in (("Start", "Running"), ("Failed", "Failed"), ("Completed", "Failed")):
        history(client, "POST", "/runs/one/events", {"name": event + name, "data": {"RunId": "one"}})
        assert history(client, "GET", "/runs/one")["status"] == status
    error = {"ErrorResponse": {"error": {"code": "UserError", "message": "no", "message_format": "{x}"}}}
    history(client, "POST", "/runs/one/events", {"name": f"{event}Error", "data": error})
    details = history(client, "GET", "/runs/one/details")
    assert details["error"]["error"]["messageFormat"] == "{x}"
    assert details["startTimeUtc"] <= details["endTimeUtc"]
    history(client, "POST", "/runs/one/events", {"name": f"{event}Explode"}, status=400)
    many = {"events": [{"name": f"{event}Start", "data": {"RunId": "none"}}]}
    assert history(client, "POST", "/batch/events", many)["errors"]


def test_children(client: Client) -> None:
    """Children know their parent and their root; a parent has to be there."""
    make_run(client, "top")
    make_run(client, "child", parentRunId="top")
    make_run(client, "grandchild", parentRunId="child")
    assert history(client, "GET", "/runs/grandchild")["rootRunId"] == "top"
    assert [each["runId"] for each in history(client, "GET", "/runs/top/children")["value"]] == ["child"]
    query = {"filter": "RootRunId eq top and RunId ne top", "orderby": "RunId asc"}
    found = history(client, "POST", "/runs:query", query)["value"]
    assert [each["runId"] for each in found] == ["child", "grandchild"]
    history(client, "PATCH", "/runs/lost", {"parentRunId": "none"}, status=404)
    made = history(client, "PATCH", "/batch/runs", {"runs": [{"runId": "a"}, {"runId": "b", "parentRunId": "none"}]})
    assert (list(made["runs"]), list(made["errors"])) == (["a"], ["b"])


def test_queries(client: Client) -> None:
    """Runs come the latest first and on pages; what a query means has to be clear."""
    for number in range(5):
        make_run(client, f"run{number}", tags={"even": str(number % 2 == 0)}, status="Running")
    query = {"filter": '(Tags/even eq "True")', "top": 2}
    first = history(client, "POST", "/runs:query", query)
    assert [each["runId"] for each in first["value"]] == ["run4", "run2"]
    last = history(client, "POST", "/runs:query", query | {"continuationToken": first["continuationToken"]})
    assert ([each["runId"] for each in last["value"]], last["continuationToken"]) == (["run0"], None)
    for bad in (
        {"filter": "Colour eq red"},
        {"orderby": "Colour"},
        {"top": 0},
        {"filter": "Status like x"},
        {"sort": 1},
    ):
        history(client, "POST", "/runs:query", bad, status=400)


def test_delete(client: Client) -> None:
    """A deleted run is gone with its metrics, and its id can be used again."""
    make_run(client, "one")
    metric = {"name": "m", "columns": {"m": "Double"}, "value": [{"metricId": "1", "data": {"m": 1.0}}]}
    url = f"{scope(client, 'metric/v2.0')}/runs/one"
    answer(client.ask("POST", f"{url}/batch", body={"values": [metric]}))
    history(client, "DELETE", "/runs/one")
    history(client, "GET", "/runs/one", status=404)
    make_run(client, "one")
    assert answer(client.ask("POST", f"{url}/list", body={}))["value"] == []


@pytest.mark.parametrize("run_id", ["..%2F..%2Fx", "%2E%2E", ".hidden", "a%2Fb", "a%20b", "x" * 300, "a%00b"])
def test_hostile_ids(client: Client, run_id: str) -> None:
    """An id that could be a path, or anything but an id, is refused."""
    history(client, "POST", "")
    url = f"{scope(client, 'history/v1.0')}/experiments/digits/runs/{run_id}"
    assert client.ask("PATCH", url, body={}).status in {400, 501}
    url = f"{scope(client, 'execution/v1.0')}/experiments/digits/snapshotrun?runId={run_id}"
    body = {"Configuration": {"script": "a.py", "target": "local"}, "SnapshotId": None}
    assert client.ask("POST", url, body=body).status == 400


def test_unknown_fields(client: Client) -> None:
    """A field that runs don't have is refused, and so is an id that isn't the path's."""
    make_run(client, "one")
    history(client, "PATCH", "/runs/one", {"colour": "red"}, status=400)
    history(client, "PATCH", "/runs/one", {"runId": "two"}, status=400)


ODD = [1, [1], "x", {"a": 1}, None, True, {"name": "x"}]


@pytest.mark.parametrize("odd", ODD)
def test_odd_bodies(client: Client, odd: object) -> None:
    """JSON of another shape than expected is refused, or means nothing; it breaks nothing."""
    make_run(client, "one")
    answers = []
    for service, method, path, keys in (
        (
            "history/v1.0",
            "PATCH",
            "/experiments/digits/runs/one",
            ("tags", "properties", "parentRunId", "inputDatasets"),
        ),
        ("history/v1.0", "PATCH", "/experiments/digits/batch/runs", ("runs",)),
        ("history/v1.0", "POST", "/experiments/digits/batch/events", ("events",)),
        ("history/v1.0", "POST", "/experiments/digits/runs/one/events", ("name", "data")),
        ("history/v1.0", "POST", "/experiments/digits/runs:query", ("filter", "orderby", "top", "continuationToken")),
        ("history/v1.0", "POST", "/experiments/digits/metrics:query", ("filter",)),
        ("history/v1.0", "POST", "/experiments:query", ("filter", "orderby", "top", "viewType")),
        ("history/v1.0", "DELETE", "/experiments/digits/runs/one/tags", ("tags",)),
        ("metric/v2.0", "POST", "/runs/one/batch", ("values",)),
        ("metric/v2.0", "POST", "/runs/one/full", ("metricName", "startTime")),
        ("artifact/v2.0", "POST", "/artifacts/batch/metadata/ExperimentRun/dcid.one", ("paths",)),
        ("artifact/v2.0", "POST", "/artifacts/metadata", ("origin", "container", "path")),
        ("content/v2.0", "POST", "/snapshots/getblob", ("FileNames",)),
        ("content/v2.0", "POST", "/snapshots/mine", ("DirTreeNode", "FileRevisionList", "ParentSnapshotId")),
        ("execution/v1.0", "POST", "/experiments/digits/snapshotrun?runId=two", ("Configuration", "SnapshotId")),
    ):
        bodies = [odd, *({key: odd} for key in keys), dict.fromkeys(keys, odd)]
        answers += [
            (client.ask(method, scope(client, service) + path, body=body).status, path, body) for body in bodies
        ]
    assert [each for each in answers if each[0] not in {200, 400, 404}] == []
    assert history(client, "GET", "/runs/one")["runId"] == "one"
    assert history(client, "POST", "/runs:query", {})["value"]


CONFIGURATIONS = [
    {"arguments": 1},
    {"arguments": {"a": 1}},
    {"environment": []},
    {"environment": {"environmentVariables": [1]}},
    {"environment": {"python": {"condaDependencies": {"dependencies": [1, {"pip": [1]}]}}}},
    {"data": [1]},
    {"data": {"x": 1}},
    {"data": {"x": {"dataLocation": "y", "mechanism": "mount"}}},
    {"nodeCount": "many"},
    {"target": {"a": 1}},
    {"script": 5},
]


@pytest.mark.parametrize("odd", CONFIGURATIONS)
def test_odd_configurations(client: Client, odd: dict[str, object]) -> None:
    """A run configuration of another shape is refused, and makes no run."""
    body = {"Configuration": {"script": "a.py", "target": "none", **odd}}
    url = f"{scope(client, 'execution/v1.0')}/experiments/digits/snapshotrun?runId=two"
    assert client.ask("POST", url, body=body).status in {400, 404}
    assert client.ask("GET", f"{scope(client, 'history/v1.0')}/runs/two").status == 404


def test_datasets_of_a_run_are_added(client: Client) -> None:
    """Each of a run's datasets is named when a client comes to it; all of them are known, and each once."""
    make_run(client, "one")
    first, second = ({"identifier": {"savedId": each}, "outputDetails": {"outputName": each}} for each in "ab")
    for each in (first, second, first):
        history(client, "PATCH", "/runs/one", {"outputDatasets": [each]})
    assert history(client, "GET", "/runs/one/details")["outputDatasets"] == [first, second]
    history(client, "PATCH", "/runs/one", {"outputDatasets": {"a": 1}}, status=400)
