"""Connections to a workspace through the SDK v1."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from mnistkit.azureml.calls import call, translated
from mnistkit.azureml.credentials import (
    CredentialKind,
    check_kind,
    check_terminal,
    checked_tokens,
    credential_kind,
    service_principal,
)
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.azureml.workspace import select_workspace
from mnistkit.errors import UsageError

__all__ = ["Connection", "connect", "login"]

Credentials = str | Callable[[str], str] | Any
"""One of `CREDENTIAL_KINDS`, a function from audience to token, or an authentication object of the SDK."""


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
            of the first three that is there. There is no prompt unless it is ``"interactive"``.
        seconds: The deadline; None for two minutes.

    Raises:
        MissingExtraError: The SDK isn't installed; names the extra.
        NotFoundError: There is no ``config.json``: lists where it was looked for; or no such workspace.
        ConfigError: The file is malformed.
        AuthenticationError: There are no credentials, or they are wrong, expired or not allowed in.
        ServiceTimeoutError: It isn't done in time.
    """
    sdk()
    which = select_workspace(config, name, resource_group, subscription_id)
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
        """Choose the workspace.

        Args:
            workspace: What `connect` returns; None to call it when needed.
            how: Arguments of `connect`.
        """
        self._workspace = workspace
        self._how = how
        self._lock = threading.Lock()

    @classmethod
    def of(cls, workspace: Any) -> Connection:
        """Return the connection given, or one to the workspace given; None is the workspace of ``config.json``."""
        return workspace if isinstance(workspace, cls) else cls(workspace)

    @property
    def workspace(self) -> Any:
        """The SDK's workspace; raises as `connect`."""
        with self._lock:
            if self._workspace is None:
                self._workspace = connect(**self._how)
            return self._workspace


def login(credentials: Credentials = None) -> Any:
    """Return the SDK's authentication object for ``credentials``; see `connect`.

    Raises:
        AuthenticationError: There are none.
        UsageError: ``credentials`` is none of the kinds that `connect` takes.
    """
    kind = credential_kind() if credentials is None else credentials
    if isinstance(kind, str):
        known = check_kind(kind)
        with translated("logging in"):
            return _named(known)
    authentication = sdk("azureml.core.authentication")
    if isinstance(kind, authentication.AbstractAuthentication):
        return kind
    if callable(kind):
        return authentication.TokenAuthentication(checked_tokens(kind), cloud="AzureCloud")
    raise UsageError(f"credentials is a {type(kind).__name__}: use a name, a token function, or the SDK's object.")


def _named(kind: CredentialKind) -> Any:
    authentication = sdk("azureml.core.authentication")
    if kind == "service-principal":
        return authentication.ServicePrincipalAuthentication(*service_principal())
    if kind == "interactive":
        check_terminal()
        return authentication.InteractiveLoginAuthentication()
    identity = sdk("azure.identity")
    source = identity.AzureCliCredential() if kind == "cli" else identity.ManagedIdentityCredential()
    return authentication.TokenAuthentication(
        lambda audience: source.get_token(f"{audience.rstrip('/')}/.default").token, cloud="AzureCloud"
    )
