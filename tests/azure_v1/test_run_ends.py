"""The real SDK ends runs from outside, and the emulator believes it: cancel, complete, fail, and what then stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import psutil
import sdk_jobs as jobs
from azureml.core import Environment, Experiment, Run, ScriptRunConfig, Workspace
from azureml.core.conda_dependencies import CondaDependencies

from mnistkit.emulator import AzureMLEmulator

ENDLESS = """
import os, pathlib, sys, time
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text(str(os.getpid()))
part.rename(sys.argv[1])
time.sleep(600)
"""


def start(workspace: Workspace, tmp_path: Path, target: str) -> tuple[Run, int]:
    """A run of an endless script, and the script's process."""
    pid_file = tmp_path / "pid"
    folder = jobs.write(tmp_path / "src", ENDLESS)
    target = jobs.cluster(workspace) if target == "cpu" else target
    run = jobs.submit(workspace, folder, target, str(pid_file))
    end = time.monotonic() + jobs.PATIENCE
    while not pid_file.exists():
        assert time.monotonic() < end, run.get_details()
        time.sleep(0.1)
    jobs.wait(run, "Running")
    return run, int(pid_file.read_text())


def is_gone(pid: int) -> bool:
    """Whether a process ends within a while."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_local_run_is_canceled(workspace: Workspace, tmp_path: Path) -> None:
    """Canceling a local run ends it as Canceled, and its process."""
    run, pid = start(workspace, tmp_path, "local")
    run.cancel()
    assert jobs.wait(run) == "Canceled"
    assert is_gone(pid)


@pytest.mark.parametrize("target", ["local", "cpu"])
@pytest.mark.parametrize(("action", "state"), [("complete", "Completed"), ("fail", "Failed")])
def test_submitted_run_is_ended(workspace: Workspace, tmp_path: Path, target: str, action: str, state: str) -> None:
    """Completing or failing a submitted run brings it into that state, and ends its process."""
    run, pid = start(workspace, tmp_path, target)
    run.complete() if action == "complete" else run.fail("no digits", "E7")
    assert jobs.wait(run) == state
    assert is_gone(pid)
    time.sleep(0.5)  # what the process does at its end changes nothing
    details = run.get_details()
    assert details["status"] == state
    if action == "fail":
        assert "no digits" in str(details["error"])


def test_script_does_not_end_its_run_itself(workspace: Workspace, tmp_path: Path) -> None:
    """A script that completes or fails its own run goes on: the platform sets the state, as on Azure."""
    script = "from azureml.core import Run\nrun = Run.get_context()\nrun.complete()\nrun.log('after', 1)\nrun.flush()\n"
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", script), jobs.cluster(workspace))
    assert jobs.wait(run) == "Completed"
    assert run.get_metrics() == {"after": 1}


def test_properties_are_set_once(workspace: Workspace) -> None:
    """A property may be set again to the same value, and never to another one."""
    run = Experiment(workspace, "digits").start_logging(snapshot_directory=None)
    run.add_properties({"author": "me"})
    run.add_properties({"author": "me", "size": "60000"})
    with pytest.raises(Exception, match="author"):
        run.add_properties({"author": "other", "more": "x"})
    assert {key: Run.get(workspace, run.id).properties.get(key) for key in ("author", "size", "more")} == {
        "author": "me",
        "size": "60000",
        "more": None,
    }
    run.complete()


@pytest.mark.parametrize("target", ["local", "cpu"])
def test_environment_of_a_run(workspace: Workspace, tmp_path: Path, target: str) -> None:
    """The environment that a run was submitted with is registered by that, and found through the run."""
    target = jobs.cluster(workspace) if target == "cpu" else target
    environment = Environment("mine")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["tqdm==4.66.0"])
    folder = jobs.write(tmp_path / "src", "print('done')\n")
    first = jobs.submit(workspace, folder, target, environment=environment)
    assert jobs.wait(first) == "Completed"
    environment.python.conda_dependencies.add_pip_package("joblib")
    second = jobs.submit(workspace, folder, target, environment=environment)
    assert jobs.wait(second) == "Completed"
    assert "tqdm==4.66.0" in list(first.get_environment().python.conda_dependencies.pip_packages)
    assert "joblib" not in list(first.get_environment().python.conda_dependencies.pip_packages)
    assert "joblib" in list(second.get_environment().python.conda_dependencies.pip_packages)
    assert "mine" in Environment.list(workspace)


def test_environment_without_a_name(workspace: Workspace, tmp_path: Path) -> None:
    """A run that was submitted with the SDK's own environment has one too."""
    config = ScriptRunConfig(str(jobs.write(tmp_path / "src", "print('done')\n")), script="train.py")
    config.run_config.target = "local"
    run = Experiment(workspace, "digits").submit(config)
    assert jobs.wait(run) == "Completed"
    assert run.get_environment().name == config.run_config.environment.name


def test_logs_of_a_run_that_has_said_nothing(
    workspace: Workspace, emulator: AzureMLEmulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking at the logs of a run again and again, from its first moment on, logs no traceback of the SDK's."""
    script = "import time\ntime.sleep(1)\nprint('at last')\n"
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", script), "local")
    while run.get_status() not in jobs.FINAL:
        run.get_details_with_logs()
    assert "at last" in jobs.log(run)
    assert "deserializ" not in caplog.text
