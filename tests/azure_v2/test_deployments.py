"""Deployments on managed online endpoints, through the real SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from mnistkit.azureml.v2.deployments import ManagedEndpoints
from mnistkit.local import FolderRegistry
from mnistkit.testing import DeploymentTargetSuite


class TestManagedEndpoints(DeploymentTargetSuite):
    """The contract."""

    @pytest.fixture
    def target(self, workspace: Any) -> ManagedEndpoints:
        """A target without deployments."""
        return ManagedEndpoints(workspace)

    @pytest.fixture
    def registry(self, tmp_path: Path) -> FolderRegistry:
        """An empty registry."""
        return FolderRegistry(tmp_path / "models")
