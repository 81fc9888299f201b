"""How the tests with the real SDK submit jobs, and wait for them."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

from azureml.core import Experiment, Run, ScriptRunConfig, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget

FINAL = ("Completed", "Failed", "Canceled")
PATIENCE = 120.0


def cluster(workspace: Workspace, max_nodes: int = 4, name: str = "cpu") -> str:
    """The name of a new cluster."""
    configuration = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=max_nodes)
    ComputeTarget.create(workspace, name, configuration).wait_for_completion(timeout_in_minutes=1)
    return name


def write(folder: Path, script: str, name: str = "train.py") -> Path:
    """A folder with a script in it."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(script), encoding="utf-8")
    return folder


def submit(workspace: Workspace, folder: Path, target: str, *arguments: object, **options: object) -> Run:
    """The run of a script ``train.py`` that was submitted."""
    options = {"script": "train.py", "arguments": list(arguments), **options}
    configuration = ScriptRunConfig(str(folder), compute_target=target, **options)
    return Experiment(workspace, "digits").submit(configuration)


def wait(run: Run, *states: str) -> str:
    """The state of a run, once it is one of these: final ones by default."""
    end = time.monotonic() + PATIENCE
    while (status := run.get_status()) not in (states or FINAL):
        assert time.monotonic() < end, f"{run.id} is still {status}"
        assert status not in FINAL, f"{run.id} is {status}: {run.get_details().get('error')}"
        time.sleep(0.1)
    return str(status)


def log(run: Run) -> str:
    """What a run's script has printed so far."""
    return str(run.get_details_with_logs()["logFiles"].get("user_logs/std_log.txt", ""))
