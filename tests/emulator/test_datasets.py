"""Datasets and data versions over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client


def path(client: Client, rest: str, service: str = "dataset") -> str:
    """A path of the dataset service."""
    return f"/{service}/v1.0{client.emulator.workspace.scope}{rest}"


def dataflow(name: str = "mnist") -> str:
    """A definition, as the SDK sends it."""
    return json.dumps({"id": "x", "meta": {"RsDataflow": f"paths: [{name}]"}})


def register(client: Client, definition: str, query: str = "", **fields: Any) -> Any:
    """Register a dataset; the answer."""
    body = {"name": "digits", "datasetType": "file", "latest": {"dataflow": definition, "properties": {}}, **fields}
    return client.ask("POST", path(client, f"/datasets{query}"), body=body)


NEW_VERSION = "?ifExistsOk=true&updateDefinitionIfExists=true"


def test_versions(client: Client) -> None:
    """Another definition is the next version; the newest one again is the same version; each can be got."""
    answers = [register(client, dataflow(each), NEW_VERSION).json() for each in ("a", "a", "b", "a")]
    assert [each["latest"]["versionId"] for each in answers] == ["1", "1", "2", "3"]
    for query, wanted in (("", "a"), ("?versionId=2", "b")):
        found = client.ask("GET", path(client, f"/datasets/query/name=digits{query}")).json()
        assert found["latest"]["dataflow"] == dataflow(wanted)
        assert found["datasetId"] == answers[0]["datasetId"]
    assert client.ask("GET", path(client, "/datasets/query/name=digits?versionId=4")).status == 404


def test_conflict(client: Client) -> None:
    """Without the wish for a new version a name that is taken is a conflict."""
    assert register(client, dataflow("a")).status == 200
    assert register(client, dataflow("b")).status == 409


def test_saved(client: Client) -> None:
    """A dataset can be saved without a name; its definition can be read as the SDK's engine needs it."""
    body = {"datasetType": "file", "dataflowJson": dataflow("a")}
    saved = client.ask("POST", path(client, "/saveddatasets"), body=body).json()
    assert client.ask("GET", path(client, f"/saveddatasets/{saved['id']}?resolveLegacyId=true")).json() == saved
    data = path(client, f"/dataversion/unregistered-{saved['id']}/versions/1?includeSavedDatasets=true", "data")
    assert client.ask("GET", data).json()["legacyDataflow"] == "paths: [a]"
    assert client.ask("GET", path(client, "/dataversion/other/versions/1", "data")).status == 404
    found = client.ask("GET", path(client, f"/datasets/query/savedDatasetId={saved['id']}")).json()
    assert found["value"] == []


def test_registered_once(client: Client) -> None:
    """A saved dataset is found under its name; it can't be registered under another one as well."""
    saved_id = register(client, dataflow("a")).json()["latest"]["savedDatasetId"]
    found = client.ask("GET", path(client, f"/datasets/query/savedDatasetId={saved_id}")).json()["value"]
    assert [(each["name"], each["latest"]["versionId"]) for each in found] == [("digits", "1")]
    again = register(
        client, dataflow("a"), name="other", latest={"dataflow": dataflow("a"), "savedDatasetId": saved_id}
    )
    assert again.status == 400
    assert "has been registered as digits:1 (name:version)." in again.json()["error"]["message"]


def test_update(client: Client) -> None:
    """Tags and description can be changed; the name can't."""
    made = register(client, dataflow("a"), tags={"a": "1"}).json()
    place = path(client, f"/datasets/{made['datasetId']}")
    changed = client.ask("PUT", place, body={"name": "digits", "tags": {"b": "2"}, "description": "new"}).json()
    assert (changed["tags"], changed["description"]) == ({"b": "2"}, "new")
    assert client.ask("GET", place).json() == changed
    assert client.ask("PUT", place, body={"name": "other"}).status == 400


def test_listing(client: Client) -> None:
    """Datasets are listed in pages, and not when they are unregistered."""
    for name in ("a", "b", "c"):
        register(client, dataflow(name), name=name)
    client.ask("DELETE", path(client, "/datasets/b"))
    first = client.ask("GET", path(client, "/datasets?pageSize=1&includeLatestDefinition=true")).json()
    token = first["continuationToken"]
    rest = client.ask("GET", path(client, f"/datasets?pageSize=1&continuationToken={token}")).json()
    assert [each["name"] for each in first["value"] + rest["value"]] == ["a", "c"]
    assert rest["continuationToken"] is None
    assert client.ask("GET", path(client, "/datasets/query/name=b")).status == 404
    assert client.ask("DELETE", path(client, "/datasets/b")).status == 404


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"name": "../digits"}),
        ("", {"datasetType": "video"}),
        ("", {"latest": {"dataPath": {"datastoreName": "x"}}}),
        ("", {"latest": {"dataflow": "not json"}}),
        ("", {"latest": {"dataflow": "{}"}}),
        ("", {"surprise": 1}),
        ("?registerAsPending=true", {}),
        ("?withDataHash=true", {}),
        ("?color=red", {}),
    ],
)
def test_refused(client: Client, query: str, fields: dict[str, Any]) -> None:
    """Names like paths, definitions that the engine can't read, and what isn't emulated are refused."""
    assert register(client, dataflow(), query, **fields).status == 400
    assert client.ask("GET", path(client, "/datasets")).json()["value"] == []
