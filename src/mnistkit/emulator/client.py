"""The environment variables and the config.json that lead a client to the emulator."""

from __future__ import annotations

import json
import os
import site
from pathlib import Path

from mnistkit.emulator.settings import Settings
from mnistkit.emulator.synthetic import PINS
from mnistkit.emulator.tokens import Identity
from mnistkit.emulator.workspace import Workspace

__all__ = ["connection", "environment", "write_config"]

_LOOPBACK_HOSTS = "127.0.0.1,localhost"


def environment(
    workspace: Workspace, identity: Identity, bundle: Path, home: Path, settings: Settings
) -> dict[str, str]:
    """Return `connection`, and the credentials of the service principal."""
    return connection(workspace, bundle, home, settings) | {
        "AZURE_TENANT_ID": identity.tenant_id,
        "AZURE_CLIENT_ID": identity.client_id,
        "AZURE_CLIENT_SECRET": identity.client_secret,
        # What the SDK logs in with where a script names no credentials.
        "AZUREML_SERVICE_PRINCIPAL_TENANT_ID": identity.tenant_id,
        "AZUREML_SERVICE_PRINCIPAL_ID": identity.client_id,
        "AZUREML_SERVICE_PRINCIPAL_PASSWORD": identity.client_secret,
    }


def connection(workspace: Workspace, bundle: Path, home: Path, settings: Settings) -> dict[str, str]:
    """Return the variables that lead a process, and those that it starts, to the emulator alone.

    Set them before the process's first call of the SDK: a part of it reads them only once.

    Args:
        workspace: The emulated one.
        bundle: The certificates to trust.
        home: A folder for what the SDK caches, in place of the user's own.
        settings: How the emulator behaves.
    """
    return {
        # mnistkit accepts MNIST alone as the Open Dataset unless this names other pins; empty counts as unset.
        "MNISTKIT_OPEN_DATASETS_PINS": "" if settings.data else str(PINS),
        # Lower case, and both: the SDK's data engine ignores the proxy otherwise.
        "http_proxy": workspace.url,
        "https_proxy": workspace.url,
        "no_proxy": _LOOPBACK_HOSTS,
        "HTTP_PROXY": workspace.url,
        "HTTPS_PROXY": workspace.url,
        "NO_PROXY": _LOOPBACK_HOSTS,
        "REQUESTS_CA_BUNDLE": str(bundle),
        "SSL_CERT_FILE": str(bundle),
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        "AZUREML_DEV_URL_MLFLOW": f"https://{workspace.api_host}",  # its plugin sends tokens over TLS alone
        "AZUREML_DEFAULT_BACKOFF": "1",  # seconds; the SDK's own is 32
        "AZUREML_DATASET_HTTP_RETRY_COUNT": "2",  # the data engine's own tries for minutes what can't be reached
        "HBI_WORKSPACE_JOB": "true",  # less telemetry
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONUSERBASE": os.environ.get("PYTHONUSERBASE") or site.getuserbase(),  # else it moves with HOME
    }


def write_config(workspace: Workspace, folder: Path) -> Path:
    """Write the ``config.json`` that ``Workspace.from_config()`` looks for.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    names = {
        "subscription_id": workspace.subscription_id,
        "resource_group": workspace.resource_group,
        "workspace_name": workspace.name,
    }
    file.write_text(json.dumps(names, indent=4) + "\n", encoding="utf-8")
    return file
