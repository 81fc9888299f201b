"""The real SDK finds the workspace and logs in: with what is in the environment, and with explicit credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azure.core.exceptions import ClientAuthenticationError
from azureml._vendor.azure_cli_core.azclierror import AuthenticationError
from azureml.core import Experiment, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication, TokenAuthentication
from azureml.exceptions import ProjectSystemException, WorkspaceException

from mnistkit.emulator import AzureMLEmulator, Fault


def get(emulator: AzureMLEmulator, auth: object, name: str = "") -> Workspace:
    """The workspace by its names."""
    mine = emulator.workspace
    return Workspace.get(
        name or mine.name, auth=auth, subscription_id=mine.subscription_id, resource_group=mine.resource_group
    )


def test_from_config_needs_nothing_but_the_environment(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """A script that names no credentials logs in through the SDK's own MSAL, without a question."""
    mine = emulator.workspace
    assert (workspace.name, workspace.resource_group, workspace.location) == (
        mine.name,
        mine.resource_group,
        mine.location,
    )
    assert workspace._workspace_id == mine.id


def test_service_principal(emulator: AzureMLEmulator) -> None:
    """The secret that the emulator shows logs in."""
    given = emulator.environment()
    auth = ServicePrincipalAuthentication(
        given["AZURE_TENANT_ID"], given["AZURE_CLIENT_ID"], given["AZURE_CLIENT_SECRET"], _enable_caching=False
    )
    assert get(emulator, auth).name == emulator.workspace.name


def test_wrong_secret(emulator: AzureMLEmulator) -> None:
    """Another secret is refused as Azure's login refuses it."""
    given = emulator.environment()
    auth = ServicePrincipalAuthentication(
        given["AZURE_TENANT_ID"], given["AZURE_CLIENT_ID"], "another secret", _enable_caching=False
    )
    with pytest.raises(AuthenticationError, match="AADSTS7000215"):
        get(emulator, auth)


def test_token(emulator: AzureMLEmulator) -> None:
    """A token that the emulator issued is enough."""
    assert get(emulator, TokenAuthentication(emulator.token)).name == emulator.workspace.name


def test_expired_token(emulator: AzureMLEmulator) -> None:
    """A token that has expired is refused."""
    with pytest.raises(ClientAuthenticationError, match="ExpiredAuthenticationToken"):
        get(emulator, TokenAuthentication(lambda audience: emulator.token(audience, seconds=-5)))


def test_unknown_workspace(emulator: AzureMLEmulator) -> None:
    """A workspace of another name isn't there."""
    with pytest.raises((ProjectSystemException, WorkspaceException), match=r"(?i)not ?found"):
        get(emulator, TokenAuthentication(emulator.token), "another")


def test_subscriptions(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """A subscription lists its workspaces."""
    listed = Workspace.list(emulator.workspace.subscription_id, auth=workspace._auth)
    assert list(listed) == [emulator.workspace.name]


def test_write_config(workspace: Workspace, tmp_path: Path) -> None:
    """What the SDK writes as config.json is what the emulator wrote."""
    (tmp_path / "other").mkdir()
    workspace.write_config(str(tmp_path / "other"))
    assert Workspace.from_config(str(tmp_path / "other"))._workspace_id == workspace._workspace_id


def test_a_passing_outage(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """The SDK tries again after a 503."""
    emulator.inject(Fault("unavailable", match="/experiments", times=1))
    assert Experiment(workspace, "first").name == "first"
