"""The disk fills at each step of a run: the run ends, or the call raises, and nothing waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from mnistkit.data.folders import DigitsSource
from mnistkit.data.source import DataSource
from mnistkit.errors import StorageError
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.run import Run
from support.small_disks import FILL, fill, make_read_only, small_disk

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
    "tag": "fill(home)\nfrom mnistkit import get_context\nget_context().tag('a', 'b' * 5000)\n",
    "image": "fill(home)\nimport numpy as np\nfrom mnistkit import get_context\n"
    "get_context().log_confusion_matrix('x', np.eye(2), ['a', 'b'])\n",
}


@frozen
class _FillingSource(DataSource):
    """Fills the disk of the runs while the data is fetched: in the state Preparing."""

    home: Path
    left: int = 0

    @property
    def uri(self) -> str:
        return "filling"

    def fetch(self, into: Path) -> Path:
        fill(self.home, self.left)
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


def _job(tmp_path: Path, home: Path, code: str, **options: Any) -> ScriptJob:
    (tmp_path / "code").mkdir(parents=True)
    (tmp_path / "code" / "main.py").write_text(f"{FILL}home = {str(home)!r}\n{code}")
    return ScriptJob(source_directory=str(tmp_path / "code"), entry_script="main.py", **options)


def _check_end(backend: FolderBackend, run: Run, home: Path) -> None:
    """The waiting program sees the end with its reason; with room again the record can be read, ended, and deleted."""
    run = run.wait(DEADLINE_SECONDS)
    assert run.state.is_terminal
    assert run.record.error or str(run.state) in {"Completed", "Canceled"}
    for path in home.rglob("fill*"):
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


@pytest.mark.parametrize("left", [0, 4096, 8192, 16384, 65536])
def test_the_disk_fills_while_a_model_is_trained(backend: FolderBackend, home: Path, left: int) -> None:
    """At whatever step the rest of the disk is used up: a state, the log, a metric, the evaluation, the model."""
    job = TrainingJob(model=ModelSpec("sklearn.linear_model.SGDClassifier", {"max_iter": 2, "tol": None}))
    run = Run(backend, backend.submit(job, _FillingSource(home, left)))
    _check_end(backend, run, home)


def test_the_disk_fills_between_attempts(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """A run that would be tried again ends."""
    job = _job(tmp_path, home, "fill(home)\nraise SystemExit(3)\n", retries=2)
    _check_end(backend, Run(backend, backend.submit(job, DigitsSource())), home)


def test_a_canceled_run_ends_on_a_full_disk(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """The request takes no room, or the call raises and can be repeated."""
    code = "import time\nif not os.path.exists(home + '/begun'):\n    fill(home)\n"
    job = _job(tmp_path, home, f"{code}    open(home + '/begun', 'w').close()\n    time.sleep(60)\n")
    run = Run(backend, backend.submit(job, DigitsSource()))
    while not (home / "begun").exists():
        time.sleep(0.02)
    try:
        run.cancel()
    except StorageError:
        (home / "fill").unlink()
        run.cancel()
    _check_end(backend, run, home)


@pytest.mark.parametrize("kind", [ProcessCompute, InProcessCompute])
def test_no_room_for_another_file(kind: type[FolderBackend], tmp_path: Path) -> None:
    """A quota of files that is used up in mid-run, with bytes to spare."""
    with small_disk(tmp_path / "few", 2 << 20, files=60) as home:
        backend = kind(home)  # type: ignore[call-arg]
        job = _job(tmp_path, home, "for n in range(100): open(f'{home}/fill{n}', 'w').close()\n")
        _check_end(backend, Run(backend, backend.submit(job, DigitsSource())), home)


def test_a_home_that_can_only_be_read(backend: FolderBackend, tmp_path: Path, home: Path) -> None:
    """What is there is listed and shown; submitting and deleting raise an error that says so."""
    run = Run(backend, backend.submit(_job(tmp_path, home, "print(1)\n"), DigitsSource())).wait(DEADLINE_SECONDS)
    log = run.logs()
    Worker.close_shared()  # its own log lies there, open for writing
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            make_read_only(home)
            break
        except subprocess.CalledProcessError:  # it is ending
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert [record.id for record in backend.runs()] == [run.id]
    assert backend.logs(run.id) == log
    for change in (lambda: backend.submit(run.record.job, DigitsSource()), lambda: backend.delete_run(run.id)):
        with pytest.raises(StorageError, match=r"[Rr]ead-only|Permission denied"):
            change()
    assert backend.get(run.id).state.is_terminal


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
