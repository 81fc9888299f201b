"""Runs on a cluster whose workers, scheduler or clients are lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mnistkit.dask import DaskCompute
from mnistkit.errors import ServiceError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support.dask_clusters import DaskCluster, dask_cluster
from support.subprocesses import python_path

DEADLINE = 60.0
COUNTS = (
    "import os, sys, time\nfrom mnistkit import get_context\n"
    "for i in range(int(float(sys.argv[1]) * 20)):\n"
    "    print('line', i, os.getpid(), flush=True)\n    get_context().log('i', i)\n    time.sleep(0.05)\n"
)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder with a script that writes a line and a metric 20 times a second, for so many seconds."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(COUNTS)
    return folder


def until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def pid_in(log: str) -> int:
    """The process that wrote the last line of a log."""
    return int(log.splitlines()[-1].split()[-1])


def test_no_worker_is_a_reason(tmp_path: Path, script: Path, tiny_mnist: DataSource) -> None:
    """A run that no worker has room for is Queued, and says what it waits for; canceled, it ends at once."""
    with dask_cluster(tmp_path / "cluster", workers=0) as empty:
        backend = DaskCompute(tmp_path / "home", address=empty.address)
        runs = [Run(backend, backend.submit(ScriptJob(str(script), arguments=(0.1,)), tiny_mnist)) for _ in range(2)]
        until(lambda: "has none" in runs[0].refresh().record.waits_for)
        assert runs[0].state is RunState.QUEUED
        assert "Waits for" in runs[0].record.describe().facts
        runs[0].cancel()
        assert runs[0].state is RunState.CANCELED
        empty.add_worker()
        assert runs[1].wait(DEADLINE).state is RunState.COMPLETED, runs[1].error
        assert runs[1].record.waits_for == ""
        backend.close()


SUBMITTER = (
    "import sys, time\nfrom pathlib import Path\nfrom mnistkit.dask import DaskCompute\n"
    "from mnistkit.data import FolderSource\nfrom mnistkit.jobs import ScriptJob\n"
    "home, address, data, script, seconds, detach = sys.argv[1:]\n"
    "backend = DaskCompute(home, address=address)\n"
    "job = ScriptJob(script, arguments=(seconds,))\n"
    "print(backend.submit(job, FolderSource(Path(data)), detach=detach == 'True').id, flush=True)\n"
    "time.sleep(600)\n"
)


def submitted_elsewhere(
    tmp_path: Path, cluster: DaskCluster, script: Path, source: DataSource, *, seconds: float, detach: bool
) -> tuple[subprocess.Popen[str], str]:
    """A program that submitted a run, and the run's id."""
    data = source.fetch(tmp_path / "data")
    arguments = [tmp_path / "home", cluster.address, data, script, seconds, detach]
    program = subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    assert program.stdout is not None
    with program.stdout as stream:
        return program, stream.readline().strip()


def test_a_dead_program_s_detached_run_is_collected(
    tmp_path: Path, cluster: DaskCluster, script: Path, tiny_mnist: DataSource
) -> None:
    """A detached run outlives the program that submitted it, and any later client of the home collects it."""
    program, run_id = submitted_elsewhere(tmp_path, cluster, script, tiny_mnist, seconds=1.5, detach=True)
    program.kill()
    program.wait()
    later = [DaskCompute(tmp_path / "home", address=cluster.address) for _ in range(2)]
    runs = [Run(backend, backend.get(run_id)) for backend in later]
    until(lambda: "line 3" in runs[0].logs())
    assert runs[1].logs().startswith("line 0")
    assert runs[0].wait(DEADLINE).state is RunState.COMPLETED, runs[0].error
    assert runs[1].refresh().record == runs[0].record
    assert len(runs[1].logs().splitlines()) == 30
    for backend in later:
        backend.close()


