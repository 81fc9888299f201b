"""Bodies of odd shapes: each is answered or refused, and none shows a bug."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client

ODD: tuple[Any, ...] = (None, 1, -1.5, True, "x", "../x", "", [], [1], ["x"], [None], {}, {"a": 1}, {"a": None})
PLACE = "LocalUpload/c/score.py"
IMAGE = {
    "assets": [{"id": "score.py", "url": f"aml://artifact/{PLACE}", "unpack": False}],
    "modelIds": ["nothing:1"],
    "environment": {"environmentVariables": {"AZUREML_ENTRY_SCRIPT": "score.py"}},
}
SWEEP = {
    "generator_config": {"name": "RANDOM", "parameter_space": {"x": ["uniform", [0, 1]]}, "properties": {"seed": 1}},
    "policy_config": {"name": "Bandit", "properties": {"slack_factor": 0.1, "evaluation_interval": 1}},
    "primary_metric_config": {"name": "score", "goal": "maximize"},
    "platform": "AML",
    "platform_config": {"Definition": {"Overrides": {"script": "x.py", "arguments": ["a"], "target": "none"}}},
    "max_total_jobs": 1,
    "max_concurrent_jobs": 1,
    "max_duration_minutes": 1,
}
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "environment": ("PUT", "/environment/v1.0{scope}/environments/e", {"Name": "e", "python": {"a": 1}, "r": None}),
    "label": ("PUT", "/environment/v1.0{scope}/environments/known/versions/1/metadata", {"Labels": ["a"]}),
    "asset": ("POST", "/modelmanagement/v1.0{scope}/assets", {"name": "m", "artifacts": [{"prefix": PLACE}]}),
    "model": (
        "POST",
        "/modelmanagement/v1.0{scope}/models",
        {
            "name": "m",
            "url": "aml://asset/x",
            "mimeType": "x",
            "kvTags": {"a": "b"},
            "datasets": [{"name": "a", "id": "b"}],
        },
    ),
    "saved": (
        "POST",
        "/dataset/v1.0{scope}/saveddatasets",
        {"datasetType": "file", "dataflowJson": '{"meta": {"RsDataflow": "x"}}', "properties": {"a": "b"}},
    ),
    "dataset": (
        "POST",
        "/dataset/v1.0{scope}/datasets?ifExistsOk=true&updateDefinitionIfExists=true",
        {
            "name": "d",
            "datasetType": "file",
            "latest": {"dataflow": '{"meta": {"RsDataflow": "x"}}', "properties": {"a": "b"}, "savedDatasetId": None},
            "tags": {"a": "b"},
            "description": "x",
        },
    ),
    "datastore": (
        "POST",
        "/datastore/v1.0{scope}/datastores",
        {
            "name": "mine",
            "dataStoreType": "AzureBlob",
            "tags": {"a": "b"},
            "azureStorageSection": {
                "accountName": "mnistkitemulator",
                "containerName": "data",
                "credentialType": "Sas",
                "credential": "sig=1",
                "endpoint": "core.windows.net",
                "protocol": "https",
            },
        },
    ),
    "service": (
        "POST",
        "/modelmanagement/v1.0{scope}/services",
        {
            "name": "digits",
            "computeType": "ACI",
            "environmentImageRequest": IMAGE,
            "kvTags": {"a": "b"},
            "properties": {"a": "b"},
            "keys": {"primaryKey": "x"},
            "containerResourceRequirements": {"cpu": 1, "memoryInGB": 1},
            "dataCollection": {"storageEnabled": False},
        },
    ),
    "check": (
        "POST",
        "/modelmanagement/v1.0{scope}/services/validate",
        {"type": "Create", "serviceName": "digits", "createRequest": {"name": "digits", "overwrite": False}},
    ),
    "sweep": ("POST", "/hyperdrive/v1.0/{sweeps}/runs", SWEEP),
}


LISTED = (
    "environment/v1.0{}/environments",
    "modelmanagement/v1.0{}/models",
    "modelmanagement/v1.0{}/assets",
    "modelmanagement/v1.0{}/services",
    "dataset/v1.0{}/datasets",
    "datastore/v1.0{}/datastores",
)


def mutants(value: Any) -> Iterator[Any]:
    """The value with each of its parts replaced by each odd one."""
    yield from ODD
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for odd in mutants(part):
            mutant = copy.copy(value)
            mutant[key] = odd
            yield mutant


@pytest.mark.parametrize("kind", REQUESTS)
def test_no_body_shows_a_bug(client: Client, kind: str) -> None:
    """Whatever part of a body is of another shape, the answer isn't that of a bug; and all can still be listed."""
    scope = client.emulator.workspace.scope
    client.ask("PUT", f"/environment/v1.0{scope}/environments/known", body={"Name": "known", "python": {}})
    method, pattern, body = REQUESTS[kind]
    path = pattern.format(scope=scope, sweeps=f"{scope[1:]}/experiments/x".replace("/", "%2F"))
    bugs = []
    for mutant in mutants(body):
        headers, content = {}, mutant
        if kind == "sweep":
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            head = b'--b\r\nContent-Disposition: form-data; name="config"; filename="c"\r\n\r\n'
            content = head + json.dumps(mutant).encode() + b"\r\n--b--\r\n"
        answer = client.ask(method, path, body=content, headers=headers)
        if answer.status in {500, 501}:
            bugs.append(mutant)
    assert bugs == []
    for place in LISTED:
        assert client.ask("GET", f"/{place.format(scope)}").status == 200, place
