"""The SDK v2 behind its one module: clients and credentials without network, and its exceptions as errors of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")

from azure.ai.ml.exceptions import AssetPathException, ErrorTarget, ValidationException
from azure.core import exceptions
from azure.identity import CredentialUnavailableError

from mnistkit.azureml.calls import call
from mnistkit.azureml.v2._sdk import ml_client, sdk, sdk_versions
from mnistkit.azureml.v2.workspace import login
from mnistkit.azureml.workspace import WorkspaceName
from mnistkit.errors import (
    AuthenticationError,
    ConflictError,
    MnistkitError,
    NotFoundError,
    QuotaError,
    ServiceError,
    ServiceTimeoutError,
    ThrottledError,
    UsageError,
)

WORKSPACE = WorkspaceName("00000000-0000-0000-0000-000000000000", "group", "space")


class Response:
    """A response of the service as the SDK's exceptions read it."""

    reason = "no"

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status_code = status
        self._text = f'{{"error": {{"code": "{code}", "message": "{message}"}}}}'

    def text(self, encoding: str | None = None) -> str:
        """The body."""
        return self._text

    def body(self) -> bytes:
        """The body."""
        return self._text.encode()


def refused(status: int, code: str = "Bad", message: str = "It was refused.") -> exceptions.HttpResponseError:
    """What the SDK raises for a response."""
    return exceptions.HttpResponseError(response=Response(status, code, message))


def unreached() -> exceptions.ServiceRequestError:
    """What the SDK raises where there is no connection."""
    return exceptions.ServiceRequestError("Connection refused", error=ConnectionError("Connection refused"))


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            refused(401, "InvalidAuthenticationToken", "The token expired."),
            AuthenticationError,
            "The token expired. Log",
        ),
        (refused(403, "AuthorizationFailed", "No access."), AuthenticationError, "No access. Log in"),
        (refused(404, "ResourceNotFound", "No such workspace."), NotFoundError, "No such workspace."),
        (refused(409, "Conflict", "It exists."), ConflictError, "It exists."),
        (refused(429, "TooManyRequests", "Slow down."), ThrottledError, "Slow down."),
        (refused(400, "QuotaExceeded", "QuotaExceeded: 4 cores left."), QuotaError, "4 cores left"),
        (refused(503, "Busy", "Try later."), ServiceError, "Try later. Try again"),
        (refused(504, "Late", "Too late."), ServiceTimeoutError, "Too late."),
        (refused(400, "UserError", "Wrong image."), ServiceError, "Wrong image."),
        (exceptions.ResourceNotFoundError("gone, not found"), NotFoundError, "gone"),
        (exceptions.ResourceExistsError("there already"), ConflictError, "there already"),
        (exceptions.ClientAuthenticationError("AADSTS7000215: wrong secret"), AuthenticationError, "AADSTS7000215"),
        (CredentialUnavailableError("Azure CLI not found on path"), AuthenticationError, "az login"),
        (unreached(), ServiceError, "Connection refused"),
        (exceptions.ServiceResponseError("Connection aborted"), ServiceError, "Connection aborted"),
        (refused(400, "UserError", "Asset paths cannot be updated."), ConflictError, "cannot be updated"),
        (
            AssetPathException(message="The path changed.", no_personal_data_message="", target=ErrorTarget.MODEL),
            ConflictError,
            "The path changed.",
        ),
        (ValidationException(message="Bad value.", no_personal_data_message=""), ServiceError, "Bad value."),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_exceptions_of_the_sdk_have_their_errors(error: Exception, kind: type[MnistkitError], says: str) -> None:
    """Each exception becomes an error of ours with the service's message, the call's name, and itself as cause."""

    def raises() -> None:
        raise error

    with pytest.raises(MnistkitError) as caught:
        call("testing", raises)
    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert "testing failed" in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No credentials in the environment, and no az."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    return monkeypatch


def test_credentials_by_kind(variables: pytest.MonkeyPatch) -> None:
    """What is configured is taken; without any, and for a wrong kind, the error names the ways."""
    with pytest.raises(AuthenticationError, match="az login"):
        login()
    assert type(login("cli")).__name__ == "AzureCliCredential"
    variables.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1")
    assert type(login()).__name__ == "ManagedIdentityCredential"
    with pytest.raises(AuthenticationError, match="AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET not set"):
        login("service-principal")
    for name, value in (("TENANT_ID", "t"), ("CLIENT_ID", "c"), ("CLIENT_SECRET", "s")):
        variables.setenv(f"AZURE_{name}", value)
    assert type(login()).__name__ == "ClientSecretCredential"
    with pytest.raises(AuthenticationError, match="needs a terminal"):
        login("interactive")
    with pytest.raises(UsageError, match="service-principal, managed-identity, cli, interactive"):
        login("password")
    with pytest.raises(UsageError, match="credentials=int"):
        login(3)


def test_a_token_function_is_a_credential() -> None:
    """A function gets the audience without the scope's suffix; what it raises is an `AuthenticationError`."""
    asked: list[str] = []

    def token(audience: str) -> str:
        asked.append(audience)
        return "secret"

    found = login(token).get_token("https://management.azure.com/.default")
    assert (found.token, asked) == ("secret", ["https://management.azure.com"])

    def fails(audience: str) -> str:
        raise OSError(audience)

    with pytest.raises(AuthenticationError, match="failed for https://x: OSError"):
        login(fails).get_token("https://x/.default")
    own = sdk("azure.identity").AzureCliCredential()
    assert login(own) is own


def test_a_client_leaves_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A client is made without network, output, telemetry and progress bars, and changes no variable."""
    monkeypatch.delenv("AZUREML_CURRENT_CLOUD", raising=False)
    before = dict(os.environ)
    client: Any = ml_client(WORKSPACE, login(lambda audience: audience))
    assert (client.subscription_id, client.resource_group_name, client.workspace_name) == (
        WORKSPACE.subscription_id, "group", "space",
    )  # fmt: skip
    assert not client._operation_config.show_progress
    assert not client._operation_config.enable_telemetry
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def test_the_versions_are_known() -> None:
    """The doctor can tell the SDK's versions."""
    assert set(sdk_versions()) == {"azure-ai-ml", "azure-identity"}
