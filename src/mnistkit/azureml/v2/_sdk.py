"""The one module that imports ``azure.*``: late, quietly, without telemetry."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache, partial
from types import ModuleType
from typing import Any

from mnistkit.azureml.credentials import CredentialKind, service_principal
from mnistkit.azureml.workspace import WorkspaceName
from mnistkit.errors import MissingExtraError

__all__ = [
    "credential",
    "function_credential",
    "ml_client",
    "pipeline_client",
    "repair_uploads",
    "sdk",
    "sdk_versions",
    "send",
]

_CLOUD_VARIABLE = "AZUREML_CURRENT_CLOUD"
_NOISY_LOGGERS = ("azure", "msal", "opentelemetry")
_TOKEN_SECONDS = 3000  # tokens of Azure live an hour or more
_creating = threading.Lock()
_has_bars: ContextVar[bool] = ContextVar("_has_bars", default=True)


def sdk(module: str = "azure.ai.ml") -> ModuleType:
    """Return one of the SDK's modules, such as ``"azure.ai.ml.entities"``.

    Raises:
        MissingExtraError: The extra isn't installed.
    """
    try:
        _silence()
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"Azure ML needs its SDK v2, and {module} can't be imported ({error}): "
            "python -m pip install 'mnistkit[azure]'."
        ) from error


def sdk_versions() -> dict[str, str]:
    """Return the installed versions of the SDK's packages by name. Imports none of them."""
    from importlib import metadata

    versions = {}
    for name in ("azure-ai-ml", "azure-identity"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def ml_client(workspace: WorkspaceName, credentials: Any) -> Any:
    """Return an ``MLClient`` of a workspace; sends nothing.

    Without telemetry and progress bars. ``MLClient`` sets ``AZUREML_CURRENT_CLOUD`` in this process; child processes
    would inherit it, so it is put back.
    """
    client = sdk().MLClient
    with _creating, _unchanged_variable(_CLOUD_VARIABLE):
        return client(
            credentials,
            workspace.subscription_id,
            workspace.resource_group,
            workspace.name,
            enable_telemetry=False,
            show_progress=False,
        )


def credential(kind: CredentialKind) -> Any:
    """Return azure-identity's credential of a kind; sends nothing, and doesn't prompt yet.

    One kind, not ``DefaultAzureCredential``: that tries eight of them, sends a request to a metadata service that only
    machines of Azure have, and its errors list all eight.

    Raises:
        AuthenticationError: A variable of the service principal isn't set.
    """
    identity = sdk("azure.identity")
    if kind == "service-principal":
        return identity.ClientSecretCredential(*service_principal())
    if kind == "managed-identity":
        return identity.ManagedIdentityCredential()
    if kind == "cli":
        return identity.AzureCliCredential()
    return identity.InteractiveBrowserCredential()


def function_credential(get_token: Callable[[str], str]) -> Any:
    """Return a credential that gets its tokens from a function of the audience, such as ``https://ml.azure.com``."""
    return _FunctionCredential(get_token)


def pipeline_client(base_url: str, credentials: Any, scope: str) -> Any:
    """Return a client for requests that the SDK has no call for, with the SDK's retries, proxies and certificates.

    Args:
        base_url: The beginning of all URLs.
        credentials: The credential to authenticate with.
        scope: Of the tokens: ``"https://management.azure.com/.default"``.
    """
    policies = sdk("azure.core.pipeline.policies")
    chain = [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.UserAgentPolicy("mnistkit"),
        policies.RetryPolicy(retry_total=3, retry_backoff_factor=0.5),
        policies.BearerTokenCredentialPolicy(credentials, scope),
    ]
    return sdk("azure.core").PipelineClient(base_url, policies=chain)


def send(client: Any, method: str, path: str, *, body: Any = None, accepted: Sequence[int] = (200,)) -> Any:
    """Send a request, and return the JSON of the response.

    Args:
        client: From `pipeline_client`.
        method: Of HTTP.
        path: Relative to the client's base URL, with its query.
        body: To send as JSON.
        accepted: The statuses of success; any other raises ``azure.core.exceptions.HttpResponseError``.
    """
    request = sdk("azure.core.rest").HttpRequest(method, client.format_url(path), json=body)
    response = client.send_request(request)
    if response.status_code not in accepted:
        exceptions = sdk("azure.core.exceptions")
        mapped = {401: exceptions.ClientAuthenticationError, 404: exceptions.ResourceNotFoundError}
        raise mapped.get(response.status_code, exceptions.HttpResponseError)(response=response)
    return response.json() if response.content else None


@cache
def repair_uploads() -> None:
    """Make the SDK's uploads and waits quiet, and make uploads that fail raise; in this whole process.

    Whatever ``show_progress`` is, azure-ai-ml 1.35 prints a blank line with a colour code after each upload, and a dot
    per request while it waits for Azure: on standard output, where programs read a result. Without progress
    it never looks at the files that couldn't be uploaded, and waits for them without end; with it, the error is raised.
    """
    sdk("azure.ai.ml._utils._azureml_polling").__dict__["print"] = _print_nothing
    helper = sdk("azure.ai.ml._artifacts._blob_storage_helper")
    helper.__dict__["print"] = _print_nothing
    utils = sdk("azure.ai.ml._utils._asset_utils")
    utils.__dict__["tqdm"] = _bar_of(utils.tqdm)
    helper.__dict__["upload_directory"] = partial(_upload_directory, helper.upload_directory)


@cache
def _silence() -> None:
    """Hold back the SDK's log: each error is raised as well, and each experimental class warns when it is used.

    azure-ai-ml 1.35 gives its own logger the level INFO and a handler to standard error when it is imported.
    """
    importlib.import_module("azure.ai.ml")
    logging.getLogger("azure.ai.ml").setLevel(logging.CRITICAL)
    for name in _NOISY_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _unchanged_variable(name: str) -> Iterator[None]:
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _upload_directory(original: Callable[..., None], *args: Any, show_progress: bool, **options: Any) -> None:
    token = _has_bars.set(show_progress)
    try:
        original(*args, show_progress=True, **options)
    finally:
        _has_bars.reset(token)


def _bar_of(kind: Any) -> Callable[..., Any]:
    """Return the maker of progress bars that are shown where the SDK was to show them."""
    return lambda **options: kind(**options, disable=not _has_bars.get())


def _print_nothing(*_: object, **__: object) -> None:
    """Replace the print of the SDK's uploads and waits."""


class _FunctionCredential:
    """A credential of the SDK over a caller's function."""

    def __init__(self, get_token: Callable[[str], str]) -> None:
        self._get_token = get_token

    def get_token(self, *scopes: str, **_: Any) -> Any:
        """Return a token for the first scope."""
        token = self._get_token(scopes[0].removesuffix("/.default"))
        return sdk("azure.core.credentials").AccessToken(token, int(time.time()) + _TOKEN_SECONDS)
