"""Deployments of registered models as values, and the interface of the places that run them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from mnistkit.models.input import InputSpec
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.summary import Summary
from mnistkit.utils.text import local_time

__all__ = ["DeploymentRecord", "DeploymentState", "DeploymentTarget", "SupportsDeployment"]


class DeploymentState(str, Enum):
    """The state of a deployment."""

    STARTING = "Starting"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    FAILED = "Failed"

    def __str__(self) -> str:
        """Return the word."""
        return self.value


@frozen(kw_only=True)
class DeploymentRecord:
    """A model behind a URL.

    Attributes:
        name: The deployment.
        target: Where it runs, for people: ``local``, ``aci``, ``endpoint``.
        model: The version that it serves: ``name:3``. It never changes.
        digest: Of that version.
        created_at: When it was deployed, UTC.
        state: Its state when this record was read.
        url: Where it takes ``POST`` requests such as ``{"data": [[...], ...]}``; empty while it starts.
        error: Why it failed; empty if it didn't.
        input: How the model's images are prepared; None if unknown.
    """

    name: str
    target: str
    model: str
    digest: str
    created_at: datetime
    state: DeploymentState = DeploymentState.STARTING
    url: str = ""
    error: str = ""
    input: InputSpec | None = None

    def describe(self) -> Summary:
        """Return what is deployed where."""
        return Summary(
            title=f"Deployment {self.name}",
            state=self.state.value,
            facts={
                "Model": self.model,
                "Digest": self.digest,
                "URL": self.url,
                "Target": self.target,
                "Deployed": local_time(self.created_at),
                "Error": self.error,
            },
        )


class DeploymentTarget(ABC):
    """A place that runs models behind HTTP: processes of this machine, Azure Container Instances.

    A deployment serves one version and never changes. Whoever deploys again under its name deletes it first.
    """

    __slots__ = ()

    @abstractmethod
    def deploy(self, version: ModelVersion, name: str, package: Path) -> DeploymentRecord:
        """Start a deployment, and return its record once it answers requests.

        Args:
            version: What it serves.
            name: Its name, new at this target.
            package: The folder that `mnistkit.serving.package_model` wrote of that version; copied.

        Raises:
            InvalidNameError: The target doesn't take such a name.
            ConflictError: There is a deployment of that name.
            DeploymentError: It didn't come up; the message ends with the last lines of its log. Nothing is left.
        """

    @abstractmethod
    def get(self, name: str) -> DeploymentRecord:
        """Return the record of a deployment, with its state now.

        Raises:
            NotFoundError: There is none of that name; lists those that exist.
        """

    @abstractmethod
    def deployments(self) -> tuple[DeploymentRecord, ...]:
        """Return the records of all deployments, sorted by name."""

    @abstractmethod
    def logs(self, name: str, *, lines: int = 100) -> str:
        """Return the last lines that a deployment has written.

        Raises:
            NotFoundError: There is none of that name.
        """

    @abstractmethod
    def keys(self, name: str) -> tuple[str, ...]:
        """Return the keys that its clients may send as ``Authorization: Bearer KEY``; each is enough.

        Raises:
            NotFoundError: There is none of that name.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """End a deployment and remove all that is left of it.

        Raises:
            NotFoundError: There is none of that name.
        """


@runtime_checkable
class SupportsDeployment(Protocol):
    """A `ModelRegistry` or `ComputeBackend` in a service that runs deployments too, such as an Azure ML workspace."""

    def deployment_options(self, target: str) -> Mapping[str, Any]:
        """Return the options by which the target of that name is in the same service; empty if it runs elsewhere.

        Raises:
            UsageError: The target is one of the service, but can't be reached from this object.
        """
