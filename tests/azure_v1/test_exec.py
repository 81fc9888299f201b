"""``mnistkit emulator exec`` with a script that uses the real SDK: however it ends, no job goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")
psutil = pytest.importorskip("psutil")

_SUBMIT = """
import sys, time
from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget

workspace = Workspace.from_config()
settings = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
cluster = ComputeTarget.create(workspace, "small", settings)
config = ScriptRunConfig("job", "train.py", arguments=[sys.argv[1]], compute_target=cluster)
run = Experiment(workspace, "endless").submit(config)
while run.get_status() != "Running" or not __import__("os").path.exists(sys.argv[1]):
    time.sleep(0.1)
if sys.argv[2] == "wait":
    time.sleep(600)
raise SystemExit(7)
"""
_JOB = """
import os, pathlib, sys, time
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text(str(os.getpid()))
part.rename(sys.argv[1])
time.sleep(600)
"""


def start(folder: Path, pid_file: Path, what: str) -> subprocess.Popen[str]:
    """The program, with a script that submits an endless job."""
    (folder / "job").mkdir()
    (folder / "job" / "train.py").write_text(_JOB)
    (folder / "submit.py").write_text(_SUBMIT)
    program = [sys.executable, "-c", "from mnistkit.cli import main; main()", "emulator", "exec", "--write-config", "."]
    command = [*program, "--", sys.executable, "submit.py", str(pid_file), what]
    return subprocess.Popen(
        command, cwd=folder, env=dict(os.environ), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def is_gone(pid: int) -> bool:
    """Whether a process ends within a while."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize(("what", "code"), [("end", 7), ("wait", 128 + signal.SIGTERM)])
def test_no_job_goes_on(tmp_path: Path, what: str, code: int) -> None:
    """When the command has ended, or the program is told to end, the job that still runs is ended too."""
    pid_file = tmp_path / "pid"
    process = start(tmp_path, pid_file, what)
    try:
        end = time.monotonic() + 120
        while not pid_file.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        if what == "wait":
            assert pid_file.exists(), process.poll()
            process.terminate()
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, err
    assert is_gone(int(pid_file.read_text()))
