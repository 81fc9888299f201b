"""Models and assets over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client
from mnistkit.emulator import AzureMLEmulator


def path(client: Client, rest: str) -> str:
    """A path of model management."""
    return f"/modelmanagement/v1.0{client.emulator.workspace.scope}{rest}"


def asset(client: Client, place: str = "LocalUpload/here/model.pkl") -> str:
    """The id of a new asset."""
    body = {"name": "m", "artifacts": [{"prefix": place}]}
    return str(client.ask("POST", path(client, "/assets"), body=body).json()["id"])


def register(client: Client, name: str = "digits", **fields: Any) -> Any:
    """Register a model; the answer."""
    body = {"name": name, "url": f"aml://asset/{asset(client)}", "mimeType": "application/json", **fields}
    return client.ask("POST", path(client, "/models"), body=body)


def ids(client: Client, query: str = "") -> list[str]:
    """The ids of the models that a query finds."""
    return [each["id"] for each in client.ask("GET", path(client, f"/models{query}")).json()["value"]]


def test_versions(client: Client) -> None:
    """Each registration is the next version; a number isn't given again after a delete."""
    assert [register(client).json()["id"] for _ in range(3)] == ["digits:1", "digits:2", "digits:3"]
    assert client.ask("DELETE", path(client, "/models/digits:3")).status == 200
    assert client.ask("DELETE", path(client, "/models/digits:3")).status == 204
    assert register(client).json()["version"] == 4
    assert ids(client) == ["digits:4", "digits:2", "digits:1"]


def test_versions_outlive_a_restart(tmp_path: Path) -> None:
    """Models and the numbers that were given are there when a state is opened again."""
    with AzureMLEmulator(tmp_path / "state") as emulator:
        register(Client(emulator))
        register(Client(emulator))
        Client(emulator).ask("DELETE", path(Client(emulator), "/models/digits:2"))
    with AzureMLEmulator(tmp_path / "state") as emulator:
        assert register(Client(emulator)).json()["id"] == "digits:3"
        assert ids(Client(emulator)) == ["digits:3", "digits:1"]


def test_registrations_at_once(client: Client) -> None:
    """Registrations at the same time each get a number of their own."""
    with ThreadPoolExecutor(8) as pool:
        versions = [each.json()["version"] for each in pool.map(lambda _: register(client), range(16))]
    assert sorted(versions) == list(range(1, 17))


def test_queries(client: Client) -> None:
    """Models are found by name, tags, properties, run, framework and dataset; the newest first."""
    register(client, kvTags={"stage": "dev"}, runId="run-1", framework="Onnx")
    register(client, kvTags={"stage": "prod"}, properties={"sha": "1"}, datasets=[{"name": "train", "id": "d-1"}])
    register(client, "other", kvTags={"stage": "prod"})
    assert ids(client, "?name=digits") == ["digits:2", "digits:1"]
    assert ids(client, "?tags=stage%3Dprod&name=digits") == ["digits:2"]
    assert ids(client, "?tags=stage") == ["other:1", "digits:2", "digits:1"]
    assert ids(client, "?properties=sha%3D1") == ["digits:2"]
    assert ids(client, "?runId=run-1") == ["digits:1"]
    assert ids(client, "?framework=Onnx") == ["digits:1"]
    assert ids(client, "?datasetId=d-1") == ["digits:2"]
    assert ids(client, "?latestVersionOnly=true") == ["other:1", "digits:2"]
    assert ids(client, "?orderBy=CreatedAtAsc") == ["digits:1", "digits:2", "other:1"]


def test_pages(client: Client) -> None:
    """A page's link leads to the next; the last has none: a null one would be followed."""
    for _ in range(5):
        register(client)
    seen, query = [], "?count=2"
    while query:
        answer = client.ask("GET", path(client, f"/models{query}")).json()
        seen += [each["version"] for each in answer["value"]]
        query = f"?count=2&$skipToken={answer['nextLink'].partition('skipToken=')[2]}" if "nextLink" in answer else ""
    assert seen == [5, 4, 3, 2, 1]


def test_patch(client: Client) -> None:
    """Tags and description change; properties are added to, and never changed."""
    register(client, kvTags={"a": "1"}, properties={"p": "1"})
    patch = [
        {"op": "replace", "path": "/kvTags", "value": {"b": "2"}},
        {"op": "replace", "path": "/description", "value": "good"},
        {"op": "add", "path": "/properties", "value": {"p": "1", "q": "2"}},
    ]
    model = client.ask("PATCH", path(client, "/models/digits:1"), body=patch).json()
    assert (model["kvTags"], model["description"], model["properties"]) == ({"b": "2"}, "good", {"p": "1", "q": "2"})
    for bad in (
        [{"op": "add", "path": "/properties/p", "value": "other"}],
        [{"op": "replace", "path": "/properties", "value": {}}],
        [{"op": "replace", "path": "/version", "value": 7}],
        [{"op": "replace", "path": "/kvTags", "value": {"b": 2}}],
        [{"op": "replace", "path": "/datasets", "value": ["d"]}],
    ):
        assert client.ask("PATCH", path(client, "/models/digits:1"), body=bad).status == 400
    assert client.ask("GET", path(client, "/models/digits:1")).json() == model


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../digits"},
        {"name": "x" * 256},
        {"url": "https://example.com/model"},
        {"kvTags": {"a": 1}},
        {"surprise": "me"},
    ],
)
def test_models_are_checked(client: Client, fields: dict[str, Any]) -> None:
    """Names like paths, models made of no asset, tags that aren't texts and unknown keys are refused."""
    answer = register(client, **fields)
    assert answer.status == 400
    assert answer.json()["details"][0]["message"]
    assert ids(client) == []


def test_what_is_not_there(client: Client) -> None:
    """Models and assets that aren't there are 404, and a query that isn't known is 400."""
    assert client.ask("GET", path(client, "/models/digits:1")).status == 404
    assert client.ask("PATCH", path(client, "/models/digits:1"), body=[]).status == 404
    assert client.ask("GET", path(client, "/assets/nothing")).status == 404
    body = {"name": "m", "url": "aml://asset/nothing", "mimeType": "x"}
    assert client.ask("POST", path(client, "/models"), body=body).status == 404
    assert client.ask("GET", path(client, "/models?orderBy=Beauty")).status == 400
    assert client.ask("GET", path(client, "/models?color=red")).status == 400


@pytest.mark.parametrize("place", ["x", "a/b", "a//c", "Local/there/../../x", 7])
def test_assets_are_made_of_artifacts(client: Client, place: object) -> None:
    """An asset names artifacts: origin, container and a path that stays in it."""
    body = {"name": "m", "artifacts": [{"prefix": place}]}
    assert client.ask("POST", path(client, "/assets"), body=body).status == 400


def test_assets(client: Client) -> None:
    """Assets are listed by run; one that a model is made of can't be deleted."""
    body = {"name": "m", "artifacts": [{"prefix": "ExperimentRun/dcid.r/outputs"}], "runid": "r"}
    made = client.ask("POST", path(client, "/assets"), body=body).json()
    found = client.ask("GET", path(client, "/assets?runId=r")).json()["value"]
    assert [each["id"] for each in found] == [made["id"]]
    register(client, url=f"aml://asset/{made['id']}")
    assert client.ask("DELETE", path(client, f"/assets/{made['id']}")).status == 400
    client.ask("DELETE", path(client, "/models/digits:1"))
    assert client.ask("DELETE", path(client, f"/assets/{made['id']}")).status == 200
