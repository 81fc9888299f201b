"""Workspaces beside the emulator's own: created, kept, apart, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import MANAGEMENT, Client
from mnistkit.emulator import AzureMLEmulator

TYPE = "Microsoft.MachineLearningServices/workspaces"


def group(client: Client) -> str:
    """The path of the resource group."""
    return client.emulator.workspace.scope.partition("/providers/")[0]


def scope(client: Client, name: str) -> str:
    """The path of a workspace."""
    return f"{group(client)}/providers/{TYPE}/{name}"


def create(client: Client, *names: str) -> int:
    """The status of the deployment of a template with these workspaces."""
    resources: list[dict[str, Any]] = [{"type": TYPE, "name": name, "location": "eastus2"} for name in names]
    resources.append({"type": "Microsoft.Storage/storageAccounts", "name": "x"})
    body = {"properties": {"mode": "incremental", "template": {"resources": resources}, "parameters": {}}}
    url = f"{MANAGEMENT}{group(client)}/providers/Microsoft.Resources/deployments/one"
    return int(client.ask("PUT", url, body=body).status)


def experiments(client: Client, name: str) -> list[str]:
    """The names of a workspace's experiments."""
    answer = client.ask("POST", f"/history/v1.0{scope(client, name)}/experiments:query", body={})
    return [each["name"] for each in answer.json()["value"]]


def test_created_kept_and_deleted(tmp_path: Path) -> None:
    """A workspace is there as soon as it is deployed, after the emulator's next start too, and until it is deleted."""
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        assert create(client, "other") == 200
        assert create(client, "other") == 409
        assert client.ask("POST", f"/history/v1.0{scope(client, 'other')}/experiments/mine").status == 200
        found = client.ask("GET", MANAGEMENT + scope(client, "OTHER")).json()
        assert found["properties"]["provisioningState"] == "Succeeded"
        assert found["location"] == "eastus2"
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        assert client.ask("GET", MANAGEMENT + scope(client, "other")).json() | {"etag": 1} == found | {"etag": 1}
        assert (experiments(client, "other"), experiments(client, emulator.workspace.name)) == (["mine"], [])
        listed = client.ask("GET", f"{MANAGEMENT}{group(client)}/providers/{TYPE}").json()["value"]
        assert [each["name"] for each in listed] == [emulator.workspace.name, "other"]
        assert client.ask("DELETE", MANAGEMENT + scope(client, "other")).status == 200
        assert client.ask("GET", MANAGEMENT + scope(client, "other")).status == 404
        assert client.ask("DELETE", MANAGEMENT + emulator.workspace.scope).status == 400
        assert list((tmp_path / "workspace" / "workspaces").iterdir()) == []


def test_storage_is_apart(client: Client) -> None:
    """Each workspace has a storage account of its own, which its signatures open, and no other's."""
    create(client, "other")
    mine, others = (
        client.ask("GET", f"/datastore/v1.0{scope(client, name)}/default").json()["azureStorageSection"]
        for name in (client.emulator.workspace.name, "other")
    )
    assert mine["accountName"] != others["accountName"]
    base = f"https://{others['accountName']}.blob.core.windows.net/{others['containerName']}/a.txt"
    headers = {"x-ms-blob-type": "BlockBlob"}
    assert client.ask("PUT", f"{base}?{mine['sasToken']}", body=b"x", token=None, headers=headers).status == 403
    assert client.ask("PUT", f"{base}?{others['sasToken']}", body=b"x", token=None, headers=headers).status == 201
    other_base = base.replace(others["accountName"], mine["accountName"])
    assert client.ask("GET", f"{other_base}?{mine['sasToken']}", token=None).status == 404


def test_a_reset_ends_them(client: Client) -> None:
    """After a reset there is the emulator's own workspace alone."""
    create(client, "one", "two")
    client.emulator.reset()
    assert client.ask("GET", MANAGEMENT + scope(client, "one")).status == 404


@pytest.mark.parametrize("name", ["../x", "a", "x" * 40, "", None])
def test_odd_names(client: Client, name: str) -> None:
    """What can't be a name makes no workspace."""
    assert create(client, name) == 400


def test_other_groups(client: Client) -> None:
    """There is one resource group; a new one is refused, and noted."""
    url = f"{MANAGEMENT}/subscriptions/{client.emulator.workspace.subscription_id}/resourceGroups/other"
    assert client.ask("GET", url).status == 404
    assert client.emulator.unknown_requests == ()
    assert client.ask("PUT", url, body={"location": "eastus"}).status == 400
    assert len(client.emulator.unknown_requests) == 1
