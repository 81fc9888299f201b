"""Our `Environment` as the SDK's: what the node installs, pinned to what is installed here, registered once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from importlib import metadata
from platform import python_version
from typing import Any

from attrs import frozen

from mnistkit.azureml.v1._sdk import call, sdk, sdk_versions
from mnistkit.errors import NotFoundError
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import Job, ScriptJob

__all__ = ["NodeEnvironment", "node_environment", "registered"]

_OWN = "mnistkit"
_SDK = {"azureml-defaults": "azureml-core", "azureml-dataset-runtime[fuse]": "azureml-dataset-runtime"}
"""What jobs need of the SDK besides, and the package here whose release says which."""


@frozen
class NodeEnvironment:
    """What a node installs.

    Attributes:
        name: Under which it is registered: ours, and a digest of the rest.
        python: The version.
        pip: Requirements, pinned, sorted.
        conda: Requirements of conda.
    """

    name: str
    python: str
    pip: tuple[str, ...]
    conda: tuple[str, ...] = ()


def node_environment(job: Job) -> NodeEnvironment:
    """What a job needs: its own environment, or what is installed here; and what mnistkit and the SDK need there."""
    own = job.environment if isinstance(job, ScriptJob) else None
    wanted = own or Environment.current()
    pip = {_key(each): each for each in _own_requirements()}
    pip |= {_key(each): each for each in _sdk_requirements()}
    pip |= {_key(each): each for each in wanted.pip if _key(each) != _OWN}  # its source travels with the job
    python = wanted.python or ".".join(python_version().split(".")[:2])
    content = [python, sorted(pip.values()), sorted(wanted.conda)]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return NodeEnvironment(f"{wanted.name}-{digest}", python, tuple(content[1]), tuple(content[2]))


def registered(workspace: Any, environment: NodeEnvironment) -> Any:
    """The SDK's environment, registered with the workspace unless one of that name, and so that content, is there.

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


def _own_requirements() -> list[str]:
    """What mnistkit needs at run time, pinned to the versions here."""
    needed = [each for each in metadata.requires(_OWN) or () if "extra ==" not in each]
    found = []
    for name in sorted({re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed}):
        with contextlib.suppress(metadata.PackageNotFoundError):  # it is for other versions of Python
            found.append(f"{name}=={metadata.version(name)}")
    return found


def _sdk_requirements() -> list[str]:
    """The SDK's packages for jobs, of the release that is installed here."""
    versions = sdk_versions()
    found = {package: versions.get(known, "") for package, known in _SDK.items()}
    return [f"{name}~={'.'.join(v.split('.')[:2])}" if v else name for name, v in found.items()]


def _key(requirement: str) -> str:
    """The package that a requirement is about, as pip compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()
