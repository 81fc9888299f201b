"""The disk fills at each step of a run: the run ends, or the call raises, and nothing waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from mnistkit.data.folders import DigitsSource
from mnistkit.data.source import DataSource
from mnistkit.errors import StorageError
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.run import Run
from support.small_disks import FILL, fill, small_disk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")

DEADLINE_SECONDS = 90.0
STEPS = {
    "running": "fill(home)\n",
    "log": "fill(home, 65536)\nfor n in range(100_000): print('x' * 100)\n",
    "metrics": (
        "fill(home, 65536)\nfrom mnistkit import get_context\nfor n in range(10_000): get_context().log('x', n)\n"
    ),
    "outputs": "os.makedirs('outputs')\nfill('outputs')\n",
    "end": "fill(home)\nraise SystemExit(3)\n",
    "killed": "fill(home)\nos.kill(os.getpid(), 9)\n",
}


@frozen
class _FillingSource(DataSource):
    """Fills the disk of the runs while the data is fetched: in the state Preparing."""

    home: Path

    @property
    def uri(self) -> str:
        return "filling"

    def fetch(self, into: Path) -> Path:
        fill(self.home)
        return DigitsSource().fetch(into)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home on a small disk."""
    with small_disk(tmp_path / "small", 2 << 20) as folder:
        yield folder


@pytest.fixture(params=[ProcessCompute, InProcessCompute])
def backend(request: pytest.FixtureRequest, home: Path) -> FolderBackend:
    """Each backend that keeps run folders on this machine."""
    made: FolderBackend = request.param(home)
    return made


def _job(tmp_path: Path, home: Path, code: str) -> ScriptJob:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text(f"{FILL}home = {str(home)!r}\n{code}")
    return ScriptJob(source_directory=str(tmp_path / "code"), entry_script="main.py")


def _check_end(backend: FolderBackend, run: Run, home: Path) -> None:
    """The waiting program sees the end with its reason; with room again the record can be read, ended, and deleted."""
    run = run.wait(DEADLINE_SECONDS)
    assert run.state.is_terminal
    assert run.record.error or str(run.state) == "Completed"
    for path in home.rglob("fill"):
        path.unlink()
    end = time.monotonic() + DEADLINE_SECONDS
    store = RunStore(home / "runs")
    while not store.read(run.id).state.is_terminal:
        assert time.monotonic() < end
        if isinstance(backend, InProcessCompute):  # at the latest at the end of the program
            backend._finish()
        time.sleep(0.1)
    backend.delete_run(run.id)
    again = Run(backend, backend.submit(run.record.job, DigitsSource()))
    assert again.wait(DEADLINE_SECONDS).state.is_terminal


@pytest.mark.parametrize("step", STEPS)
def test_the_disk_fills_while_a_script_runs(backend: FolderBackend, tmp_path: Path, home: Path, step: str) -> None:
    """While it runs, logs, writes outputs, or at its end, good or bad."""
    job = _job(tmp_path, home, STEPS[step])
    _check_end(backend, Run(backend, backend.submit(job, DigitsSource())), home)


def test_the_disk_fills_while_the_data_comes(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """Before anything of the run has started."""
    job = _job(tmp_path, home, "pass\n")
    _check_end(backend, Run(backend, backend.submit(job, _FillingSource(home))), home)


def test_the_disk_is_full_at_submission(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """The call raises, and leaves no half of a run behind."""
    job = _job(tmp_path, home, "pass\n")
    fill(home)
    with pytest.raises(StorageError, match=r"[Rr]oom|writable"):
        backend.submit(job, DigitsSource())
    assert not backend.runs()


def test_no_room_for_the_copy_of_the_script(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """The run is Failed, or the call raises and leaves no run."""
    job = _job(tmp_path, home, "#" * (1 << 20))
    fill(home, 65536)
    try:
        record = backend.submit(job, DigitsSource())
    except StorageError:
        assert not backend.runs()
    else:
        assert record.state.is_terminal
        assert "No space" in (record.error or "")


@pytest.mark.parametrize("left", [8192, 16384, 32768])
def test_the_command_line_ends(tmp_path: Path, home: Path, left: int) -> None:
    """``mnistkit train`` with little room ends with an error that says so."""
    fill(home, left)
    command = [sys.executable, "-m", "mnistkit", "-q", "train", "--data", "digits"]
    environment = {"MNISTKIT_HOME": str(home), "MNISTKIT_COMPUTE": "process"}
    ended = subprocess.run(
        command,
        env=_with(environment),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode
    assert "No space left" in ended.stderr


def _with(variables: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **variables}
