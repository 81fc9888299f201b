"""The in-process backend: the contract, and what is its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from mnistkit.errors import RunNotFoundError, RunStateError, StorageError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.context import get_context
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run

LOGISTIC = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"max_iter": 20}))
DEADLINE = 60.0


class Scripted(ClassifierMixin, BaseEstimator):
    """A classifier whose fit does what the test says."""

    gate = threading.Event()
    active = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, does: str = "nothing") -> None:
        self.does = does

    def fit(self, X: Any, y: Any) -> Scripted:
        """Do it."""
        self.classes_ = np.unique(y)
        getattr(self, f"_{self.does}")()
        return self

    def predict(self, X: Any) -> Any:
        """Say 0."""
        return np.zeros(len(X), dtype=int)

    def _nothing(self) -> None: ...

    def _wait(self) -> None:
        assert Scripted.gate.wait(DEADLINE)

    def _count(self) -> None:
        with Scripted.lock:
            Scripted.active += 1
            Scripted.most = max(Scripted.most, Scripted.active)
        time.sleep(0.05)
        with Scripted.lock:
            Scripted.active -= 1

    def _talk(self) -> None:
        print("printed in", threading.current_thread().name)
        print("complained", file=sys.stderr)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a warning in training", stacklevel=1)

    def _log(self) -> None:
        get_context().log("from inside", 5)

    def _loop(self) -> None:
        while not get_context().should_stop:
            time.sleep(0.01)

    def _exit(self) -> None:
        raise SystemExit("leaving")


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcessCompute:
    """A backend without runs, two at a time."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    Scripted.gate.clear()
    Scripted.active = Scripted.most = 0
    return InProcessCompute(tmp_path / "home", parallel=2)


def scripted(does: str) -> TrainingJob:
    """A job that does something special in its fit."""
    return TrainingJob(model=ModelSpec.from_estimator(Scripted(does)))


def start(backend: InProcessCompute, job: Any, source: DataSource) -> Run:
    """Submit."""
    return Run(backend, backend.submit(job, source))


def wait_for(run: Run, state: RunState) -> None:
    """Wait until the run is in a state."""
    end = time.monotonic() + DEADLINE
    while run.refresh().state is not state:
        assert time.monotonic() < end, f"still {run.state}"
        assert not run.state.is_terminal, run.error
        time.sleep(0.005)


