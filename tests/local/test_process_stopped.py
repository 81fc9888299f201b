"""Processes that are stopped (SIGSTOP), one by one or all of them: timeouts and cancellations work, and runs end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mnistkit.data.folders import FolderSource
from mnistkit.errors import RunTimeoutError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support import submitters

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes as Linux shows them")

DEADLINE_SECONDS = 60.0
TIMEOUT_SECONDS = 2.0
FROZEN_SECONDS = 1.5


@pytest.fixture
def backend(tmp_path: Path) -> ProcessCompute:
    """The backend under test."""
    return ProcessCompute(tmp_path / "home", parallel=2, grace=0.5)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that says that it has begun, and ends after a while."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "import sys, time\nprint('begun', flush=True)\nend = time.monotonic() + float(sys.argv[1])\n"
        "while time.monotonic() < end: time.sleep(0.02)\nprint('ended', flush=True)\n"
    )
    return folder


def await_log(run: Run, text: str) -> None:
    """Wait until a run's log holds a text."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while text not in run.logs():
        assert time.monotonic() < deadline, run.refresh()
        time.sleep(0.02)


def supervisor(run: Run) -> psutil.Process:
    """The process that watches over a run."""
    record = json.loads((Path(run.record.url) / "record.json").read_text())
    return psutil.Process(record["owner"]["pid"])


def dispatcher(run: Run) -> psutil.Process:
    """The process that the supervisors are forked from."""
    assert Worker._shared is not None
    return psutil.Process(Worker._shared._process.pid)


def job(run: Run) -> psutil.Process:
    """The process of the script."""
    (child,) = supervisor(run).children()
    return child


STOPPED: dict[str, tuple[Callable[[Run], psutil.Process], ...]] = {
    "job": (job,),
    "supervisor": (supervisor,),
    "dispatcher": (dispatcher,),
    "all three": (dispatcher, supervisor, job),
}


@pytest.fixture(params=STOPPED)
def stop(request: pytest.FixtureRequest) -> Callable[[Run], None]:
    """Stop one of the processes of a run, or all of them, at once."""

    def stop(run: Run) -> None:
        for process in [find(run) for find in STOPPED[request.param]]:
            process.suspend()

    return stop


def test_a_timeout_ends_what_is_stopped(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, stop: Callable[[Run], None]
) -> None:
    """Whatever is stopped, a run that is late fails by its timeout."""
    late = ScriptJob(str(script), arguments=("600",), timeout=TIMEOUT_SECONDS)
    run = Run(backend, backend.submit(late, tiny_mnist))
    await_log(run, "begun")
    stop(run)
    assert run.wait(DEADLINE_SECONDS).state is RunState.FAILED
    assert run.record.attempts[-1].cause == "timeout"


@pytest.mark.parametrize("is_another_process", [False, True])
def test_a_cancellation_ends_what_is_stopped(
    backend: ProcessCompute,
    tiny_mnist: DataSource,
    script: Path,
    stop: Callable[[Run], None],
    is_another_process: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is stopped, a run that is canceled ends, also if another process cancels it."""
    run = Run(backend, backend.submit(ScriptJob(str(script), arguments=("600",)), tiny_mnist))
    await_log(run, "begun")
    stop(run)
    if is_another_process:  # one that has no dispatcher of its own, and so wakes none
        mine = Worker._shared
        monkeypatch.setattr(Worker, "_shared", None)
        other = Run(ProcessCompute(Path(run.record.url).parents[1]), run.record)
        other.cancel()
        assert other.wait(DEADLINE_SECONDS).state is RunState.CANCELED
        monkeypatch.setattr(Worker, "_shared", mine)
        return
    run.cancel()
    assert run.wait(DEADLINE_SECONDS).state is RunState.CANCELED


def frozen(root: psutil.Process) -> list[psutil.Process]:
    """Stop a process with all that descends from it, and return them once all are: some continue others meanwhile."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        processes = [root, *root.children(recursive=True)]
        if all(process.status() == psutil.STATUS_STOPPED for process in processes):
            return processes
        assert time.monotonic() < deadline
        for process in processes:
            process.suspend()


def test_a_freeze_and_thaw_of_everything_is_survived(tmp_path: Path, tiny_mnist: FolderSource, script: Path) -> None:
    """As when a laptop sleeps: the program, its dispatcher, the supervisor and the job stand still, and then go on."""
    program = submitters.start("leave", tmp_path / "home", tiny_mnist, script, "1.0")
    try:
        assert program.stdout is not None
        run_id = program.stdout.readline().strip()
        backend = ProcessCompute(tmp_path / "home")
        run = Run(backend, backend.get(run_id))
        await_log(run, "begun")
        processes = frozen(psutil.Process(program.pid))
        assert len(processes) == 4
        time.sleep(FROZEN_SECONDS)
        assert not run.refresh().state.is_terminal
        with pytest.raises(RunTimeoutError):
            run.wait(0.1)
        for process in processes:
            process.resume()
        out, err = program.communicate(timeout=DEADLINE_SECONDS)
        assert (program.returncode, out, err) == (0, "", "")
        assert run.refresh().state is RunState.COMPLETED
        assert run.logs() == "begun\nended\n"
    finally:
        program.kill()
        program.communicate()


def test_a_run_that_was_frozen_past_its_timeout_ends(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path
) -> None:
    """A timeout counts by the system's monotonic clock, which runs on while processes are stopped."""
    late = ScriptJob(str(script), arguments=("600",), timeout=TIMEOUT_SECONDS)
    run = Run(backend, backend.submit(late, tiny_mnist))
    await_log(run, "begun")
    processes = [find(run) for find in STOPPED["all three"]]
    for process in processes:
        process.suspend()
    time.sleep(TIMEOUT_SECONDS)
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)
    assert run.wait(DEADLINE_SECONDS).state is RunState.FAILED
    assert run.record.attempts[-1].cause == "timeout"
