"""The way into a workspace: which one, and as whom."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.azureml.v1._sdk import call, sdk, translated
from mnistkit.azureml.v1.failures import CREDENTIALS
from mnistkit.errors import AuthenticationError, ConfigError, MnistkitError, NotFoundError, UsageError

__all__ = ["Connection", "WorkspaceName", "config_places", "connect", "credential_kind", "find_config", "login"]

CREDENTIAL_KINDS = ("service-principal", "managed-identity", "cli", "interactive")
"""What ``credentials`` may be by name."""

_FOLDERS = (".azureml", "aml_config", "")
_FILES = ("config.json", "project.json")
_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
_MANAGED = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")

Credentials = str | Callable[[str], str] | Any
"""One of `CREDENTIAL_KINDS`, a function from audience to token, or an authentication object of the SDK."""


@frozen
class WorkspaceName:
    """What says which workspace is meant.

    Attributes:
        subscription_id: The subscription.
        resource_group: The resource group in it.
        name: The workspace in that.
        found_in: The file that says so; None if a caller did.
    """

    subscription_id: str
    resource_group: str
    name: str
    found_in: Path | None = None


def connect(
    config: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
    credentials: Credentials = None,
    seconds: float | None = None,
) -> Any:
    """Connect to a workspace, and return the SDK's ``azureml.core.Workspace``.

    Args:
        config: The ``config.json``, or the folder to look for it from upwards; None for the working directory.
        name: The workspace, with ``resource_group`` and ``subscription_id``: then no file is looked for.
        resource_group: Its resource group.
        subscription_id: Its subscription.
        credentials: ``"service-principal"`` (of ``AZURE_TENANT_ID``, ``AZURE_CLIENT_ID`` and ``AZURE_CLIENT_SECRET``),
            ``"managed-identity"``, ``"cli"`` (``az login``), or ``"interactive"`` (a browser; on a terminal alone); a
            function that returns a token for an audience; or an authentication object of the SDK. None for the first
            of the first three that is there. Nobody is asked anything unless it is ``"interactive"``.
        seconds: How long it may take; None for two minutes.

    Raises:
        MissingExtraError: The SDK isn't installed; names the extra.
        NotFoundError: There is no ``config.json``: lists where it was looked for; or no such workspace.
        ConfigError: The file can't be understood.
        AuthenticationError: There are no credentials, or they are wrong, expired or not allowed in.
        ServiceTimeoutError: There was no answer in time.
    """
    sdk()
    which = _which(config, name, resource_group, subscription_id)
    auth = login(credentials)
    return call(
        f"connecting to the workspace {which.name}",
        sdk().Workspace.get,
        which.name,
        auth=auth,
        subscription_id=which.subscription_id,
        resource_group=which.resource_group,
        seconds=seconds,
    )


class Connection:
    """A workspace that is connected to when it is first needed, once; safe to share between threads."""

    def __init__(self, workspace: Any = None, **how: Any) -> None:
        """Remember which workspace is meant.

        Args:
            workspace: What `connect` returns; None to call it when needed.
            how: Arguments of `connect`.
        """
        self._workspace = workspace
        self._how = how
        self._lock = threading.Lock()

    @classmethod
    def of(cls, workspace: Any) -> Connection:
        """The connection that is given, or one to the workspace that is, or to the one of ``config.json`` for None."""
        return workspace if isinstance(workspace, cls) else cls(workspace)

    @property
    def workspace(self) -> Any:
        """The SDK's workspace; raises as `connect`."""
        with self._lock:
            if self._workspace is None:
                self._workspace = connect(**self._how)
            return self._workspace


def config_places(start: str | os.PathLike[str] = ".") -> list[Path]:
    """Where a workspace's file is looked for, as the SDK does it: ``.azureml``, ``aml_config``, no folder; upwards."""
    folder = Path(start).expanduser().absolute()
    return [Path(parent, below, file) for below in _FOLDERS for file in _FILES for parent in (folder, *folder.parents)]


def find_config(start: str | os.PathLike[str] = ".") -> WorkspaceName:
    """Find and read the file that names the workspace.

    Args:
        start: The file, or the folder to start from.

    Raises:
        NotFoundError: There is no ``start``, or no file; lists where it was looked for.
        ConfigError: It can't be understood.
    """
    path = Path(start).expanduser().absolute()
    if not path.exists():  # looking above it instead could find another workspace
        raise NotFoundError(f"There is no {path}: name the workspace's config.json, or a folder to look for it from.")
    found = path if path.is_file() else next((each for each in config_places(path) if each.is_file()), None)
    if found is None:
        folders = ", ".join(str(Path(path, below) if below else path) for below in _FOLDERS)
        raise NotFoundError(
            f"There is no config.json of a workspace in {folders}, nor in the folders above them: download it from the "
            "workspace's page in the Azure portal, name the file, or give name, resource_group and subscription_id."
        )
    return _read(found)