def test_submit_doesnt_wait(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """`submit` returns while the job runs."""
    run = start(backend, scripted("wait"), tiny_mnist)
    wait_for(run, RunState.RUNNING)
    Scripted.gate.set()
    assert run.wait(DEADLINE).state is RunState.COMPLETED


def test_so_many_at_a_time(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """No more than ``parallel`` runs are active; all complete."""
    runs = [start(backend, scripted("count"), tiny_mnist) for _ in range(8)]
    assert {run.wait(DEADLINE).state for run in runs} == {RunState.COMPLETED}
    assert Scripted.most == 2


def test_a_queued_run_is_canceled_at_once(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """Cancelling what waits in the queue ends it before `cancel` returns; it never runs, and the others go on."""
    running = [start(backend, scripted("wait"), tiny_mnist) for _ in range(2)]
    queued = start(backend, scripted("nothing"), tiny_mnist)
    later = start(backend, scripted("nothing"), tiny_mnist)
    queued.cancel()
    assert queued.state is RunState.CANCELED
    assert queued.record.started_at is None
    Scripted.gate.set()
    assert {run.wait(DEADLINE).state for run in [*running, later]} == {RunState.COMPLETED}
    assert queued.refresh().state is RunState.CANCELED


def test_a_cooperative_fit_stops(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """A fit that looks at ``should_stop`` ends soon; the run is CancelRequested in between and Canceled then."""
    run = start(backend, scripted("loop"), tiny_mnist)
    wait_for(run, RunState.RUNNING)
    run.cancel()
    assert run.state in {RunState.CANCEL_REQUESTED, RunState.CANCELED}
    assert run.wait(DEADLINE).state is RunState.CANCELED
    assert "outputs/model.skops" not in run.files


def test_each_run_has_its_own_log(
    backend: InProcessCompute, tiny_mnist: DataSource, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a run prints, warns and logs is in its own log, with the program's output left alone."""
    runs = [start(backend, scripted("talk"), tiny_mnist) for _ in range(4)]
    print("from the program")
    for run in runs:
        run.wait(DEADLINE)
        log = run.logs()
        assert f"printed in {run.id}" in log
        assert log.count("printed in") == 1
        assert "complained" in log
        assert "a warning in training" in log
        assert "fitting Scripted(does='talk')" in log
    assert capsys.readouterr() == ("from the program\n", "")


def test_standard_streams_are_given_back(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """After the runs, sys.stdout and sys.stderr are what they were."""
    before = sys.stdout, sys.stderr
    start(backend, scripted("talk"), tiny_mnist).wait(DEADLINE)
    end = time.monotonic() + DEADLINE
    while (sys.stdout, sys.stderr) != before:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_context_reaches_the_fit(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """`get_context` inside a fit is the run's."""
    run = start(backend, scripted("log"), tiny_mnist).wait(DEADLINE)
    assert run.metrics["from inside"] == 5


def test_exiting_in_a_fit_is_a_failed_run(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """SystemExit in training doesn't end the program, but the run."""
    run = start(backend, scripted("exit"), tiny_mnist).wait(DEADLINE)
    assert run.state is RunState.FAILED
    assert run.error == "SystemExit: leaving"
    assert "Traceback" in run.logs()


def test_records_outlive_the_process(backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """Another process lists, reads and downloads earlier runs."""
    run = start(backend, LOGISTIC, tiny_mnist).wait(DEADLINE)
    code = (
        "import sys\nfrom pathlib import Path\nfrom mnistkit.local.threads import InProcessCompute\n"
        "backend = InProcessCompute(sys.argv[1])\n[record] = backend.runs()\n"
        "path = backend.download(record.id, 'outputs/model.skops', Path(sys.argv[2]))\n"
        "print(record.id, record.state, record.metrics['accuracy'], path.stat().st_size > 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home"), str(tmp_path / "copy")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [run.id, "Completed", str(run.metrics["accuracy"]), "True"]


SUBMITS = """
import sys, time
from mnistkit.interfaces import DataSource
from mnistkit.jobs import ScriptJob
from mnistkit.local.threads import InProcessCompute
from mnistkit.data.folders import DigitsSource
backend = InProcessCompute(sys.argv[1], parallel=1)
for _ in range(2):
    print(backend.submit(ScriptJob(sys.argv[2]), DigitsSource()).id, flush=True)
{then}
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_run_whose_process_died_is_failed(tmp_path: Path) -> None:
    """After a kill -9 its running and queued runs are Failed and say so; one asked to stop is Canceled."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(30)\n")
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-c", SUBMITS.format(then="time.sleep(600)"), str(home), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        running, queued = (process.stdout.readline().strip() for _ in range(2))
        backend = InProcessCompute(home)
        wait_for(Run(backend, backend.get(running)), RunState.RUNNING)
        assert backend.get(queued).state is RunState.QUEUED
        backend.cancel(queued)
        assert backend.get(queued).state is RunState.CANCEL_REQUESTED
        process.send_signal(signal.SIGKILL)
    record = backend.get(running)
    assert record.state is RunState.FAILED
    assert record.error is not None
    assert f"pid {process.pid}" in record.error
    assert backend.get(queued).state is RunState.CANCELED
    kill_script(home, running)


def kill_script(home: Path, run_id: str) -> None:
    """End the script that the killed process left behind."""
    import psutil

    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] and process.info["cwd"].startswith(str(home / "runs" / run_id)):
            process.kill()
            process.wait(10)


def test_a_program_waits_for_its_runs(tmp_path: Path) -> None:
    """A program that ends right after `submit` first waits for what it submitted, queued runs included."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text("import time\ntime.sleep(0.3)\n")
    home = tmp_path / "home"
    subprocess.run(
        [sys.executable, "-c", SUBMITS.format(then=""), str(home), str(folder)], check=True, timeout=DEADLINE
    )
    assert [record.state for record in InProcessCompute(home).runs()] == [RunState.COMPLETED] * 2


def test_a_script_sees_no_secrets(
    backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script gets an allow-listed environment, and what its job sets."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-1")
    monkeypatch.setenv("PASSWORD", "canary-2")
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text("import os\nprint(dict(os.environ))\n")
    job = ScriptJob(str(folder), environment=Environment(variables={"MINE": "seen"}))
    run = start(backend, job, tiny_mnist).wait(DEADLINE)
    assert "'MINE': 'seen'" in run.logs()
    for path in (tmp_path / "home").rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path


def test_a_home_inside_the_scripts_folder(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """Runs that are kept inside the script's own folder aren't copied into themselves."""
    (tmp_path / "train.py").write_text("print('fine')\n")
    backend = InProcessCompute(tmp_path / "kept-here")
    for _ in range(2):
        run = start(backend, ScriptJob(str(tmp_path), "train.py", (DATA_FOLDER,)), tiny_mnist).wait(DEADLINE)
        assert run.state is RunState.COMPLETED, run.error
        assert not (tmp_path / "kept-here" / "runs" / run.id / "code" / "kept-here" / "runs").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_only_regular_outputs_are_collected(backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """Links, hard links and pipes among a script's outputs are left behind, and nothing hangs."""
    (tmp_path / "secret").write_text("canary")
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "import os, sys\nos.mkdir('outputs')\nopen('outputs/ok.txt', 'w').write('ok')\n"
        f"os.symlink({str(tmp_path / 'secret')!r}, 'outputs/link')\nos.symlink('/etc', 'outputs/rootlink')\n"
        f"os.link({str(tmp_path / 'secret')!r}, 'outputs/hard')\nos.mkfifo('outputs/fifo')\n"
    )
    run = start(backend, ScriptJob(str(folder)), tiny_mnist).wait(DEADLINE)
    assert [file for file in run.files if file.startswith("outputs/")] == ["outputs/ok.txt"]


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_stubborn_script_is_killed(
    backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that ignores the polite request, with a child of its own, is killed with its group."""
    monkeypatch.setattr("mnistkit.runs.folder.scripts._GRACE_SECONDS", 0.2)
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    run = start(backend, ScriptJob(str(folder)), tiny_mnist)
    end = time.monotonic() + DEADLINE
    while not run.logs().strip():
        assert time.monotonic() < end
        time.sleep(0.02)
    child = int(run.logs())
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED
    import psutil

    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_unreadable_record_doesnt_hide_the_others(
    backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken record is left out of the listing, with a warning that names it."""
    good, bad = (start(backend, LOGISTIC, tiny_mnist).wait(DEADLINE) for _ in range(2))
    (tmp_path / "home" / "runs" / bad.id / "record.json").write_text("{")
    assert [record.id for record in backend.runs()] == [good.id]
    assert bad.id in caplog.text


def test_only_ended_runs_can_be_deleted(backend: InProcessCompute, tiny_mnist: DataSource) -> None:
    """Deleting removes the folder of a run that has ended, and refuses one that hasn't."""
    run = start(backend, scripted("wait"), tiny_mnist)
    with pytest.raises(RunStateError, match="cancel it"):
        backend.delete_run(run.id)
    Scripted.gate.set()
    run.wait(DEADLINE)
    backend.delete_run(run.id)
    with pytest.raises(RunNotFoundError):
        backend.get(run.id)
    assert backend.runs() == ()


def test_a_home_that_cant_be_written(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """A home that can't be written is an error that names the path and the variable that moves it."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file.*MNISTKIT_HOME"):
        InProcessCompute(tmp_path / "file").submit(LOGISTIC, tiny_mnist)
    with pytest.raises(UsageError, match="parallel=0"):
        InProcessCompute(tmp_path, parallel=0)


def test_a_full_disk_takes_no_run(tmp_path: Path, tiny_mnist: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a new run, submit says so with the folder and what to do, and leaves nothing."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StorageError, match=r"runs: No space left on device\. Make room .*MNISTKIT_HOME"):
            InProcessCompute(tmp_path).submit(LOGISTIC, tiny_mnist)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_folder_is_readable_without_mnistkit(
    backend: InProcessCompute, tiny_mnist: DataSource, tmp_path: Path
) -> None:
    """The files of a run are the documented ones, as plain JSON."""
    run = start(backend, LOGISTIC, tiny_mnist).wait(DEADLINE)
    folder = tmp_path / "home" / "runs" / run.id
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "job.json",
        "record.json",
        "metrics.jsonl",
        "logs/std_log.txt",
        "outputs/evaluation.json",
        "outputs/input.json",
        "outputs/model.skops",
        "outputs/probe.npz",
    }
    record = json.loads((folder / "record.json").read_text())
    assert [each["state"] for each in record["transitions"]][-1] == "Completed"
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"name", "value", "step", "time"} == metrics[0].keys()
