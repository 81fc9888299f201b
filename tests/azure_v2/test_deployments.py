"""Deployments on managed online endpoints, through the real SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from mnistkit import Trainer
from mnistkit.azureml.v2 import AmlCompute, WorkspaceRegistry
from mnistkit.azureml.v2.deployments import ManagedEndpoints
from mnistkit.data.folders import DigitsSource
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


@pytest.mark.parametrize("has_models_there", [True, False])
def test_a_named_target_is_in_the_trainers_own_workspace(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_models_there: bool
) -> None:
    """It needs no config.json, and isn't led elsewhere by one."""
    models = WorkspaceRegistry(workspace) if has_models_there else FolderRegistry(tmp_path / "models")
    trainer = Trainer(
        data=DigitsSource(), compute=AmlCompute(workspace), models=models, experiment="e", home=tmp_path / "home"
    )
    monkeypatch.chdir(tmp_path)
    assert trainer.deployments("endpoint") == ()
