"""Environments over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client
from mnistkit.emulator.services.curated import CURATED_NAMES


def path(client: Client, rest: str = "") -> str:
    """A path of the environment service."""
    return f"/environment/v1.0{client.emulator.workspace.scope}/environments{rest}"


def put(client: Client, rest: str, *packages: str) -> Any:
    """Register an environment with these packages, as the SDK does; the answer."""
    python = {"condaDependencies": {"dependencies": list(packages)}}
    return client.ask("PUT", path(client, rest), body={"Name": "mine", "python": python, "EnvironmentVariables": {}})


def test_versions(client: Client) -> None:
    """Another definition is the next version; the same is the same version; the newest is what is got by the name."""
    assert [put(client, "/mine", each).json()["version"] for each in ("numpy", "numpy", "scipy")] == ["1", "1", "2"]
    newest = client.ask("GET", path(client, "/mine")).json()
    assert newest["name"] == "mine"
    assert newest["python"]["condaDependencies"]["dependencies"] == ["scipy"]
    first = client.ask("GET", path(client, "/mine/versions/1")).json()
    assert first["python"]["condaDependencies"]["dependencies"] == ["numpy"]
    assert len(client.ask("GET", path(client, "/mine/versions")).json()["value"]) == 2


def test_named_versions(client: Client) -> None:
    """A version that is named is kept, and never changed."""
    assert put(client, "/mine/versions/v7", "numpy").json()["version"] == "v7"
    assert put(client, "/mine/versions/v7", "numpy").status == 200
    assert put(client, "/mine/versions/v7", "scipy").status == 409
    assert put(client, "/mine", "scipy").json()["version"] == "1"


def test_listing(client: Client) -> None:
    """All environments are listed, in pages, each with its newest version."""
    for name in ("a", "b", "c"):
        put(client, f"/{name}", "numpy")
    first = client.ask("GET", path(client, "?pageSize=2")).json()
    rest = client.ask("GET", path(client, f"?pageSize=2&continuation={first['continuationToken']}")).json()
    assert [each["name"] for each in first["value"] + rest["value"]] == ["a", "b", "c", CURATED_NAMES[0]]
    everything = client.ask("GET", path(client, "?pageSize=500")).json()
    assert [each["name"] for each in everything["value"]] == ["a", "b", "c", *CURATED_NAMES]
    assert everything["continuationToken"] is None


def test_labels(client: Client) -> None:
    """A label names one version; 'latest' the newest."""
    put(client, "/mine", "numpy")
    put(client, "/mine", "scipy")
    assert client.ask("PUT", path(client, "/mine/versions/1/metadata"), body={"Labels": ["good"]}).status == 200
    assert client.ask("GET", path(client, "/mine/labels/good")).json()["version"] == "1"
    assert client.ask("GET", path(client, "/mine/labels/latest")).json()["version"] == "2"
    assert client.ask("GET", path(client, "/mine/labels/bad")).status == 404


@pytest.mark.parametrize(
    ("method", "rest", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/AzureML-mine", 400),
        ("PUT", "/..%2f..%2fmine", 400),
        ("PUT", "/mine/versions/..%2f1", 400),
        ("GET", "?what=1", 400),
    ],
)
def test_refused(client: Client, method: str, rest: str, status: int) -> None:
    """What isn't there, names that are Azure's own, names like paths and unknown queries are refused."""
    body = {"Name": "mine", "python": {}} if method == "PUT" else None
    answer = client.ask(method, path(client, rest), body=body)
    assert answer.status == status
    assert answer.json()["error"]["message"]


def test_unknown_sections_are_refused(client: Client) -> None:
    """A section that the emulator doesn't know isn't dropped silently."""
    answer = client.ask("PUT", path(client, "/mine"), body={"Name": "mine", "Fpga": {"bits": 1}})
    assert answer.status == 400
    assert "fpga" in answer.json()["error"]["message"]


def test_images(client: Client) -> None:
    """An image is there once it was built, which takes no time: nothing is made."""
    put(client, "/mine", "numpy")
    image = path(client, "/mine/versions/1/image")
    assert client.ask("GET", image).json()["imageExistsInRegistry"] is False
    answer = client.ask("POST", image.replace("v1.0", "v2.0"), body={})
    assert answer.status == 202
    where = answer.json()["location"].removeprefix(client.emulator.workspace.url)
    assert client.ask("GET", where).json()["status"] == "Succeeded"
    assert client.ask("GET", image).json()["imageExistsInRegistry"] is True
    assert client.ask("GET", where + "0").status == 404
