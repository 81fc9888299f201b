"""The process that carries out runs, started before anything else is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mnistkit.cli.ahead import start_ahead
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder import worker_start
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run, wait_for_change

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

DEADLINE = 60.0


@pytest.fixture
def fresh() -> None:
    """No worker is left of an earlier test."""
    Worker.close_shared()
    Worker._shared = None


def test_the_first_worker_is_the_one_that_was_started_ahead(fresh: None, tmp_path: Path) -> None:
    """It is started once, taken over once, and what it printed before is in its log, which is there by then."""
    worker_start.start_ahead()
    worker_start.start_ahead()
    ahead = worker_start._ahead
    assert ahead is not None
    ahead.errors.write(b"early\n")
    ahead.errors.flush()
    worker = Worker.shared(tmp_path)
    assert worker.owner.pid == ahead.process.pid
    assert worker_start.taken_ahead() is None
    worker.close()
    assert (tmp_path / ".worker.log").read_text() == "early\n"


def test_a_run_is_carried_out_by_it(fresh: None, tmp_path: Path, tiny_mnist: DataSource) -> None:
    """Its log is that of the folder, a run's end wakes who waits for it, and an empty log is removed at the end."""
    (tmp_path / "train.py").write_text("import time; time.sleep(0.5)")
    worker_start.start_ahead()
    backend = ProcessCompute(tmp_path / "home")
    run = Run(backend, backend.submit(ScriptJob(str(tmp_path)), tiny_mnist))
    began = time.monotonic()
    while not run.refresh().state.is_terminal:
        wait_for_change(run, DEADLINE)
    assert run.state is RunState.COMPLETED
    assert time.monotonic() - began < DEADLINE
    log = tmp_path / "home" / "runs" / ".worker.log"
    errors = Path(f"/proc/{Worker.shared(log.parent).owner.pid}/fd/2")
    if errors.parent.exists():
        assert errors.readlink() == log
    Worker.close_shared()
    assert not log.exists()


def test_waiting_for_a_worker_that_has_gone_takes_its_time(fresh: None, tmp_path: Path) -> None:
    """Nothing spins on a pipe whose writer has died."""
    worker = Worker.shared(tmp_path)
    psutil.Process(worker.owner.pid).kill()
    while worker.is_alive:
        time.sleep(0.01)
    began = time.monotonic()
    worker.wait_for_report(0.2)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("arguments", "backend", "starts"),
    [
        (["train"], "process", True),
        (["--quiet", "sweep", "--solver", "fast"], "process", True),
        (["train"], "in-process", False),
        (["train", "--help"], "process", False),
        (["train", "--explain"], "process", False),
        (["runs", "list"], "process", False),
        ([], "process", False),
    ],
)
def test_what_starts_it(
    arguments: list[str], backend: str, starts: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A command that trains in processes of this machine starts it, and no other one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNISTKIT_COMPUTE", backend)
    start_ahead(arguments)
    ahead = worker_start.taken_ahead()
    assert (ahead is not None) == starts
    if ahead is not None:
        ahead.process.kill()
        ahead.process.communicate()
        ahead.errors.close()


def test_a_wrong_command_line_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ends before it trains ends the process as well, and has written nothing."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", "process")
    monkeypatch.setenv("MNISTKIT_TEST_MARK", str(tmp_path))
    program = [sys.executable, "-c", "from mnistkit.cli import main; main()", "train", "--bogus"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
    assert not [each.pid for each in psutil.process_iter() if _mark_of(each) == str(tmp_path)]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("MNISTKIT_TEST_MARK") if process.pid != os.getpid() else None
    except psutil.Error:
        return None
