"""Pipelines of the SDK v1 by their wire: what is refused, what isn't run, what v2's job list shows of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import MANAGEMENT, Client
from emulator.test_odd_bodies import ODD, mutants
from mnistkit.emulator import AzureMLEmulator

SECONDS = 60.0
PORT = {"Name": "out", "DataTypeId": "AnyFile", "DataStoreName": "workspaceblobstore", "DataStoreMode": "mount"}
MODULE = {
    "Name": "one",
    "IsDeterministic": True,
    "IdentifierHash": "a",
    "StepType": "PythonScriptStep",
    "StructuredInterface": {
        "Inputs": [{"Name": "in", "DataTypeIdsList": ["AnyFile"], "DataStoreMode": "mount", "IsOptional": True}],
        "Outputs": [PORT, {"Name": "_run_after_output", "SkipProcessing": True}],
        "Parameters": [{"Name": "Target", "DefaultValue": "local"}, {"Name": "Arguments"}, {"Name": "Command"}],
        "MetadataParameters": [],
        "Arguments": [{"ValueType": "Literal", "Value": "hello"}, {"ValueType": "Input", "Value": "in"}],
    },
}


def pipelines(client: Client, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    """The JSON of an answer of the pipeline service."""
    answer = client.ask(method, f"/pipelines/v1.0{client.emulator.workspace.scope}/{path}", body=body)
    assert answer.status == status, answer.data
    return answer.json() if answer.data else None


def graph(client: Client, command: str = "echo", **more: Any) -> dict[str, Any]:
    """Two steps, of which the second gets the output of the first."""
    module = pipelines(client, "POST", "Modules", {**MODULE, **more})["Id"]
    parameters = [
        {"Name": "Command", "Value": command, "ValueType": "0"},
        {"Name": "Arguments", "Value": "USE_STRUCTURED_ARGUMENTS", "ValueType": "0"},
    ]
    nodes = [{"Id": each, "ModuleId": module, "ModuleParameters": parameters} for each in ("a", "b")]
    edge = {"SourceOutputPort": {"NodeId": "a", "PortName": "out"}}
    edge["DestinationInputPort"] = {"NodeId": "b", "PortName": "in"}
    return {"ModuleNodes": nodes, "DatasetNodes": [], "Edges": [edge]}


def creation(client: Client, command: str = "echo") -> dict[str, Any]:
    """What a run of these is made of."""
    interface = {"Parameters": [{"Name": "p", "DefaultValue": "1", "Type": "0"}], "DataPathParameters": []}
    info = {"Description": "d", "ParameterAssignments": {"p": "2"}, "RunSource": "SDK", "tags": {"a": "b"}}
    return {"CreationInfo": info, "Graph": graph(client, command), "GraphInterface": interface}


def submit(client: Client, body: dict[str, Any]) -> str:
    """The id of a run that was submitted."""
    found = pipelines(client, "POST", "PipelineRuns/Unsubmitted/CreationInfoWithGraph?experimentName=exp", body)
    pipelines(client, "POST", f"PipelineRuns/Submit/{found['Id']}")
    return str(found["Id"])


def ended(client: Client, run_id: str) -> str:
    """The state in which a run ends."""
    end = time.monotonic() + SECONDS
    while (code := pipelines(client, "GET", f"PipelineRuns/{run_id}")["Status"]["StatusCode"]) in {"Running", "Queued"}:
        assert time.monotonic() < end
        time.sleep(0.05)
    return str(code)


def test_steps_are_children_and_known_to_both_versions(client: Client) -> None:
    """A pipeline's steps are its run's children, with logs; v2's list has the pipeline as a job, which it cancels."""
    run_id = submit(client, creation(client))
    assert ended(client, run_id) == "Finished"
    scope = client.emulator.workspace.scope
    children = client.ask("GET", f"/history/v1.0{scope}/runs/{run_id}/children").json()["value"]
    assert [(each["name"], each["runType"], each["status"]) for each in children] == [
        ("one", "azureml.StepRun", "Completed")
    ] * 2
    log = client.ask("POST", f"/pipelines/v1.0{scope}/PipelineRuns/{run_id}/Graph/Shareable/STDOUT", body=["b"])
    assert "hello" in log.data.decode()
    jobs = client.ask("GET", f"{MANAGEMENT}{scope}/jobs?api-version=1").json()["value"]
    assert [(each["name"], each["properties"]["jobType"]) for each in jobs] == [(run_id, "Pipeline")]
    long = submit(client, creation(client, "sleep 600 #"))
    client.ask("POST", f"{MANAGEMENT}{scope}/jobs/{long}/cancel?api-version=1", body={})
    assert ended(client, long) == "Canceled"


