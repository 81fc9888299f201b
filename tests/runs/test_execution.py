"""Existing run folders are carried out, with limits."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from mnistkit.data.fetching import DataFolder
from mnistkit.data.source import DataSource
from mnistkit.errors import RunNotFoundError
from mnistkit.jobs.job import DATA_FOLDER, Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.folder.child import Limits
from mnistkit.runs.folder.execution import carry_out
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.packing import pack, unpack
from mnistkit.runs.folder.snapshot import snapshot
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

LIMITS = Limits(grace=0.5)
TREE = ModelSpec("sklearn.tree.DecisionTreeClassifier", {"max_depth": 3})


@pytest.fixture
def data(tiny_mnist: DataSource, tmp_path: Path) -> DataFolder:
    """Data on this machine."""
    return DataFolder(str(tiny_mnist.fetch(tmp_path / "data")), tiny_mnist.uri, owned=False)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Where the run folders were sent to."""
    return RunStore(tmp_path / "node" / "runs")


def sent(store: RunStore, tmp_path: Path, job: Job) -> str:
    """A run that was made somewhere else and sent here; its folder there has an owner elsewhere."""
    there = RunStore(tmp_path / "client" / "runs")
    run_id = there.create(job, "digits", Owner.elsewhere())
    if isinstance(job, ScriptJob):
        snapshot(job, there.folder(run_id))
    unpack(pack(there.folder(run_id)), store.ensured() / run_id)
    return run_id


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder for a script."""
    folder = tmp_path / "script"
    folder.mkdir()
    return folder


def test_training_and_scripts_are_carried_out(store: RunStore, data: DataFolder, script: Path, tmp_path: Path) -> None:
    """A run that was sent completes here, and its record names the versions of the libraries that ran it."""
    (script / "train.py").write_text("import sys\nprint(sys.argv[1])\n")
    training = sent(store, tmp_path, TrainingJob(model=TREE))
    (record,) = carry_out(store, [training], data, LIMITS)
    assert record.state is RunState.COMPLETED, record.error
    assert "outputs/model.skops" in record.files
    assert "scikit-learn" in record.versions
    (record,) = carry_out(
        store, [sent(store, tmp_path, ScriptJob(str(script), arguments=(DATA_FOLDER,)))], data, LIMITS
    )
    assert record.state is RunState.COMPLETED, record.error
    assert store.read_log(record.id, 0) == f"{data.path}\n"


def test_attempts_and_timeouts_are_kept(store: RunStore, data: DataFolder, script: Path, tmp_path: Path) -> None:
    """A job's timeout and retries hold as on any backend."""
    (script / "train.py").write_text("import time\ntime.sleep(600)\n")
    run_id = sent(store, tmp_path, ScriptJob(str(script), timeout=0.5, retries=1, retry_on=("timeout",)))
    (record,) = carry_out(store, [run_id], data, LIMITS)
    assert record.state is RunState.FAILED
    assert [attempt.cause for attempt in record.attempts] == ["timeout", "timeout"]


def test_a_run_can_be_canceled(store: RunStore, data: DataFolder, script: Path, tmp_path: Path) -> None:
    """A request for the end of a run that is carried out in another thread ends it."""
    (script / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run_id = sent(store, tmp_path, ScriptJob(str(script)))
    thread = threading.Thread(target=carry_out, args=(store, [run_id], data, LIMITS))
    thread.start()
    deadline = time.monotonic() + 60
    while "begun" not in store.read_log(run_id, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    store.request_cancel(run_id)
    thread.join(60)
    assert store.read(run_id).state is RunState.CANCELED


def test_memory_is_limited(store: RunStore, data: DataFolder, script: Path, tmp_path: Path) -> None:
    """A job that takes more memory than it may fails by a MemoryError, and nothing else does."""
    (script / "train.py").write_text("len(bytearray(4 << 30))\n")
    run_id = sent(store, tmp_path, ScriptJob(str(script)))
    (record,) = carry_out(store, [run_id], data, Limits(grace=0.5, memory=1 << 30))
    assert record.state is RunState.FAILED
    assert "MemoryError" in store.read_log(run_id, 0)


def test_an_exception_ends_the_run(store: RunStore, data: DataFolder, script: Path, tmp_path: Path) -> None:
    """What the caller's function raises ends the run, with all that it started, and is raised."""
    (script / "train.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    run_id = sent(store, tmp_path, ScriptJob(str(script), retries=2))

    def stop() -> None:
        if "\n" in store.read_log(run_id, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(store, [run_id], data, LIMITS, on_poll=stop)
    record = store.read(run_id)
    assert record.state is RunState.FAILED
    assert "ended first" in (record.error or "")
    assert not Path(f"/proc/{int(store.read_log(run_id, 0))}").exists()


def test_a_run_that_isnt_there(store: RunStore, data: DataFolder) -> None:
    """An unknown run is refused before anything starts."""
    with pytest.raises(RunNotFoundError):
        carry_out(store, ["20000101-000000-ffffff"], data, LIMITS)
