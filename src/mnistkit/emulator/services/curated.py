"""Azure's curated environments: a record for every such name, since the emulator builds none anyway."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CURATED_NAMES", "curated_definition", "is_curated"]

_CURATED_PATTERN = re.compile(r"azureml-.+", re.IGNORECASE)
_DEFAULT_VERSION = "1"

# Those that examples use most; any other name that starts alike has a record too.
CURATED_NAMES = (
    "AzureML-Minimal",
    "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu",
    "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu",
    "AzureML-lightgbm-3.2-ubuntu18.04-py37-cpu",
    "AzureML-pytorch-1.10-ubuntu18.04-py38-cuda11-gpu",
    "AzureML-tensorflow-2.7-ubuntu20.04-py38-cuda11-gpu",
    "AzureML-responsibleai-0.20-ubuntu20.04-py38-cpu",
    "azureml-sklearn-1.5",
)


def is_curated(name: object) -> bool:
    """Return True if a name is one of those that Azure keeps for its own environments."""
    return isinstance(name, str) and _CURATED_PATTERN.fullmatch(name) is not None


def curated_definition(name: str, version: str = "") -> dict[str, Any]:
    """Return the definition of a curated environment: an image, and packages that aren't known here.

    Args:
        name: Its name.
        version: Its version; empty for the newest.
    """
    version = version or _DEFAULT_VERSION
    return {
        "name": name,
        "version": version,
        "python": {
            "interpreterPath": "python",
            "userManagedDependencies": True,
            "condaDependencies": None,
            "baseCondaEnvironment": None,
        },
        "docker": {
            "baseImage": f"mcr.microsoft.com/azureml/curated/{name.lower().removeprefix('azureml-')}:{version}",
            "baseDockerfile": None,
            "baseImageRegistry": {"address": None, "username": None, "password": None},
            "platform": {"os": "Linux", "architecture": "amd64"},
            "enabled": False,
            "arguments": [],
        },
        "spark": {"repositories": [], "packages": [], "precachePackages": True},
        "environmentVariables": {},
        "inferencingStackVersion": None,
        "r": None,
        "databricks": None,
    }