def login(credentials: Credentials = None) -> Any:
    """The SDK's authentication object for ``credentials``; see `connect`.

    Raises:
        AuthenticationError: There are none.
        UsageError: ``credentials`` is nothing of what `connect` takes.
    """
    kind = credential_kind() if credentials is None else credentials
    if isinstance(kind, str):
        if kind not in CREDENTIAL_KINDS:
            raise UsageError(f"credentials={kind!r}: use one of {', '.join(CREDENTIAL_KINDS)}, or a token function.")
        with translated("logging in"):
            return _named(kind)
    authentication = sdk("azureml.core.authentication")
    if isinstance(kind, authentication.AbstractAuthentication):
        return kind
    if callable(kind):
        return authentication.TokenAuthentication(_telling(kind), cloud="AzureCloud")
    raise UsageError(f"credentials is a {type(kind).__name__}: use a name, a token function, or the SDK's object.")


def _which(
    config: str | os.PathLike[str] | None, name: str | None, resource_group: str | None, subscription_id: str | None
) -> WorkspaceName:
    given = {"name": name, "resource_group": resource_group, "subscription_id": subscription_id}
    if name and resource_group and subscription_id:
        return WorkspaceName(subscription_id, resource_group, name)
    if any(given.values()):
        missing = ", ".join(each for each, value in given.items() if not value)
        raise UsageError(
            f"A workspace without its config.json needs name, resource_group and subscription_id: {missing} missing."
        )
    return find_config("." if config is None else config)


def _read(path: Path) -> WorkspaceName:
    try:
        values = json.loads(path.read_bytes())
        if scope := values.get("Scope"):
            parts = str(scope).split("/")
            named = [parts[2], parts[4], parts[8]]
        else:
            named = [values[key] for key in ("subscription_id", "resource_group", "workspace_name")]
    except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"{path} doesn't name a workspace ({type(error).__name__}: {error}): it needs subscription_id, "
            "resource_group and workspace_name. Download it again from the workspace's page in the Azure portal."
        ) from error
    if not all(isinstance(value, str) and value for value in named):
        raise ConfigError(f"{path}: subscription_id, resource_group and workspace_name must be texts.")
    subscription_id, resource_group, name = named
    return WorkspaceName(subscription_id, resource_group, name, path)


def credential_kind() -> str:
    """Which of `CREDENTIAL_KINDS` is here; nobody is asked, and nothing is sent.

    Raises:
        AuthenticationError: None is.
    """
    if all(os.environ.get(name) for name in _PRINCIPAL):
        return "service-principal"
    if any(os.environ.get(name) for name in _MANAGED):
        return "managed-identity"
    if shutil.which("az"):
        return "cli"
    missing = [name for name in _PRINCIPAL if not os.environ.get(name)]
    raise AuthenticationError(f"There are no credentials for Azure: {', '.join(missing)} not set, no az. {CREDENTIALS}")


def _named(kind: str) -> Any:
    if kind == "service-principal":
        return _service_principal()
    authentication = sdk("azureml.core.authentication")
    if kind == "interactive":
        if not (sys.stdin and sys.stdin.isatty()):
            raise AuthenticationError(
                f"credentials='interactive' asks a person, and this is no terminal. {CREDENTIALS}"
            )
        return authentication.InteractiveLoginAuthentication()
    identity = _identity()
    source = identity.AzureCliCredential() if kind == "cli" else identity.ManagedIdentityCredential()
    return authentication.TokenAuthentication(
        lambda audience: source.get_token(f"{audience.rstrip('/')}/.default").token, cloud="AzureCloud"
    )


def _service_principal() -> Any:
    values = [os.environ.get(name, "") for name in _PRINCIPAL]
    if not all(values):
        missing = ", ".join(name for name, value in zip(_PRINCIPAL, values, strict=True) if not value)
        raise AuthenticationError(f"The service principal isn't told: {missing} not set. {CREDENTIALS}")
    tenant, client, secret = values
    return sdk("azureml.core.authentication").ServicePrincipalAuthentication(tenant, client, secret)


def _telling(get_token: Callable[[str], str]) -> Callable[[str], str]:
    """A caller's token function, whose failures are told as what they are."""

    def get(audience: str) -> str:
        try:
            return get_token(audience)
        except MnistkitError:
            raise
        except Exception as error:
            raise AuthenticationError(
                f"The token function of credentials= failed for {audience}: {type(error).__name__}: {error}."
            ) from error

    return get


def _identity() -> Any:
    return sdk("azure.identity")
