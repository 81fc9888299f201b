"""The models of a workspace keep the contract of model registries: the real SDK, against the emulator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from mnistkit.azureml import WorkspaceRegistry
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.emulator.services.models import Models
from mnistkit.testing import ModelRegistrySuite

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import ModelRegistry
    from mnistkit.registry.version import ModelVersion


def stored_files(emulator: AzureMLEmulator, content: bytes) -> list[Path]:
    """The files with that content in the emulator's storage, oldest first."""
    files = (path for path in (emulator._folder / "workspace").rglob("*") if path.is_file())
    found = [path for path in files if path.stat().st_size == len(content) and path.read_bytes() == content]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


@contextlib.contextmanager
def changed_record(emulator: AzureMLEmulator, model: str) -> Iterator[dict[str, Any]]:
    """What the emulator keeps of a model, to be changed as no client can."""
    services = (getattr(route.handler, "__self__", None) for route in emulator._open.router.routes)
    models = next(service for service in services if isinstance(service, Models))
    with models._models.change(model) as record:
        yield record


class TestWorkspaceRegistry(ModelRegistrySuite):
    """An empty workspace for each test."""

    @pytest.fixture
    def registry(self, workspace: Any, emulator: AzureMLEmulator) -> ModelRegistry:
        """The registry of an empty workspace."""
        self.workspace, self.emulator = workspace, emulator
        return WorkspaceRegistry(workspace)

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte in the storage account: versions were uploaded in their order."""
        stored_files(self.emulator, b"the model")[model.version - 1].write_bytes(b"the modem")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change the manifest among the properties."""
        with changed_record(self.emulator, model.id) as record:
            record["properties"]["mnistkit_manifest"] = "{}"

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another object on a workspace that was looked up again."""
        return WorkspaceRegistry(sdk("azureml.core").Workspace.from_config())