def test_a_dead_program_s_run_ends(tmp_path: Path, cluster: DaskCluster, script: Path, tiny_mnist: DataSource) -> None:
    """A run that wasn't detached ends with the program that submitted it, and is Failed for every later client."""
    program, run_id = submitted_elsewhere(tmp_path, cluster, script, tiny_mnist, seconds=120, detach=False)
    later = DaskCompute(tmp_path / "home", address=cluster.address)
    live = tmp_path / "home" / "runs" / ".dask" / run_id / "metrics.jsonl"
    until(live.exists)
    assert later.get(run_id).state is RunState.RUNNING  # as its program wrote
    assert later.get(run_id).metrics["i"] >= 0
    workers = [psutil.Process(worker.pid) for worker in cluster.alive]
    assert any("train.py" in " ".join(child.cmdline()) for w in workers for child in w.children(recursive=True))
    program.kill()
    program.wait()
    assert later.get(run_id).state is RunState.FAILED
    until(
        lambda: (
            not any(
                "train.py" in " ".join(child.cmdline())
                for worker in workers
                for child in worker.children(recursive=True)
            )
        )
    )
    later.close()


@pytest.mark.parametrize("detach", [False, True])
def test_another_program_cancels(
    tmp_path: Path, cluster: DaskCluster, script: Path, tiny_mnist: DataSource, detach: bool
) -> None:
    """A run can be canceled by another program of the same home, detached or not."""
    program, run_id = submitted_elsewhere(tmp_path, cluster, script, tiny_mnist, seconds=120, detach=detach)
    later = DaskCompute(tmp_path / "home", address=cluster.address)
    run = Run(later, later.get(run_id))
    until(lambda: run.refresh().state is RunState.RUNNING)
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED
    program.kill()
    program.wait()
    later.close()


def test_a_lost_scheduler(tmp_path: Path, script: Path, tiny_mnist: DataSource) -> None:
    """When the scheduler is gone, records stay readable, a new submission is a typed error, and the run is Failed."""
    with dask_cluster(tmp_path / "cluster", workers=1) as fragile:
        backend = DaskCompute(tmp_path / "home", address=fragile.address)
        run = Run(backend, backend.submit(ScriptJob(str(script), arguments=(120,)), tiny_mnist))
        until(lambda: "line 3" in run.logs() and "i" in run.refresh().metrics)
        pid = pid_in(run.logs())
        fragile.kill(fragile.scheduler)
        assert run.refresh().metrics["i"] >= 0
        later = DaskCompute(tmp_path / "home", address=fragile.address)
        assert later.get(run.id).state is RunState.RUNNING
        with pytest.raises(ServiceError, match=fragile.address):
            later.submit(ScriptJob(str(script)), tiny_mnist)
        assert len(later.runs()) == 1
        assert run.wait(DEADLINE).state is RunState.FAILED
        assert fragile.address in (run.error or "")
        until(lambda: not psutil.pid_exists(pid))


def test_a_scheduler_that_was_started_again(tmp_path: Path, script: Path, tiny_mnist: DataSource) -> None:
    """A detached run is Failed once its scheduler has been started again, as that has lost it."""
    with dask_cluster(tmp_path / "cluster", workers=1) as first:
        backend = DaskCompute(tmp_path / "home", address=first.address)
        run_id = backend.submit(ScriptJob(str(script), arguments=(120,)), tiny_mnist, detach=True).id
        until(lambda: backend.get(run_id).state is RunState.RUNNING)
        first.kill(first.scheduler)
    port = int(first.address.rpartition(":")[2])
    with dask_cluster(tmp_path / "again", workers=0, port=port) as second:
        later = DaskCompute(tmp_path / "home", address=second.address)
        record = later.get(run_id)
        assert record.state is RunState.FAILED
        assert "started again" in (record.error or "")
        later.close()


def test_clocks_may_differ(tmp_path: Path, script: Path, tiny_mnist: DataSource) -> None:
    """A worker whose clock is minutes off records times of the submitter's clock, in order."""
    with dask_cluster(tmp_path / "cluster", workers=0) as fragile:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            "import datetime, time\n_time = time.time\n"
            "time.time = lambda: _time() + 600\n"
            "class _Shifted(datetime.datetime):\n"
            "    @classmethod\n    def now(cls, tz=None):\n"
            "        return datetime.datetime.fromtimestamp(_time() + 600, tz)\n"
            "datetime.datetime, _datetime = _Shifted, datetime.datetime\n"
        )
        fragile.add_worker({"PYTHONPATH": f"{folder}{os.pathsep}{python_path()}"})
        backend = DaskCompute(tmp_path / "home", address=fragile.address)
        before = time.time()
        run = Run(backend, backend.submit(ScriptJob(str(script), arguments=(0.2,)), tiny_mnist)).wait(DEADLINE)
        assert run.state is RunState.COMPLETED, run.error
        times = [t.at.timestamp() for t in run.record.transitions] + [time.time()]
        assert times == sorted(times)
        assert all(before - 1 < each < time.time() + 1 for each in times)
        assert all(before - 1 < point.time.timestamp() < time.time() + 1 for point in run.record.points)
        backend.close()