def reused(client: Client, body: dict[str, Any]) -> str:
    """One letter for each step of a run of that: R for one that was reused."""
    run_id = submit(client, body)
    assert ended(client, run_id) == "Finished"
    scope = client.emulator.workspace.scope
    children = client.ask("GET", f"/history/v1.0{scope}/runs/{run_id}/children").json()["value"]
    flags = {each["tags"]["azureml.nodeid"]: each["properties"].get("azureml.isreused") for each in children}
    return "".join("R" if flags[node] else "-" for node in ("a", "b"))


def test_reuse(client: Client) -> None:
    """What was completed with the same code, arguments, inputs and environment isn't run again."""
    assert reused(client, creation(client)) == "--"
    assert reused(client, creation(client)) == "RR"
    for change in ({"IdentifierHash": "other code"}, {"IsDeterministic": False}):
        assert reused(client, {**creation(client), "Graph": graph(client, **change)}) == "--"
    assert reused(client, creation(client, "echo changed")) == "--"
    for key, value in {"RegenerateOutput": True, "Runconfig": '{"environment": {"name": "another"}}'}.items():
        changed = creation(client)
        changed["Graph"]["ModuleNodes"][0][key] = value
        assert reused(client, changed) == "--"  # what depends on new outputs is run too
    assert reused(client, creation(client)) == "RR"


def test_a_failure_starts_nothing_more(client: Client) -> None:
    """A failed step is named, with its end; nothing that isn't running yet is started."""
    run_id = submit(client, creation(client, "exit 3 #"))
    assert ended(client, run_id) == "Failed"
    scope = client.emulator.workspace.scope
    details = client.ask("GET", f"/history/v1.0{scope}/runs/{run_id}/details").json()
    assert "one (a): User program failed with exit code 3" in details["error"]["error"]["message"]
    assert len(client.ask("GET", f"/history/v1.0{scope}/runs/{run_id}/children").json()["value"]) == 1


def test_the_state_keeps_what_was_published(tmp_path: Path) -> None:
    """Published pipelines, endpoints, schedules and what can be reused are there again; running ones are Failed."""
    with AzureMLEmulator(state=tmp_path) as emulator:
        client = Client(emulator)
        sent = creation(client)
        published = {"Name": "p", "Graph": sent["Graph"], "GraphInterface": sent["GraphInterface"]}
        pipeline = pipelines(client, "POST", "Pipelines/Create", published)["Id"]
        pipelines(client, "POST", "PipelineEndpoints/Create", {"Name": "e", "PipelineId": pipeline})
        schedule = {"Name": "s", "PipelineId": pipeline, "PipelineSubmissionInfo": {"ExperimentName": "e"}}
        pipelines(client, "POST", "Schedules/Create", schedule)
        assert reused(client, sent) == "--"
        long = submit(client, creation(client, "sleep 600 #"))
    with AzureMLEmulator(state=tmp_path) as emulator:
        client = Client(emulator)
        for path in ("Pipelines", "PipelineEndpoints", "Schedules"):
            assert len(pipelines(client, "GET", f"{path}?activeOnly=true")) == 1
        assert ended(client, long) == "Failed"
        run = pipelines(client, "POST", f"PipelineRuns/PipelineSubmit/{pipeline}", {"ExperimentName": "again"})["Id"]
        assert ended(client, run) == "Finished"
        assert reused(client, sent) == "RR"


