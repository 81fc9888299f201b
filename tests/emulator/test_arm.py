"""Resource manager, discovery, login and telemetry, as plain HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

pytest.importorskip("h11")

if TYPE_CHECKING:
    from emulator.conftest import Client

MANAGEMENT = "https://management.azure.com"
TYPE = "Microsoft.MachineLearningServices/workspaces"


def test_workspace(client: Client) -> None:
    """The workspace tells its id, its storage and where to find its services."""
    mine = client.emulator.workspace
    answer = client.ask("GET", MANAGEMENT + mine.scope).json()
    assert (answer["id"], answer["name"], answer["location"]) == (mine.scope, mine.name, mine.location)
    assert answer["properties"]["workspaceId"] == mine.id
    assert answer["properties"]["storageAccount"].endswith(mine.storage_account)


@pytest.mark.parametrize("part", ["subscription_id", "resource_group", "name"])
def test_other_workspaces(client: Client, part: str) -> None:
    """Another workspace, group or subscription isn't there; upper and lower case are the same."""
    mine = client.emulator.workspace
    scope = mine.scope.replace(f"/{getattr(mine, part)}", "/another")
    assert client.ask("GET", MANAGEMENT + scope).status == 404
    assert client.ask("GET", MANAGEMENT + mine.scope.upper()).status == 200


def test_lists(client: Client) -> None:
    """Subscriptions, tenants, groups and workspaces are listed."""
    mine = client.emulator.workspace
    subscription = f"{MANAGEMENT}/subscriptions/{mine.subscription_id}"
    group = f"{subscription}/resourceGroups/{mine.resource_group}"
    assert [each["subscriptionId"] for each in client.ask("GET", f"{MANAGEMENT}/subscriptions").json()["value"]] == [
        mine.subscription_id
    ]
    assert len(client.ask("GET", f"{MANAGEMENT}/tenants").json()["value"]) == 1
    assert client.ask("GET", group).json()["name"] == mine.resource_group
    for url in (group, subscription):
        listed = client.ask("GET", f"{url}/providers/{TYPE}").json()["value"]
        assert [each["name"] for each in listed] == [mine.name]


def test_resources(client: Client) -> None:
    """Resources are found by type and group; another filter is refused, not ignored."""
    mine = client.emulator.workspace
    url = f"{MANAGEMENT}/subscriptions/{mine.subscription_id}/resources"

    def found(text: str) -> list[str]:
        answer = client.ask("GET", f"{url}?{urlencode({'$filter': text})}").json()
        return [each["name"] for each in answer["value"]]

    assert found(f"resourceType eq '{TYPE}'") == [mine.name]
    assert found(f"resourceGroup eq '{mine.resource_group}' and resourceType eq '{TYPE}'") == [mine.name]
    assert found(f"resourceGroup eq 'another' and resourceType eq '{TYPE}'") == []
    assert found("resourceType eq 'Microsoft.Storage/storageAccounts'") == []
    assert client.ask("GET", f"{url}?{urlencode({'$filter': 'tagName eq 1'})}").status == 400


def test_discovery(client: Client) -> None:
    """All services are at the emulator's own address, which is told without a token; the SDK v2's by TLS alone."""
    url = client.ask("GET", MANAGEMENT + client.emulator.workspace.scope).json()["properties"]["discoveryUrl"]
    path = url.removeprefix(client.emulator.workspace.url)
    services = client.ask("GET", path, token=None).json()
    assert {"history", "modelmanagement", "experimentation", "api", "hyperdrive", "studio"} <= set(services)
    mine = client.emulator.workspace
    assert services.pop("api") == f"https://{mine.api_host}"
    assert set(services.values()) == {mine.url}


def login(client: Client, **changes: str) -> tuple[int, dict[str, object]]:
    """Log in as the service principal, with some of the form changed."""
    given = client.emulator.environment()
    form = {
        "grant_type": "client_credentials",
        "client_id": given["AZURE_CLIENT_ID"],
        "client_secret": given["AZURE_CLIENT_SECRET"],
        "scope": "https://management.core.windows.net//.default",
        "tenant": given["AZURE_TENANT_ID"],
        **changes,
    }
    url = f"https://login.microsoftonline.com/{form.pop('tenant')}/oauth2/v2.0/token"
    answer = client.ask("POST", url, body=urlencode(form).encode(), token=None)
    return answer.status, answer.json()


def test_login(client: Client) -> None:
    """The secret gives a token that is taken."""
    status, answer = login(client)
    assert status == 200
    assert answer["token_type"] == "Bearer"
    listed = client.ask("GET", f"{MANAGEMENT}/subscriptions", token=str(answer["access_token"]))
    assert listed.status == 200


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000215),
        ({"client_id": "wrong"}, 400, "unauthorized_client", 700016),
        ({"tenant": "wrong"}, 400, "invalid_request", 90002),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_refused_logins(client: Client, changes: dict[str, str], status: int, error: str, number: int) -> None:
    """Any other login is refused as Azure's directory says it."""
    refused, answer = login(client, **changes)
    assert (refused, answer["error"], answer["error_codes"]) == (status, error, [number])
    assert str(answer["error_description"]).startswith(f"AADSTS{number}: ")


def test_login_configuration(client: Client) -> None:
    """The directory says where to log in, for its own tenant alone."""
    tenant = client.emulator.environment()["AZURE_TENANT_ID"]
    base = "https://login.microsoftonline.com"
    found = client.ask("GET", f"{base}/{tenant}/v2.0/.well-known/openid-configuration", token=None).json()
    assert found["token_endpoint"] == f"{base}/{tenant}/oauth2/v2.0/token"
    assert client.ask("GET", f"{base}/another/v2.0/.well-known/openid-configuration", token=None).status == 400


def test_telemetry(client: Client) -> None:
    """Telemetry is taken, whatever it is, and goes nowhere."""
    url = "https://dc.services.visualstudio.com/v2/track"
    assert client.ask("POST", url, body=[{}, {}], token=None).json()["itemsAccepted"] == 2
    assert client.ask("POST", url, body=b"\x1f\x8bnot JSON", token=None).json()["itemsAccepted"] == 1
