"""Faults on demand, as code that uses the real SDK meets them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Experiment, Run, ScriptRunConfig, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget

from mnistkit.emulator import AzureMLEmulator, Fault

_SECONDS = 120


@pytest.fixture
def script(workspace: Workspace, tmp_path: Path) -> ScriptRunConfig:
    """A trivial script, for a cluster of one node."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "from azureml.core import Run\n"
        "run = Run.get_context()\n"
        "run.log('accuracy', 0.9)\n"
        "run.upload_file('model.txt', __file__)\n"
    )
    settings = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
    return ScriptRunConfig(str(folder), "train.py", compute_target=ComputeTarget.create(workspace, "small", settings))


def ended(run: Run) -> str:
    """How a run ends."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        status = run.get_status()
        if status in {"Completed", "Failed", "Canceled"}:
            return str(status)
        time.sleep(0.2)
    raise AssertionError(f"the run is still {run.get_status()}")


def runs(workspace: Workspace) -> int:
    """How many runs there are."""
    return len(list(Experiment(workspace, "faults").get_runs()))


@pytest.mark.parametrize("kind", ["throttle", "unavailable"])
def test_the_sdk_tries_again(
    workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig, kind: str
) -> None:
    """A submission that is refused for a while goes through, once."""
    emulator.inject(Fault(kind, match="/snapshotrun", seconds=0.1))
    assert ended(Experiment(workspace, "faults").submit(script)) == "Completed"
    assert runs(workspace) == 1


def test_a_connection_that_is_cut(workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig) -> None:
    """When the answer to a submission is lost, there is one job all the same."""
    emulator.inject(Fault("reset", match="/snapshotrun"))
    assert ended(Experiment(workspace, "faults").submit(script)) == "Completed"
    assert runs(workspace) == 1


def test_an_expired_token(workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig) -> None:
    """A token that expires in mid-run is an error of the call that it hits; the job goes on."""
    run = Experiment(workspace, "faults").submit(script)
    emulator.inject(Fault("unauthorized", match="GET */runs/", times=1))
    with pytest.raises(Exception, match=r"(?i)expired|401|unauthorized"):
        run.get_status()
    assert ended(run) == "Completed"


def test_a_stuck_job(workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig) -> None:
    """A stuck job stays Queued until it is canceled."""
    emulator.inject(Fault("stuck"))
    run = Experiment(workspace, "faults").submit(script)
    time.sleep(1)
    assert run.get_status() == "Queued"
    run.cancel()
    assert ended(run) == "Canceled"


def test_late_metrics(workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig) -> None:
    """Metrics may come later than the end of their run."""
    emulator.inject(Fault("late-metrics"))
    run = Experiment(workspace, "faults").submit(script)
    assert ended(run) == "Completed"
    assert run.get_metrics() == {}
    assert run.get_metrics() == {"accuracy": 0.9}


def test_an_empty_download(
    workspace: Workspace, emulator: AzureMLEmulator, script: ScriptRunConfig, tmp_path: Path
) -> None:
    """A file may come empty; the SDK doesn't notice."""
    run = Experiment(workspace, "faults").submit(script)
    assert ended(run) == "Completed"
    emulator.inject(Fault("empty-download", match="model.txt"))
    sizes = []
    for number in range(2):
        run.download_file("model.txt", str(tmp_path / str(number)), _validate_checksum=False)
        sizes.append((tmp_path / str(number)).stat().st_size)
    assert sizes[0] == 0 < sizes[1]
