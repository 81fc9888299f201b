"""The environment of a node: pinned to the versions installed here, named by its content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from importlib import metadata
from platform import python_version

from attrs import frozen

from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import Job, ScriptJob

__all__ = ["NodeEnvironment", "node_environment"]

_OWN = "mnistkit"


@frozen
class NodeEnvironment:
    """The requirements that a node installs.

    Attributes:
        name: The name to register it under: the job's, and a digest of the rest.
        python: The version.
        pip: Requirements, pinned, sorted.
        conda: Requirements of conda.
    """

    name: str
    python: str
    pip: tuple[str, ...]
    conda: tuple[str, ...] = ()


def node_environment(job: Job, extra: Iterable[str] = ()) -> NodeEnvironment:
    """Return what a job needs: its own environment, or the versions installed here, and mnistkit's own requirements.

    Args:
        job: The job.
        extra: Requirements of the SDK on the node; the job's own win.
    """
    own = job.environment if isinstance(job, ScriptJob) else None
    wanted = own or Environment.current()
    pip = {_key(each): each for each in _own_requirements()}
    pip |= {_key(each): each for each in extra}
    pip |= {_key(each): each for each in wanted.pip if _key(each) != _OWN}  # its source travels with the job
    python = wanted.python or ".".join(python_version().split(".")[:2])
    content = [python, sorted(pip.values()), sorted(wanted.conda)]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return NodeEnvironment(f"{wanted.name}-{digest}", python, tuple(content[1]), tuple(content[2]))


def _own_requirements() -> list[str]:
    """Return mnistkit's requirements at run time, pinned to the versions here."""
    needed = [each for each in metadata.requires(_OWN) or () if "extra ==" not in each]
    found = []
    for name in sorted({re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed}):
        with contextlib.suppress(metadata.PackageNotFoundError):  # it is for other versions of Python
            found.append(f"{name}=={metadata.version(name)}")
    return found


def _key(requirement: str) -> str:
    """Return the package of a requirement, as pip compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()
