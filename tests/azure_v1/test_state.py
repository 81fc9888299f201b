"""An emulator that is stopped and started again, as the real SDK sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Experiment, Model, Workspace
from azureml.core.authentication import TokenAuthentication
from azureml.core.compute import AmlCompute, ComputeTarget

from mnistkit.emulator import AzureMLEmulator


def connect(emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of an emulator."""
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    mine = emulator.workspace
    auth = TokenAuthentication(emulator.token)
    return Workspace.get(mine.name, auth=auth, subscription_id=mine.subscription_id, resource_group=mine.resource_group)


def test_what_was_there_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with their metrics and files, models, clusters and the workspace's id are kept."""
    (tmp_path / "model.txt").write_text("weights")
    with AzureMLEmulator(tmp_path / "state") as emulator:
        workspace = connect(emulator, monkeypatch)
        settings = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
        ComputeTarget.create(workspace, "small", settings)
        run = Experiment(workspace, "kept").start_logging(snapshot_directory=None)
        run.log("accuracy", 0.9)
        run.upload_file("outputs/model.txt", str(tmp_path / "model.txt"))
        run.complete()
        model = run.register_model("digits", model_path="outputs/model.txt")
        workspace_id = workspace._workspace_id
        assert emulator.unknown_requests == ()
    with AzureMLEmulator(tmp_path / "state") as emulator:
        workspace = connect(emulator, monkeypatch)
        assert workspace._workspace_id == workspace_id
        assert list(workspace.compute_targets) == ["small"]
        (again,) = Experiment(workspace, "kept").get_runs()
        assert (again.id, again.get_status(), again.get_metrics()) == (run.id, "Completed", {"accuracy": 0.9})
        again.download_file("outputs/model.txt", str(tmp_path / "file.txt"))
        assert (tmp_path / "file.txt").read_text() == "weights"
        kept = Model(workspace, "digits")
        assert kept.id == model.id
        assert Path(kept.download(str(tmp_path / "download"))).read_text() == "weights"
        assert run.register_model("digits", model_path="outputs/model.txt").version == model.version + 1
        assert emulator.unknown_requests == ()
