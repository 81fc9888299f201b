"""The ways to log in, without an SDK: which one is configured, and what each needs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Literal, get_args

from mnistkit.azureml.failures import CREDENTIALS
from mnistkit.errors import AuthenticationError, MnistkitError, UsageError

__all__ = [
    "CREDENTIAL_KINDS",
    "CredentialKind",
    "check_kind",
    "check_terminal",
    "checked_tokens",
    "credential_kind",
    "service_principal",
]

CredentialKind = Literal["service-principal", "managed-identity", "cli", "interactive"]
"""What ``credentials`` may be by name."""

CREDENTIAL_KINDS: tuple[CredentialKind, ...] = get_args(CredentialKind)
"""All values of `CredentialKind`."""

_SERVICE_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
_MANAGED_IDENTITY = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")


def credential_kind() -> CredentialKind:
    """Return which of `CREDENTIAL_KINDS` is configured here; there is no prompt, and nothing is sent.

    Raises:
        AuthenticationError: None is; the message lists the ways to log in.
    """
    if all(os.environ.get(name) for name in _SERVICE_PRINCIPAL):
        return "service-principal"
    if any(os.environ.get(name) for name in _MANAGED_IDENTITY):
        return "managed-identity"
    if shutil.which("az"):
        return "cli"
    missing = [name for name in _SERVICE_PRINCIPAL if not os.environ.get(name)]
    raise AuthenticationError(f"There are no credentials for Azure: {', '.join(missing)} not set, no az. {CREDENTIALS}")


def check_kind(kind: str) -> CredentialKind:
    """Return ``kind`` if it is one of `CREDENTIAL_KINDS`.

    Raises:
        UsageError: It isn't.
    """
    for known in CREDENTIAL_KINDS:
        if kind == known:
            return known
    raise UsageError(f"credentials={kind!r}: use one of {', '.join(CREDENTIAL_KINDS)}, or a token function.")


def service_principal() -> tuple[str, str, str]:
    """Return tenant, client and secret of the service principal in the environment.

    Raises:
        AuthenticationError: A variable isn't set.
    """
    tenant, client, secret = (os.environ.get(name, "") for name in _SERVICE_PRINCIPAL)
    if not (tenant and client and secret):
        missing = ", ".join(name for name in _SERVICE_PRINCIPAL if not os.environ.get(name))
        raise AuthenticationError(f"The service principal is incomplete: {missing} not set. {CREDENTIALS}")
    return tenant, client, secret


def check_terminal() -> None:
    """Raise if nobody can log in interactively.

    Raises:
        AuthenticationError: There is no terminal.
    """
    if not (sys.stdin and sys.stdin.isatty()):
        raise AuthenticationError(f"credentials='interactive' needs a terminal, and there is none. {CREDENTIALS}")


def checked_tokens(get_token: Callable[[str], str]) -> Callable[[str], str]:
    """Return a caller's token function that raises its failures as `AuthenticationError`."""

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
