"""Runs in processes of their own and the programs that submit them: queues, retries, detaching, Ctrl-C, environment."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit import Trainer
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support import submitters
from support.misbehaving import GENERATIONS, MARK, await_gone, await_marked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")

DEADLINE = 60.0
TICKING = """
import sys, time
for n in range(int(sys.argv[1])):
    print("tick", n, flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def backend(tmp_path: Path) -> ProcessCompute:
    """The backend under test."""
    return ProcessCompute(tmp_path / "home", parallel=2, grace=0.5)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder with a script that ticks, ten times a second, as often as its argument says."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(TICKING)
    return folder


def handle(home: Path, run_id: str) -> Run:
    """The run as another process sees it."""
    backend = ProcessCompute(home)
    return Run(backend, backend.get(run_id.strip()))


def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


# Retries


def flaky(tmp_path: Path, fault: str, times: int, **options: Any) -> TrainingJob:
    """A job that goes wrong so many times."""
    params = {"fault": fault, "times": times, "file": str(tmp_path / "tries")}
    return TrainingJob(model=ModelSpec("support.misbehaving_classifiers.Flaky", params), **options)


@pytest.mark.parametrize(("fault", "cause"), [("kill", "killed"), ("system-exit", "error")])
def test_a_third_attempt_completes(
    backend: ProcessCompute, tmp_path: Path, tiny_mnist: DataSource, fault: str, cause: str
) -> None:
    """A run that fails twice and then completes tells all three; its metrics and files are those of the last."""
    run = Run(backend, backend.submit(flaky(tmp_path, fault, 2, retries=2), tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert [attempt.cause for attempt in run.record.attempts] == [cause, cause, None]
    assert [point.value for point in run.series("tries")] == [3]
    assert "only in 1" not in run.metrics
    folder = Path(run.record.url)
    assert (folder / "outputs/try.txt").read_text() == "3"
    for n in (1, 2):
        assert (folder / f"attempts/{n}/outputs/try.txt").read_text() == str(n)
        assert f"only in {n}" in (folder / f"attempts/{n}/metrics.jsonl").read_text()
    assert [t.state for t in run.record.transitions].count(RunState.QUEUED) == 3
    assert "--- attempt 3 ---" in run.logs()


def test_a_retried_run_is_registered_once(backend: ProcessCompute, tmp_path: Path, tiny_mnist: DataSource) -> None:
    """However many attempts a run took, it makes one version."""
    models = FolderRegistry(tmp_path / "home")
    trainer = Trainer(data=tiny_mnist, compute=backend, models=models)
    run = trainer.submit(flaky(tmp_path, "kill", 1, retries=1))
    run.result(DEADLINE)
    trainer.register(run, "flaky")
    [version] = models.versions("flaky")
    assert version.metrics["tries"] == 2


@pytest.mark.parametrize(
    ("fault", "options", "causes"),
    [
        ("kill", {"retries": 1}, ["killed", "killed"]),
        ("kill", {"retries": 1, "retry_on": ("error",)}, ["killed"]),
        ("system-exit", {"retries": 1, "retry_on": ("killed",)}, ["error"]),
        ("spin", {"retries": 1, "timeout": 0.5}, ["timeout"]),
        ("spin", {"retries": 1, "timeout": 0.5, "retry_on": ("timeout",)}, ["timeout", "timeout"]),
        ("kill", {}, ["killed"]),
    ],
)
def test_only_what_the_job_says_is_repeated(
    backend: ProcessCompute,
    tmp_path: Path,
    tiny_mnist: DataSource,
    fault: str,
    options: dict[str, Any],
    causes: list[str],
) -> None:
    """Attempts are repeated for the causes in ``retry_on``, up to ``retries`` times; timeouts aren't by default."""
    run = Run(backend, backend.submit(flaky(tmp_path, fault, 9, **options), tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.FAILED
    assert [attempt.cause for attempt in run.record.attempts] == causes
    assert run.error == run.record.attempts[-1].error


def test_canceling_between_attempts(
    backend: ProcessCompute, tmp_path: Path, tiny_mnist: DataSource, script: Path
) -> None:
    """A run that is canceled while it is tried again and again ends as Canceled."""
    (script / "train.py").write_text("raise SystemExit(1)\n")
    run = Run(backend, backend.submit(ScriptJob(str(script), retries=10_000), tiny_mnist))
    until(lambda: len(run.refresh().record.attempts) > 2)
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED
    attempts = run.record.attempts
    time.sleep(0.3)
    assert run.refresh().record.attempts == attempts


# Queues


def test_one_at_a_time(tmp_path: Path, tiny_mnist: DataSource, script: Path) -> None:
    """With ``parallel=1`` the second run is Queued until the first has ended, and canceling it is immediate."""
    backend = ProcessCompute(tmp_path / "home", parallel=1)
    job = ScriptJob(str(script), arguments=(600,))
    first, second, third, fourth = (Run(backend, backend.submit(job, tiny_mnist)) for _ in range(4))
    until(lambda: "tick" in first.logs())
    assert second.refresh().state is RunState.QUEUED
    second.cancel()
    assert second.record.state is RunState.CANCELED
    other = handle(tmp_path / "home", third.id)
    other.cancel()
    assert other.record.state is RunState.CANCELED
    first.cancel()
    assert first.wait(DEADLINE).state is RunState.CANCELED
    until(lambda: "tick" in fourth.logs())
    fourth.cancel()
    assert fourth.wait(DEADLINE).state is RunState.CANCELED
    assert second.refresh().record.attempts == ()


# Programs that come and go


def test_a_program_waits_for_its_runs(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A program that comes to its end waits for what it submitted."""
    with submitters.start("leave", tmp_path / "home", tiny_mnist, script, "5") as program:
        run_id, errors = program.communicate(timeout=DEADLINE)
    assert errors == ""
    assert handle(tmp_path / "home", run_id).state is RunState.COMPLETED


def test_interrupting_a_program_that_waits_for_its_runs(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """Ctrl-C in a program that has come to its end and waits cancels its runs and says so, without a traceback."""
    with submitters.start("leave", tmp_path / "home", tiny_mnist, script, "6000") as program:
        assert program.stdout is not None
        run = handle(tmp_path / "home", program.stdout.readline())
        until(lambda: "tick" in run.logs())
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=DEADLINE)
    assert errors == f"Interrupted: canceled {run.id}.\n"
    assert run.wait(DEADLINE).state is RunState.CANCELED


def test_a_detached_run_outlives_its_program(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A program that detaches ends at once; others follow its run's log, wait for it, or cancel it."""
    with submitters.start("detach", tmp_path / "home", tiny_mnist, script, "30") as program:
        run_id, errors = program.communicate(timeout=DEADLINE)
    assert errors == ""
    run = handle(tmp_path / "home", run_id)
    assert not run.state.is_terminal
    assert "".join(run.logs(follow=True)).count("tick") == 30
    assert run.wait(DEADLINE).state is RunState.COMPLETED


def test_a_detached_run_can_be_canceled_by_others(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A run whose program has gone can be canceled by another."""
    with submitters.start("detach", tmp_path / "home", tiny_mnist, script, "6000") as program:
        run_id, _ = program.communicate(timeout=DEADLINE)
    run = handle(tmp_path / "home", run_id)
    until(lambda: "tick" in run.logs())
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_detached_runs_survive_the_death_of_their_program(
    tmp_path: Path, tiny_mnist: Any, script: Path, times: int
) -> None:
    """What was submitted with ``detach`` completes, even if its program is killed right after `submit` returned."""
    for n in range(times):
        home = tmp_path / f"home-{n}"
        with submitters.start("detach_and_die", home, tiny_mnist, script, "1") as program:
            output, _ = program.communicate(timeout=DEADLINE)
        assert program.returncode == -signal.SIGKILL
        run_ids = output.split()
        assert len(run_ids) == 5
        for run_id in run_ids:
            assert handle(home, run_id).wait(DEADLINE).state is RunState.COMPLETED


def test_a_killed_program_that_was_fetching(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A program that is killed while it fetches the data for a detached run leaves a Failed run, and no process."""
    mark = tmp_path.name
    with submitters.start("fetch_for_ever", tmp_path / "home", tiny_mnist, script, **{MARK: mark}) as program:
        until(lambda: ProcessCompute(tmp_path / "home").runs())
        program.kill()
        await_gone(mark, DEADLINE)
    [record] = ProcessCompute(tmp_path / "home").runs()
    assert handle(tmp_path / "home", record.id).wait(DEADLINE).state is RunState.FAILED


# Ctrl-C


def test_a_second_interruption_ends_the_program(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A second Ctrl-C while the first one is canceling ends the program at once, and nothing is left."""
    mark = tmp_path.name
    with submitters.start("train", tmp_path / "home", tiny_mnist, script, **{MARK: mark}) as program:
        await_marked(mark, 1 + 2 + GENERATIONS)
        program.send_signal(signal.SIGINT)
        time.sleep(0.05)
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=DEADLINE)
        seconds = time.monotonic() - begun
        await_gone(mark)
    print(f"{seconds:.2f} s")
    assert "atexit" not in errors
    assert seconds < DEADLINE / 4  # a fraction of a second on a quiet machine
    [record] = ProcessCompute(tmp_path / "home").runs()
    assert handle(tmp_path / "home", record.id).wait(DEADLINE).state is RunState.CANCELED


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_interrupting_who_follows(tmp_path: Path, tiny_mnist: Any, script: Path, times: int) -> None:
    """Ctrl-C in ``logs(follow=True)`` leaves the run going, however often; it can be followed and waited for again."""
    with submitters.start("follow", tmp_path / "home", tiny_mnist, script, "6000", str(times)) as program:
        run_id = program.stdout.readline()
        for _ in range(times):
            while program.stdout.readline() != "following\n":
                assert program.poll() is None
            time.sleep(0.1)  # until it waits for more
            program.send_signal(signal.SIGINT)
            while (line := program.stdout.readline()) != "interrupted\n":
                assert line == "following\n"
        states = program.stdout.read().split()
        errors = program.stderr.read()
    assert states == ["Running", "Canceled"]
    assert 0 < errors.count(f"mnistkit runs cancel {run_id.strip()}") <= times


# Environment


def test_a_job_sees_the_environment_of_its_program(tmp_path: Path, tiny_mnist: Any, script: Path) -> None:
    """A job sees what it needs of the environment as it was when it was submitted: no secrets, nothing of ours."""
    (script / "train.py").write_text(
        "import json, os, time\nos.mkdir('outputs')\n"
        "json.dump(dict(os.environ), open('outputs/environment.json', 'w'))\n"
        "time.sleep(1)\n"
    )
    path = str(Path(submitters.__file__).parents[1])
    secrets = {"AZURE_CLIENT_SECRET": "a secret", "SOME_TOKEN": "another"}
    with submitters.start(
        "show_environment", tmp_path / "home", tiny_mnist, script, MKL_NUM_THREADS="1", MNISTKIT_MINE="mine", **secrets
    ) as program:
        output, errors = program.communicate(timeout=DEADLINE)
    assert errors == ""
    alone, *together = [
        json.loads((tmp_path / "home/runs" / run_id / "outputs/environment.json").read_text())
        for run_id in output.split()
    ]
    for seen in (alone, *together):
        assert not secrets.keys() & seen.keys()
        assert seen["PYTHONPATH"] == path
        assert seen["MNISTKIT_MINE"] == "mine"
        assert {"PATH", "HOME"} <= seen.keys()
        assert seen["MKL_NUM_THREADS"] == "1"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert alone["OMP_NUM_THREADS"] == str(cores)
    assert [seen["OMP_NUM_THREADS"] for seen in together][-1] == str(max(cores // 2, 1))
    assert "MNISTKIT_LATER" not in alone
    assert [seen["MNISTKIT_LATER"] for seen in together] == ["set after the first submit"] * 2
