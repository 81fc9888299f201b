"""Models in MLflow keep the contract of registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnistkit.interfaces import ModelRegistry
from mnistkit.mlflow import MlflowRegistry
from mnistkit.mlflow._sdk import client
from mnistkit.registry.version import ModelVersion
from mnistkit.testing import ModelRegistrySuite


class TestSqlite(ModelRegistrySuite):
    """`MlflowRegistry` on a database file keeps the contract of `ModelRegistry`."""

    @pytest.fixture
    def registry(self, sqlite_uri: str) -> MlflowRegistry:
        """A registry without models."""
        return MlflowRegistry(sqlite_uri)

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another one of the same file."""
        assert isinstance(registry, MlflowRegistry)
        return MlflowRegistry(registry._address.uri)

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte of the stored model."""
        stored = stored_version(registry, model)
        flip(Path(stored.source.removeprefix("file://")) / "mnistkit" / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Overwrite the tag that holds the manifest."""
        overwrite_manifest(registry, model)


def stored_version(registry: ModelRegistry, model: ModelVersion) -> Any:
    """MLflow's record of a version."""
    assert isinstance(registry, MlflowRegistry)
    return client(registry._address).get_model_version(model.name, str(model.version))


def overwrite_manifest(registry: ModelRegistry, model: ModelVersion) -> None:
    """Overwrite the tag that holds the manifest."""
    assert isinstance(registry, MlflowRegistry)
    text = '{"schema": '
    client(registry._address).set_model_version_tag(model.name, str(model.version), "mnistkit.manifest", text)


def flip(path: Path) -> None:
    """Change a bit of a file."""
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
