"""Connections to a workspace through the SDK v2."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.credentials import CREDENTIAL_KINDS, check_kind, check_terminal, checked_tokens, credential_kind
from mnistkit.azureml.v2._sdk import credential, function_credential, ml_client, repair_uploads, sdk
from mnistkit.azureml.workspace import select_workspace
from mnistkit.errors import UsageError

__all__ = ["Connection", "connect", "login"]

Credentials = str | Callable[[str], str] | Any
"""One of `CREDENTIAL_KINDS`, a function from audience to token, or a credential of azure-identity."""


def connect(
    config: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
    credentials: Credentials = None,
    seconds: float | None = None,
) -> Any:
    """Connect to a workspace, and return the SDK's ``azure.ai.ml.MLClient``.

    Args:
        config: The ``config.json``, or the folder to look for it from upwards; None for the working directory.
        name: The workspace, with ``resource_group`` and ``subscription_id``: then no file is looked for.
        resource_group: Its resource group.
        subscription_id: Its subscription.
        credentials: ``"service-principal"`` (of ``AZURE_TENANT_ID``, ``AZURE_CLIENT_ID`` and ``AZURE_CLIENT_SECRET``),
            ``"managed-identity"``, ``"cli"`` (``az login``), or ``"interactive"`` (a browser; on a terminal alone); a
            function that returns a token for an audience; or a credential of azure-identity. None for the first of the
            first three that is configured. There is no prompt unless it is ``"interactive"``.
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
    client = ml_client(which, login(credentials))
    # MLClient() sends nothing: without this request a wrong name would be an error of the first job.
    call(f"connecting to the workspace {which.name}", client.workspaces.get, which.name, seconds=seconds)
    return client


class Connection:
    """A workspace that is connected to when it is first needed, once; safe to share between threads."""

    def __init__(self, client: Any = None, **how: Any) -> None:
        """Choose the workspace.

        Args:
            client: What `connect` returns; None to call it when needed.
            how: Arguments of `connect`.
        """
        self._client = client
        self._how = how
        self._workspace: Any = None
        self._lock = threading.RLock()

    @classmethod
    def of(cls, client: Any) -> Connection:
        """Return the connection given, or one with the client given; None is the workspace of ``config.json``."""
        return client if isinstance(client, cls) else cls(client)

    @property
    def client(self) -> Any:
        """The SDK's client; raises as `connect`."""
        with self._lock:
            if self._client is None:
                self._client = connect(**self._how)
            repair_uploads()
            return self._client

    @property
    def workspace(self) -> Any:
        """The SDK's description of the workspace, read once."""
        with self._lock:
            if self._workspace is None:
                client = self.client
                self._workspace = call("getting the workspace", client.workspaces.get, client.workspace_name)
            return self._workspace


def login(credentials: Credentials = None) -> Any:
    """Return the SDK's credential for ``credentials``; see `connect`. Sends nothing.

    Raises:
        AuthenticationError: There are none.
        UsageError: ``credentials`` is none of the kinds that `connect` takes.
    """
    kind = credential_kind() if credentials is None else credentials
    if isinstance(kind, str):
        known = check_kind(kind)
        if known == "interactive":
            check_terminal()
        return credential(known)
    if hasattr(kind, "get_token"):
        return kind
    if callable(kind):
        return function_credential(checked_tokens(kind))
    raise UsageError(
        f"credentials={type(kind).__name__}: use one of {', '.join(CREDENTIAL_KINDS)}, a function that returns a token "
        "for an audience, or a credential of azure-identity."
    )
