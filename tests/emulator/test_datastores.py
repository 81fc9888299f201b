"""Datastores over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client


def path(client: Client, rest: str) -> str:
    """A path of the datastore service."""
    return f"/datastore/v1.0{client.emulator.workspace.scope}{rest}"


def default(client: Client) -> Any:
    """The default datastore."""
    return client.ask("GET", path(client, "/default")).json()


def register(client: Client, name: str = "mine", **section: Any) -> Any:
    """Register a container of the workspace's account; the answer."""
    account = client.emulator.workspace.storage_account
    given = {
        "accountName": account,
        "containerName": "data",
        "credentialType": "Sas",
        "credential": "?sig=1",
        **section,
    }
    body = {"name": name, "dataStoreType": "AzureBlob", "azureStorageSection": given}
    return client.ask("POST", path(client, "/datastores?createIfNotExists=false&skipValidation=true"), body=body)


def test_the_default_opens_its_container(client: Client) -> None:
    """The workspace's own datastore comes with a signature that lets a client write, list and read there."""
    section = default(client)["azureStorageSection"]
    assert section["protocol"] == "https"  # http would go past the proxy
    base = f"https://{section['accountName']}.blob.core.windows.net/{section['containerName']}"
    sas = section["sasToken"]
    assert client.ask("PUT", f"{base}/a/b.txt?{sas}", body=b"hello", token=None).status == 201
    assert client.ask("GET", f"{base}/a/b.txt?{sas}", token=None).data == b"hello"
    assert b"a/b.txt" in client.ask("GET", f"{base}?restype=container&comp=list&{sas}", token=None).data
    assert client.ask("GET", f"{base}/a/b.txt", token=None).status in {401, 403, 404}


def test_register(client: Client) -> None:
    """A container can be registered, in lower case; again the same is fine, and another one is a conflict."""
    made = register(client, "Mine").json()
    assert (made["name"], made["azureStorageSection"]["sasToken"]) == ("mine", "sig=1")
    assert register(client).status == 200
    conflict = register(client, containerName="other")
    assert conflict.status == 400
    assert "Another datastore with the same name already exists" in conflict.json()["error"]["message"]


def test_update(client: Client) -> None:
    """The signature of a registered datastore can be replaced; the workspace's own can't be changed."""
    body = register(client).json()
    body["azureStorageSection"] |= {"credential": "sig=2"}
    sent = {key: body[key] for key in ("name", "dataStoreType", "azureStorageSection")}
    assert client.ask("PUT", path(client, "/datastores/mine"), body=sent).status == 200
    found = client.ask("GET", path(client, "/datastores/mine")).json()
    assert found["azureStorageSection"]["sasToken"] == "sig=2"
    assert client.ask("PUT", path(client, "/datastores/workspaceblobstore"), body=sent).status == 400


def test_default_and_delete(client: Client) -> None:
    """Another datastore can be made the default; the default one can't be deleted."""
    register(client)
    assert client.ask("DELETE", path(client, "/datastores/workspaceblobstore")).status == 400
    assert client.ask("PUT", path(client, "/default/mine")).status == 200
    assert default(client)["name"] == "mine"
    assert client.ask("DELETE", path(client, "/datastores/mine")).status == 400
    client.ask("PUT", path(client, "/default/workspaceblobstore"))
    assert client.ask("DELETE", path(client, "/datastores/mine")).status == 200
    names = [each["name"] for each in client.ask("GET", path(client, "/datastores?count=10")).json()["value"]]
    assert names == ["workspaceblobstore"]


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("../mine", {}),
        ("mine", {"containerName": "../data"}),
        ("mine", {"accountName": "other"}),
        ("mine", {"endpoint": "example.com"}),
        ("mine", {"protocol": "http"}),
        ("mine", {"credentialType": "AccountKey"}),
        ("mine", {"credentialType": "None", "credential": None}),
    ],
)
def test_refused(client: Client, name: str, section: dict[str, Any]) -> None:
    """Names like paths, other accounts and hosts, and other credentials than signatures are refused."""
    assert register(client, name, **section).status == 400


def test_other_types_are_refused(client: Client) -> None:
    """A datastore that isn't a blob container is refused by the name of its type."""
    body = {"name": "mine", "dataStoreType": "AzureSqlDatabase", "azureStorageSection": {"a": 1}}
    answer = client.ask("POST", path(client, "/datastores"), body=body)
    assert answer.status == 400
    assert "AzureSqlDatabase" in answer.json()["error"]["message"]
    assert client.ask("GET", path(client, "/datastores/nothing")).status == 404


def test_signatures_outlive_a_reset(client: Client) -> None:
    """A signature is good in the next workspace at this address too: the SDK's engine remembers it in its process."""
    section = default(client)["azureStorageSection"]
    base = f"https://{section['accountName']}.blob.core.windows.net/{section['containerName']}"
    client.emulator.reset()
    assert default(client)["azureStorageSection"]["containerName"] == section["containerName"]
    headers = {"x-ms-blob-type": "BlockBlob"}
    answer = client.ask("PUT", f"{base}/a.txt?{section['sasToken']}", body=b"x", token=None, headers=headers)
    assert answer.status == 201
