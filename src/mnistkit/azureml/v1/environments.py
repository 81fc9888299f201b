"""The environments of jobs through the SDK v1: registered once for each content."""

from __future__ import annotations

from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.azureml.environments import NodeEnvironment, node_environment
from mnistkit.azureml.v1._sdk import sdk, sdk_versions
from mnistkit.errors import NotFoundError
from mnistkit.jobs.job import Job

__all__ = ["environment_of", "registered"]

_NODE_PACKAGES = {"azureml-defaults": "azureml-core", "azureml-dataset-runtime[fuse]": "azureml-dataset-runtime"}
"""The SDK's packages that a job needs on the node, and the package here whose release they must match."""


def environment_of(job: Job) -> NodeEnvironment:
    """Return what a node installs for a job, with the SDK v1 of the release that is installed here."""
    versions = sdk_versions()
    found = {package: versions.get(known, "") for package, known in _NODE_PACKAGES.items()}
    return node_environment(job, [f"{n}~={'.'.join(v.split('.')[:2])}" if v else n for n, v in found.items()])


def registered(workspace: Any, environment: NodeEnvironment) -> Any:
    """Return the SDK's environment, registered unless the workspace has one of that name, which means that content.

    Raises:
        ServiceError: It can't be.
    """
    core = sdk()
    try:
        return call(f"getting the environment {environment.name}", core.Environment.get, workspace, environment.name)
    except NotFoundError:
        made = core.Environment(environment.name)
        made.python.conda_dependencies = sdk("azureml.core.conda_dependencies").CondaDependencies.create(
            pip_packages=list(environment.pip),
            conda_packages=list(environment.conda) or None,
            python_version=environment.python,
            pin_sdk_version=False,
        )
        return call(f"registering the environment {environment.name}", made.register, workspace)
