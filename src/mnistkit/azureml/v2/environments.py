"""The environments of jobs through the SDK v2: registered once for each content."""

from __future__ import annotations

import contextlib
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.environments import NodeEnvironment
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.errors import ConflictError, NotFoundError

__all__ = ["VERSION", "conda_file", "register_environment"]

VERSION = "1"
"""The version of every environment: its name says its content."""

_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"


def conda_file(environment: NodeEnvironment) -> dict[str, Any]:
    """Return the conda file of an environment."""
    return {
        "name": environment.name,
        "channels": ["conda-forge"],
        "dependencies": [
            f"python={environment.python}",
            *environment.conda,
            "pip",
            {"pip": list(environment.pip)},
        ],
    }


def register_environment(client: Any, environment: NodeEnvironment) -> str:
    """Register an environment, unless the workspace has one of that name, which means that content; return its id.

    Raises:
        ServiceError: It can't be registered.
    """
    name = environment.name
    environments = client.environments
    try:
        call(f"getting the environment {name}", environments.get, name=name, version=VERSION)
    except NotFoundError:
        entity = sdk("azure.ai.ml.entities").Environment(
            name=name, version=VERSION, image=_IMAGE, conda_file=conda_file(environment)
        )
        with contextlib.suppress(ConflictError):  # another process was first, with the same content
            call(f"registering the environment {name}", environments.create_or_update, entity)
    return f"azureml:{name}:{VERSION}"