def test_other_versions_are_refused(tmp_path: Path, script: Path, tiny_mnist: DataSource) -> None:
    """A worker with another scikit-learn fails a run before it starts; ``versions="any"`` runs it and records them."""
    other = tmp_path / "other" / "scikit_learn-0.1.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 0.1.0\n")
    with dask_cluster(tmp_path / "cluster", workers=0) as fragile:
        fragile.add_worker({"PYTHONPATH": f"{other.parent}{os.pathsep}{python_path()}"})
        backend = DaskCompute(tmp_path / "home", address=fragile.address)
        run = Run(backend, backend.submit(ScriptJob(str(script), arguments=(0.1,)), tiny_mnist)).wait(DEADLINE)
        assert run.state is RunState.FAILED
        assert "scikit-learn 0.1.0" in (run.error or "")
        assert run.record.started_at is None
        backend.close()
        backend = DaskCompute(tmp_path / "home", address=fragile.address, versions="any")
        run = Run(backend, backend.submit(ScriptJob(str(script), arguments=(0.1,)), tiny_mnist)).wait(DEADLINE)
        assert run.state is RunState.COMPLETED, run.error
        assert run.record.versions["scikit-learn"] == "0.1.0"
        backend.close()


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_workers_are_killed_at_random(tmp_path: Path, script: Path, tiny_mnist: DataSource, kills: int) -> None:
    """Whenever workers are killed, each run ends once, none is lost or counted twice, and no process is left."""
    chosen = random.Random(0)
    with dask_cluster(tmp_path / "cluster") as fragile:
        backend = DaskCompute(tmp_path / "home", address=fragile.address)
        ended: dict[str, object] = {}
        for number in range(kills):
            jobs = [ScriptJob(str(script), arguments=(0.3,), retries=n) for n in (0, 1, 2)]
            runs = [Run(backend, backend.submit(job, tiny_mnist)) for job in jobs]
            time.sleep(chosen.uniform(0, 2.5))
            fragile.kill(chosen.choice(fragile.alive))
            fragile.add_worker()
            for run in runs:
                record = run.wait(DEADLINE).record
                assert record.state in {RunState.COMPLETED, RunState.FAILED}, number
                lost = [attempt for attempt in record.attempts if attempt.cause == "killed"]
                assert len(lost) <= 1
                assert record.state is RunState.COMPLETED or (lost and not record.job.retries), record.error
                lines = [line for line in run.logs().splitlines() if line.startswith("line")]
                assert len(lines) == len(set(lines))
                ended[run.id] = record
        assert {record.id: record for record in backend.runs()} == ended
        assert list((tmp_path / "home" / "runs" / ".dask").iterdir()) == []
        backend.close()
    marker = str(tmp_path)
    left = [p for p in psutil.process_iter(["cmdline"]) if marker in " ".join(p.info["cmdline"] or [])]
    assert left == []


def test_ctrl_c_cancels(tmp_path: Path, cluster: DaskCluster, script: Path, tiny_mnist: DataSource) -> None:
    """A program that is interrupted while it waits for its runs at its end cancels them."""
    data = tiny_mnist.fetch(tmp_path / "data")
    arguments = [tmp_path / "home", cluster.address, data, script, 120, False]
    program = subprocess.Popen(
        [sys.executable, "-c", SUBMITTER.replace("time.sleep(600)\n", ""), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    assert program.stdout is not None
    with program.stdout as stream:
        run_id = stream.readline().strip()
    record = tmp_path / "home" / "runs" / ".dask" / run_id / "metrics.jsonl"
    until(record.exists)
    program.send_signal(signal.SIGINT)
    program.wait(DEADLINE)
    states = json.loads((tmp_path / "home" / "runs" / run_id / "record.json").read_text())["transitions"]
    assert states[-1]["state"] == "Canceled"
