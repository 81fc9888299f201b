"""Jobs that crash, hang or leave processes behind: nothing is left of them, and the record says why."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support import misbehaving, submitters
from support.misbehaving import GENERATIONS, MARK, await_gone, await_marked, marked
from support.naive_process import NaiveProcessCompute

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes as Linux shows them")

DEADLINE = 60.0
LATE_SECONDS = 3.0
"""The timeout of jobs that are to be late: on a busy machine they need that long to start."""
GRACE = 0.5
SLACK = 2.0
MANY = [pytest.mark.slow, pytest.mark.timeout(1800)]
FEW_AND_MANY = [2, pytest.param(50, marks=MANY)]
KILLS = [(signal.SIGKILL, 2), (signal.SIGTERM, 1), pytest.param(signal.SIGKILL, 50, marks=MANY)]


@pytest.fixture
def backend(tmp_path: Path) -> ProcessCompute:
    """The backend under test."""
    return ProcessCompute(tmp_path / "home", parallel=2, grace=GRACE)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[NaiveProcessCompute]:
    """Its twin; what it leaves behind is cleaned up."""
    backend = NaiveProcessCompute(tmp_path / "naive")
    yield backend
    for process in backend.processes.values():
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def mark() -> Iterator[str]:
    """Marks the processes of one test, and ends those that the test couldn't."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder with a script whose argument says how it misbehaves."""
    folder = tmp_path / "script"
    folder.mkdir()
    shutil.copy(misbehaving.__file__, folder / "train.py")
    return folder


def submitted(backend: ComputeBackend, job: Job, source: DataSource) -> Run:
    """Submit it."""
    return Run(backend, backend.submit(job, source))


def a_job(script: Path, fault: str, mark: str = "", **options: Any) -> ScriptJob:
    """The script, misbehaving in one way, its processes marked."""
    return ScriptJob(str(script), arguments=(fault,), environment=Environment(variables={MARK: mark}), **options)


def recorded_states(run: Run) -> list[RunState]:
    """What ``record.json`` itself says, whoever reads it."""
    record = json.loads((Path(run.record.url) / "record.json").read_text())
    return [RunState(transition["state"]) for transition in record["transitions"]]


def ends_as(run: Run, state: RunState) -> None:
    """Wait for the end, and see that one terminal state was written down, the last."""
    assert run.wait(DEADLINE).state is state, run.error
    end = time.monotonic() + SLACK
    while not recorded_states(run)[-1].is_terminal and time.monotonic() < end:
        time.sleep(0.02)  # who watched over the run may have gone before it could write that
    assert [each for each in recorded_states(run) if each.is_terminal] == [state]


# Nothing is left


def cancel_generations(
    backend: ComputeBackend, source: DataSource, script: Path, mark: str, within: float = 20.0
) -> None:
    """Cancel a job of three generations."""
    run = submitted(backend, a_job(script, "generations", mark), source)
    await_marked(mark, GENERATIONS)
    run.cancel()
    await_gone(mark, within)
    ends_as(run, RunState.CANCELED)


def time_generations_out(
    backend: ComputeBackend, source: DataSource, script: Path, mark: str, within: float = 20.0
) -> None:
    """Let a job of three generations take too long."""
    run = submitted(backend, a_job(script, "generations", mark, timeout=LATE_SECONDS), source)
    await_marked(mark, GENERATIONS)
    await_gone(mark, LATE_SECONDS + within)
    ends_as(run, RunState.FAILED)


Scenario = Callable[..., None]


@pytest.mark.parametrize("times", FEW_AND_MANY)
@pytest.mark.parametrize("scenario", [cancel_generations, time_generations_out])
def test_nothing_is_left_of_three_generations(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, mark: str, scenario: Scenario, times: int
) -> None:
    """When a job is canceled or too late, all its processes end, also those that hide or ignore SIGTERM."""
    for _ in range(times):
        scenario(backend, tiny_mnist, script, mark)


@pytest.mark.parametrize("scenario", [cancel_generations, time_generations_out])
def test_the_twin_leaves_generations(
    twin: NaiveProcessCompute, tiny_mnist: DataSource, script: Path, mark: str, scenario: Scenario
) -> None:
    """The twin ends the first process alone."""
    with pytest.raises(AssertionError, match="4 processes are left"):
        scenario(twin, tiny_mnist, script, mark, within=1.0)


def test_processes_that_are_never_the_same_are_caught(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, mark: str
) -> None:
    """A job whose process goes on as another one, sooner than anybody can look, ends and leaves nothing."""
    for _ in range(5):
        run = submitted(backend, a_job(script, "fork-on", mark), source=tiny_mnist)
        assert run.wait(DEADLINE).state is RunState.COMPLETED
        assert not any(marked(mark) for _ in range(10))  # each look may miss it


