"""The folder registry keeps the contract of registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.testing import ModelRegistrySuite
from support.damage import flip


class TestContract(ModelRegistrySuite):
    """The folder registry keeps every promise of the contract."""

    @pytest.fixture
    def registry(self, tmp_path: Path) -> ModelRegistry:
        """The registry under test."""
        return FolderRegistry(tmp_path / "registry")

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Flip a bit."""
        flip(Path(model.location) / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Cut the manifest off."""
        (Path(model.location) / "manifest.json").write_bytes(b'{"name": ')

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another one of the same folder."""
        return FolderRegistry(registry.get("digits").location.rpartition("/models/")[0])
