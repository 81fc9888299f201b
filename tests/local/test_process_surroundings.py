"""The folder that a user stands in has no effect on runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnistkit.data.folders import DigitsSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

_TRAP = "raise SystemExit('a file of the working directory was run')\n"


def test_a_module_of_the_working_directory_is_not_run(tmp_path: Path) -> None:
    """Training works in a folder that holds modules of the names that mnistkit or its libraries import."""
    for name in ("random", "psutil", "joblib", "statistics", "select"):
        (tmp_path / f"{name}.py").write_text(_TRAP)
    program = (
        "import sys; sys.path.pop(0)\n"
        "from mnistkit import Trainer\n"
        "from mnistkit.estimators import FastLogisticRegression\n"
        "run = Trainer.local('digits', home=sys.argv[1]).train(FastLogisticRegression(max_iter=3))\n"
        "print(run.state)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "home")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout == "Completed\n", ended.stderr


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_a_script_has_its_own_folder_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe_path: str
) -> None:
    """A script imports what lies beside it, with ``PYTHONSAFEPATH`` too, and nothing of the working directory."""
    work, code = tmp_path / "work", tmp_path / "code"
    work.mkdir()
    code.mkdir()
    (work / "only_here.py").write_text("")
    (code / "beside.py").write_text("")
    (code / "main.py").write_text(
        "import importlib.util, os, beside\n"
        "assert importlib.util.find_spec('only_here') is None\n"
        f"assert os.environ.get('PYTHONSAFEPATH', '') == {safe_path!r}\n"
    )
    monkeypatch.chdir(work)
    monkeypatch.setenv("PYTHONSAFEPATH", safe_path)
    backend = ProcessCompute(tmp_path / "home")
    job = ScriptJob(source_directory=str(code), entry_script="main.py")
    run = Run(backend, backend.submit(job, DigitsSource())).wait(120)
    assert run.state is RunState.COMPLETED, backend.logs(run.id)


def test_a_worker_that_died_leaves_no_pipe_open(tmp_path: Path) -> None:
    """The next run has a worker of its own, and both pipes of the dead one are closed."""
    (tmp_path / "runs").mkdir()
    dead = Worker.shared(tmp_path / "runs")
    os.kill(dead.owner.pid, signal.SIGKILL)
    dead._process.wait(10)
    assert Worker.shared(tmp_path / "runs") is not dead
    assert dead._stdin.closed
    assert dead._reports.closed