@pytest.mark.parametrize(("number", "times"), KILLS)
def test_nothing_is_left_of_a_killed_program(
    tmp_path: Path, tiny_mnist: Any, script: Path, mark: str, number: signal.Signals, times: int
) -> None:
    """When the program that submitted is killed, its runs end with all their processes, and their records say so."""
    for n in range(times):
        home = tmp_path / f"home-{n}"
        with submitters.start("linger", home, tiny_mnist, script, "generations", **{MARK: mark}) as program:
            run_id = program.stdout.readline().strip()
            await_marked(mark, 1 + 2 + GENERATIONS)
            program.send_signal(number)
            await_gone(mark)
        backend = ProcessCompute(home)
        run = Run(backend, backend.get(run_id))
        ends_as(run, RunState.FAILED)
        assert run.error == "The program that it belonged to ended first."


@pytest.mark.parametrize("times", FEW_AND_MANY)
def test_nothing_is_left_of_an_interrupted_training(
    tmp_path: Path, tiny_mnist: Any, script: Path, mark: str, times: int
) -> None:
    """Ctrl-C in a blocking `train` ends all processes of the run, which is Canceled."""
    for n in range(times):
        home = tmp_path / f"home-{n}"
        with submitters.start("train", home, tiny_mnist, script, **{MARK: mark}) as program:
            await_marked(mark, 1 + 2 + GENERATIONS)
            program.send_signal(signal.SIGINT)
            await_gone(mark)
            assert "canceled" in program.stderr.read()
        backend = ProcessCompute(home)
        [record] = backend.runs()
        ends_as(Run(backend, record), RunState.CANCELED)


@pytest.mark.parametrize("times", FEW_AND_MANY)
@pytest.mark.parametrize("whom", ["worker", "supervisor"])
def test_nothing_is_left_when_our_own_processes_are_killed(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, mark: str, whom: str, times: int
) -> None:
    """When the worker or the process that watches over a run is killed, the job's processes end, and the run Failed."""
    for _ in range(times):
        run = submitted(backend, a_job(script, "generations", mark), tiny_mnist)
        await_marked(mark, GENERATIONS)
        (the_worker() if whom == "worker" else supervisor_of(run)).kill()
        await_gone(mark)
        ends_as(run, RunState.FAILED)
        assert re.search("ended first|ended before|was killed", run.error or "")


def test_a_killed_supervisor_harms_no_other_run(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, mark: str
) -> None:
    """What is cleaned up after one run are its processes, not those of the run beside it."""
    other = submitted(backend, a_job(script, "generations", f"{mark}-other", timeout=20), tiny_mnist)
    theirs = set(await_marked(f"{mark}-other", GENERATIONS))
    run = submitted(backend, a_job(script, "generations", mark), tiny_mnist)
    await_marked(mark, GENERATIONS)
    supervisor_of(run).kill()
    await_gone(mark)
    ends_as(run, RunState.FAILED)
    assert set(marked(f"{mark}-other")) == theirs
    other.cancel()
    ends_as(other, RunState.CANCELED)


def the_worker() -> psutil.Process:
    """The process that the jobs of this one are forked from."""
    assert Worker._shared is not None
    return psutil.Process(Worker._shared.owner.pid)


def supervisor_of(run: Run) -> psutil.Process:
    """The process that watches over a run."""
    record = json.loads(Path(run.record.url, "record.json").read_bytes())
    return psutil.Process(record["owner"]["pid"])


# What goes wrong is told

ENDS = [  # fault, error, cause, exit code, signal, what the log tells
    ("segfault", r"was killed by SIGSEGV\.$", "killed", None, "SIGSEGV", "last words"),
    ("abort", r"was killed by SIGABRT\.$", "killed", None, "SIGABRT", "last words"),
    ("exit", r"exited with code 3\.$", "error", 3, None, "last words"),
    ("system-exit", r"exited with code 1\.$|leaving in a hurry", "error", 1, None, "leaving in a hurry"),
    ("exhaust", r"exited with code 1\.$|MemoryError", "error", 1, None, "MemoryError"),
    ("spin", r"was not done after its timeout of 3 s", "timeout", None, None, "last words"),
    ("stop", r"was not done after its timeout of 3 s", "timeout", None, None, "last words"),
    ("kill", r"was killed by SIGKILL\..*probably out of memory", "killed", None, "SIGKILL", "last words"),
]
KINDS: dict[str, Callable[..., Job]] = {
    "script": a_job,
    "training": lambda script, fault, **options: TrainingJob(
        model=ModelSpec("support.misbehaving_classifiers.Faulty", {"fault": fault}), **options
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "error", "cause", "exit_code", "signal_name", "told"), ENDS, ids=lambda value: str(value)[:9]
)
def test_every_bad_end_is_told(
    tmp_path: Path,
    tiny_mnist: DataSource,
    script: Path,
    kind: str,
    fault: str,
    error: str,
    cause: str,
    exit_code: int | None,
    signal_name: str | None,
    told: str,
) -> None:
    """Whatever a job does, its run ends as Failed in time, and tells how: exit code, signal, the log's last lines."""
    backend = ProcessCompute(tmp_path / "home", grace=GRACE, memory_limit=64 << 30)
    timeout = LATE_SECONDS if cause == "timeout" else None
    run = submitted(backend, KINDS[kind](script, fault, timeout=timeout), tiny_mnist)
    ends_as(run, RunState.FAILED)
    assert re.search(error, run.error or ""), run.error
    [attempt] = run.record.attempts
    assert (attempt.cause, attempt.exit_code, attempt.signal) == (cause, exit_code, signal_name)
    assert attempt.error == run.error
    assert told in (run.record.traceback or "")
    assert "last words" in run.logs()
    if timeout:
        assert (attempt.ended_at - attempt.started_at).total_seconds() < timeout + SLACK
    assert not any(file.startswith("outputs/model") for file in run.files)


