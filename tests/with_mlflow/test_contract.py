"""Models in MLflow keep the contract of registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnistkit.interfaces import ModelRegistry
from mnistkit.mlflow import MlflowRegistry
from mnistkit.mlflow._sdk import client, pages
from mnistkit.mlflow.address import Address
from mnistkit.registry.version import ModelVersion
from mnistkit.testing import ModelRegistrySuite
from support.mlflow_server import Server


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
        stored = _stored(registry, model)
        _flip(Path(stored.source.removeprefix("file://")) / "mnistkit" / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Overwrite the tag that holds the manifest."""
        _overwrite_manifest(registry, model)


class TestServer(ModelRegistrySuite):
    """`MlflowRegistry` on a real server keeps the contract of `ModelRegistry`."""

    @pytest.fixture
    def registry(self, session_server: Server) -> MlflowRegistry:
        """A registry without models: those of the test before are removed."""
        _empty(session_server.uri)
        return MlflowRegistry(session_server.uri)

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another one of the same server."""
        assert isinstance(registry, MlflowRegistry)
        return MlflowRegistry(registry._address.uri)

    @pytest.fixture(autouse=True)
    def _server(self, session_server: Server) -> None:
        self.server = session_server

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte of the stored model."""
        path = _stored(registry, model).source.removeprefix("mlflow-artifacts:/")
        _flip(self.server.folder / "artifacts" / path / "mnistkit" / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Overwrite the tag that holds the manifest."""
        _overwrite_manifest(registry, model)


def _empty(uri: str) -> None:
    made = client(Address.parse(uri))
    for model in pages(made.search_registered_models):
        made.delete_registered_model(model.name)


def _stored(registry: ModelRegistry, model: ModelVersion) -> Any:
    assert isinstance(registry, MlflowRegistry)
    return client(registry._address).get_model_version(model.name, str(model.version))


def _overwrite_manifest(registry: ModelRegistry, model: ModelVersion) -> None:
    assert isinstance(registry, MlflowRegistry)
    text = '{"schema": '
    client(registry._address).set_model_version_tag(model.name, str(model.version), "mnistkit.manifest", text)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
