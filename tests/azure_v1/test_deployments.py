"""Deployments on Azure Container Instances, through the real SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Workspace

from mnistkit.azureml.v1.deployments import AciDeployments
from mnistkit.errors import InvalidNameError
from mnistkit.local import FolderRegistry
from mnistkit.registry import ModelVersion
from mnistkit.testing import DeploymentTargetSuite


class TestAciDeployments(DeploymentTargetSuite):
    """The contract."""

    @pytest.fixture
    def target(self, workspace: Workspace) -> AciDeployments:
        """A target without deployments."""
        return AciDeployments(workspace)

    @pytest.fixture
    def registry(self, tmp_path: Path) -> FolderRegistry:
        """An empty registry."""
        return FolderRegistry(tmp_path / "models")

    @pytest.mark.parametrize("name", ["Digits", "di_gits", "d", "1digits", "d" * 33])
    def test_azure_s_names(self, target: AciDeployments, version: ModelVersion, tmp_path: Path, name: str) -> None:
        """A name that Azure would refuse is refused before anything is sent."""
        with pytest.raises(InvalidNameError, match="3 to 32"):
            target.deploy(version, name, tmp_path)