@pytest.mark.parametrize("fault", ["segfault", "stop"])
def test_the_twin_does_not_tell(twin: NaiveProcessCompute, tiny_mnist: DataSource, script: Path, fault: str) -> None:
    """The twin never ends a run that was killed by a signal, and can't end one that is stopped."""
    run = submitted(twin, a_job(script, fault, timeout=3 if fault == "stop" else None), tiny_mnist)
    process = twin.processes[run.id]
    if fault == "segfault":
        process.wait(DEADLINE)
    else:
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.02)
        time.sleep(3.5)
    time.sleep(0.1)
    assert not run.refresh().state.is_terminal


def test_only_the_last_lines_are_told(backend: ProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """A Failed run's traceback is at most the 100 last lines of its log."""
    (script / "train.py").write_text("for n in range(1000):\n    print('line', n)\nraise SystemExit(9)\n")
    run = submitted(backend, ScriptJob(str(script)), tiny_mnist).wait(DEADLINE)
    assert (run.record.traceback or "").splitlines() == [f"line {n}" for n in range(900, 1000)]


def test_exiting_cleanly_from_fit_is_no_success(backend: ProcessCompute, tiny_mnist: DataSource) -> None:
    """A training process that exits with 0 before the model is there has Failed."""
    model = ModelSpec("support.misbehaving_classifiers.Faulty", {"fault": "leave"})
    run = submitted(backend, TrainingJob(model=model), tiny_mnist)
    ends_as(run, RunState.FAILED)
    assert run.record.attempts[0].exit_code == 0


@pytest.mark.parametrize("state", ["timeout", "cancel"])
def test_leaving_politely_when_asked_to_end(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, state: str
) -> None:
    """A script that exits with 0 on SIGTERM was too late all the same, when it was; when canceled, it may complete."""
    (script / "train.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('begun', flush=True)\ntime.sleep(600)\n"
    )
    run = submitted(backend, ScriptJob(str(script), timeout=LATE_SECONDS if state == "timeout" else None), tiny_mnist)
    while state == "cancel" and "begun" not in run.logs():
        time.sleep(0.02)
    if state == "cancel":
        run.cancel()
        ends_as(run, RunState.COMPLETED)
    else:
        ends_as(run, RunState.FAILED)
        assert run.record.attempts[0].cause == "timeout"


def test_twenty_bad_ends_leak_nothing(backend: ProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """After 20 bad ends in a row neither this process nor the worker has more open files, children or zombies."""

    def use() -> tuple[int, int]:
        worker, deadline = the_worker(), time.monotonic() + DEADLINE
        while worker.children(recursive=True) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert worker.children(recursive=True) == []
        return psutil.Process().num_fds(), worker.num_fds()

    faults = ["segfault", "abort", "exit", "kill"]
    for fault in faults[:1]:
        submitted(backend, a_job(script, fault), tiny_mnist).wait(DEADLINE)
    before = settled(use)
    for n in range(20):
        fault = faults[n % len(faults)]
        run = submitted(backend, KINDS[["script", "training"][n % 2]](script, fault), tiny_mnist)
        assert run.wait(DEADLINE).state is RunState.FAILED
    assert settled(use) == before


def settled(measure: Callable[[], Any]) -> Any:
    """What is measured twice in a row, half a second apart."""
    last = None
    while (now := measure()) != last:
        last = now
        time.sleep(0.5)
    return now


# Cancelling at any moment


@pytest.mark.parametrize("times", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_canceling_at_any_moment_ends_once(backend: ProcessCompute, tiny_mnist: DataSource, times: int) -> None:
    """Whenever it is asked to stop, a run ends once: Completed, with its model, or Canceled, without one."""
    generator = random.Random(times)
    job = TrainingJob(model=ModelSpec("support.misbehaving_classifiers.Brief", {"seconds": 0.05}))
    for _ in range(2):  # the worker is there when the second one begins
        begun = time.monotonic()
        submitted(backend, job, tiny_mnist).wait(DEADLINE)
    seconds = time.monotonic() - begun
    states = []
    for _ in range(times):
        run = submitted(backend, job, tiny_mnist)
        time.sleep(generator.uniform(0, 1.3 * seconds))
        run.cancel()
        state = run.wait(DEADLINE).state
        assert state in {RunState.COMPLETED, RunState.CANCELED}
        ends_as(run, state)
        assert ("outputs/model.skops" in run.files) == (state is RunState.COMPLETED)
        record = run.record
        run.cancel()
        assert run.refresh().record == record
        states.append(state)
    assert len(set(states)) == 2, "the moments were all too early, or all too late"


def test_the_twin_ends_twice(twin: NaiveProcessCompute, tiny_mnist: DataSource, script: Path) -> None:
    """The twin writes a second terminal state when a job ends while it is canceled; or one overwrites the other."""
    (script / "train.py").write_text(
        "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(0))\nopen('begun', 'w')\nsignal.pause()\n"
    )
    assert any(_ends_twice(twin, submitted(twin, ScriptJob(str(script)), tiny_mnist)) for _ in range(10))


def _ends_twice(twin: NaiveProcessCompute, run: Run) -> bool:
    while not Path(run.record.url, "code", "begun").exists():
        time.sleep(0.02)
    run.cancel()
    twin.processes[run.id].wait(DEADLINE)
    end = time.monotonic() + SLACK
    while time.monotonic() < end:
        if len([state for state in recorded_states(run) if state.is_terminal]) > 1:
            return True
        time.sleep(0.02)
    return False


# Trouble beside a run


def test_a_vanished_run_harms_no_other(tmp_path: Path, tiny_mnist: DataSource, script: Path) -> None:
    """When somebody removes the folder of a queued run, the others go on."""
    backend = ProcessCompute(tmp_path / "home", parallel=1)
    (script / "train.py").write_text("import time\ntime.sleep(0.5)\n")
    runs = [submitted(backend, ScriptJob(str(script)), tiny_mnist) for _ in range(3)]
    shutil.rmtree(runs[1].record.url)
    ends_as(runs[0], RunState.COMPLETED)
    ends_as(runs[2], RunState.COMPLETED)


def test_a_running_runs_folder_may_vanish(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, mark: str
) -> None:
    """When somebody removes the folder of a running run, its processes end, and the next run completes."""
    run = submitted(backend, a_job(script, "generations", mark), tiny_mnist)
    await_marked(mark, GENERATIONS)
    shutil.rmtree(run.record.url)
    await_gone(mark)
    (script / "train.py").write_text("")
    ends_as(submitted(backend, ScriptJob(str(script)), tiny_mnist), RunState.COMPLETED)


def test_odd_outputs_are_left_alone(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, tmp_path: Path
) -> None:
    """Links, pipes and huge holes among a script's outputs neither hang it nor lead out of it, nor are they kept."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    (script / "train.py").write_text(
        "import os, sys\nos.makedirs('outputs/deep')\nopen('outputs/ok.txt', 'w').write('ok')\n"
        "secret = sys.argv[1]\nos.symlink(secret, 'outputs/link')\nos.link(secret, 'outputs/hard')\n"
        "os.mkfifo('outputs/fifo')\nos.symlink(os.path.dirname(secret), 'outputs/deep/up')\n"
        "open('outputs/hole', 'w').truncate(1 << 40)\n"
    )
    run = submitted(backend, ScriptJob(str(script), arguments=(str(secret),)), tiny_mnist)
    ends_as(run, RunState.COMPLETED)
    assert [file for file in run.files if file.startswith("outputs")] == ["outputs/ok.txt"]
    assert secret.read_text() == "a secret"


def test_outputs_that_lie_elsewhere_stay_there(
    backend: ProcessCompute, tiny_mnist: DataSource, script: Path, tmp_path: Path
) -> None:
    """A script whose ``outputs`` is a link to a folder of the user's takes nothing out of that."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("the user's")
    (script / "train.py").write_text("import os, sys\nos.symlink(sys.argv[1], 'outputs')\n")
    ends_as(submitted(backend, ScriptJob(str(script), arguments=(str(elsewhere),)), tiny_mnist), RunState.COMPLETED)
    assert (elsewhere / "precious.txt").read_text() == "the user's"