def test_other_steps_are_refused(client: Client) -> None:
    """A step of another kind is refused by its name when its module is sent, and noted."""
    answer = pipelines(client, "POST", "Modules", {**MODULE, "StepType": "DatabricksStep"}, status=400)
    assert "DatabricksStep" in answer["Error"]["Message"]
    (noted,) = client.emulator.unknown_requests
    assert "DatabricksStep" in noted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Graph": {}}, "no steps"),
        ({"CreationInfo": {"DataPathAssignments": [1]}}, "has to be a JSON object"),
    ],
)
def test_what_cannot_be_run_is_refused(client: Client, change: dict[str, Any], said: str) -> None:
    """A pipeline that can't be run is refused before anything of it is there."""
    path = "PipelineRuns/Unsubmitted/CreationInfoWithGraph?experimentName=exp"
    answer = pipelines(client, "POST", path, {**creation(client), **change}, status=400)
    assert said in answer["Error"]["Message"]


def test_a_circle_is_refused(client: Client) -> None:
    """Steps that wait for each other are refused."""
    body = creation(client)
    back = {"SourceOutputPort": {"NodeId": "b", "PortName": "out"}}
    body["Graph"]["Edges"].append({**back, "DestinationInputPort": {"NodeId": "a", "PortName": "in"}})
    path = "PipelineRuns/Unsubmitted/CreationInfoWithGraph?experimentName=exp"
    assert "wait for each other" in pipelines(client, "POST", path, body, status=400)["Error"]["Message"]


def test_no_body_shows_a_bug(client: Client) -> None:
    """Whatever part of a body is of another shape, the answer isn't that of a bug; and all can still be listed."""
    sent = creation(client)
    published = {"Name": "p", "Description": "d", "Graph": sent["Graph"], "GraphInterface": sent["GraphInterface"]}
    pipeline = pipelines(client, "POST", "Pipelines/Create", published)
    endpoint = pipelines(client, "POST", "PipelineEndpoints/Create", {"Name": "e", "PipelineId": pipeline["Id"]})
    schedule = {"Name": "s", "PipelineId": pipeline["Id"], "PipelineSubmissionInfo": {"ExperimentName": "e"}}
    bodies: dict[str, Any] = {
        "POST Modules": MODULE,
        "POST DataSources": {"Name": "d", "DataStoreName": "workspaceblobstore", "PathOnDataStore": "x"},
        "POST PipelineRuns/Unsubmitted/CreationInfoWithGraph?experimentName=exp": sent,
        f"PUT PipelineEndpoints/{endpoint['Id']}": endpoint,
        "POST Schedules/Create": schedule,
        f"POST PipelineRuns/PipelineSubmit/{pipeline['Id']}": {
            "ExperimentName": "../x",
            "ParameterAssignments": {"p": 1},
        },
    }
    bugs = []
    for key in published:
        for odd in ODD:
            where = f"/pipelines/v1.0{client.emulator.workspace.scope}/Pipelines/Create"
            if client.ask("POST", where, body={**published, key: odd}).status in {500, 501}:
                bugs.append((key, odd))
    for asked, body in bodies.items():
        method, _, path = asked.partition(" ")
        for mutant in mutants(body):
            where = f"/pipelines/v1.0{client.emulator.workspace.scope}/{path}"
            if client.ask(method, where, body=mutant).status in {500, 501}:
                bugs.append((asked, mutant))
    assert bugs == []
    for path in ("Pipelines", "PipelineEndpoints", "Schedules"):
        assert pipelines(client, "GET", f"{path}?activeOnly=false")
