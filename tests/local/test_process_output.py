"""Jobs in processes of their own that write more than anybody wants to read: nothing blocks, and nothing grows."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support.naive_process import NaiveProcessCompute

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux shows it")

DEADLINE = 60.0
MIB = 1 << 20
CAP = 64 * MIB + 1024
LINES = (
    "import sys\nwrite = sys.stdout.buffer.write\nline = b'x' * 1023 + b'\\n'\n"
    "for _ in range({} << 10):\n    write(line)\n"
)
ONE_LINE = (
    "import sys\nwrite = sys.stdout.buffer.write\nfor _ in range({}):\n    write(b'y' * (1 << 20))\nwrite(b'\\n')\n"
)


@pytest.fixture
def backend(tmp_path: Path) -> ProcessCompute:
    """The backend under test, warm."""
    backend = ProcessCompute(tmp_path / "home", parallel=2, grace=0.5)
    backend.start()
    return backend


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder for a script."""
    folder = tmp_path / "script"
    folder.mkdir()
    return folder


def submitted(backend: ComputeBackend, script: Path, text: str, source: DataSource, **options: Any) -> Run:
    """Submit a script."""
    (script / "train.py").write_text(text)
    return Run(backend, backend.submit(ScriptJob(str(script), **options), source))


@contextlib.contextmanager
def growth_watched() -> Iterator[list[float]]:
    """Gets, at its end, by how many MiB the worker or one of its direct children has grown at most."""
    assert Worker._shared is not None
    worker = psutil.Process(Worker._shared.owner.pid)
    first: dict[int, int] = {}
    growth: list[float] = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            for process in (worker, *worker.children()):
                with contextlib.suppress(psutil.Error, OSError, TypeError):  # it has ended
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    size = int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10
                    growth[0] = max(growth[0], (size - first.setdefault(process.pid, size)) / MIB)
            watched.set()

    watched = threading.Event()
    thread = threading.Thread(target=sample)
    thread.start()
    watched.wait(10)
    try:
        yield growth
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(LINES.format(80), "bytes were left out here", id="80 MB"),
        pytest.param(ONE_LINE.format(64), "bytes of this line were dropped", id="a line of 64 MB"),
        pytest.param(LINES.format(1024), "bytes were left out here", id="1 GB", marks=pytest.mark.slow),
        pytest.param(
            ONE_LINE.format(200), "bytes of this line were dropped", id="a line of 200 MB", marks=pytest.mark.slow
        ),
    ],
)
def test_a_flood_is_capped(backend: ProcessCompute, tiny_mnist: DataSource, script: Path, text: str, told: str) -> None:
    """However much a job writes, it completes; its log is at most 64 MiB and 1 KiB; nothing here grows by 16 MB."""
    submitted(backend, script, "pass\n", tiny_mnist).wait(DEADLINE)  # the worker has imported what it needs
    with growth_watched() as growth:
        run = submitted(backend, script, text + "print('the end')\n", tiny_mnist)
        assert run.wait(300).state is RunState.COMPLETED, run.error
    log = Path(run.record.url, "logs", "std_log.txt")
    assert log.stat().st_size <= CAP
    text = run.logs()
    assert told in text
    assert text.endswith("the end\n")
    assert growth[0] < 16


def test_the_twin_is_blocked_by_a_full_pipe(tmp_path: Path, tiny_mnist: DataSource, script: Path) -> None:
    """The twin's job waits for ever for somebody to read what it wrote."""
    twin = NaiveProcessCompute(tmp_path / "naive")
    run = submitted(twin, script, "print('x' * 200_000)\n", tiny_mnist)
    time.sleep(2)
    assert run.refresh().state is RunState.RUNNING
    twin.processes[run.id].kill()
    twin.processes[run.id].communicate()


def test_a_million_empty_lines(backend: ProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """Empty lines are lines: all are kept."""
    run = submitted(backend, script, "print('\\n' * 999_999)\n", tiny_mnist)
    assert run.wait(DEADLINE).state is RunState.COMPLETED, run.error
    assert run.logs().count("\n") == 1_000_000


@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_an_endless_flood_ends(backend: ProcessCompute, tiny_mnist: DataSource, script: Path, way: str) -> None:
    """A job that writes without end, also when asked to end, is ended in time all the same."""
    text = (
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(2):\n    os.fork()\nwhile True:\n    os.write(1, b'flood\\n' * 10_000)\n"
    )
    run = submitted(backend, script, text, tiny_mnist, timeout=0.5 if way == "timeout" else None)
    if way == "cancel":
        while "flood" not in run.logs():
            time.sleep(0.05)
        run.cancel()
    state = run.wait(DEADLINE).state
    assert state is (RunState.FAILED if way == "timeout" else RunState.CANCELED)
    [attempt] = run.record.attempts
    assert (attempt.ended_at - attempt.started_at).total_seconds() < DEADLINE / 2


def test_closing_the_output_early(backend: ProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """A job that closes its output goes on to its end, and nobody is kept busy meanwhile."""
    text = "import os, time\nprint('before', flush=True)\nos.close(1)\nos.close(2)\ntime.sleep(1)\nopen('done', 'w')\n"
    run = submitted(backend, script, text, tiny_mnist)
    assert run.wait(DEADLINE).state is RunState.COMPLETED, run.error
    assert run.logs() == "before\n"
    assert Path(run.record.url, "code", "done").exists()
    [attempt] = run.record.attempts
    assert (attempt.ended_at - attempt.started_at).total_seconds() >= 1


def test_somebody_else_holds_the_output(backend: ProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """A process in the background that holds a job's output neither keeps the run from ending nor outlives it."""
    text = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid)\n"
    )
    run = submitted(backend, script, text, tiny_mnist)
    assert run.wait(DEADLINE).state is RunState.COMPLETED, run.error
    assert not psutil.pid_exists(int(run.logs()))
