"""Following runs from another terminal than the one that submitted them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.trainer import Trainer

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE = 120


@pytest.fixture
def script_run(tmp_path: Path) -> Callable[[str], Run]:
    """Submit a script of so many lines as a run."""

    def submit(text: str) -> Run:
        folder = tmp_path / "script"
        folder.mkdir()
        (folder / "train.py").write_text(text, encoding="utf-8")
        return Trainer.local(data="digits", experiment="scripts").submit(ScriptJob(folder))

    return submit


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that `gated_run` waits for."""
    return tmp_path / "gate"


@pytest.fixture
def gated_run(script_run: Callable[[str], Run], gate: Path) -> Iterator[Run]:
    """A run that says "begun", goes on until the gate is there, and says "ended"."""
    run = script_run(
        f"import time, pathlib\nprint('begun', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)\nprint('ended')\n"
    )
    while "begun" not in run.logs():
        assert not run.refresh().state.is_terminal
    yield run
    run.cancel()
    run.wait(DEADLINE)


def test_logs_are_followed_from_another_process(start: Start, gated_run: Run, gate: Path) -> None:
    """A follower gets lines as they are written, all of them once, and ends with the run."""
    process = start("runs", "logs", "-f", gated_run.id)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    gate.touch()
    out, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, "ended\n")


def test_waiting_ends_with_the_run(start: Start, gated_run: Run, gate: Path) -> None:
    """Another process waits for a run, prints its state when it has completed, and exits with 0."""
    process = start("runs", "wait", gated_run.id)
    assert process.stderr is not None
    assert process.stderr.readline() == f"Run {gated_run.id} is Running.\n"
    gate.touch()
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, f"{gated_run.id}\tCompleted\n")
    assert err.splitlines()[-1].startswith(f"Run {gated_run.id} is Completed after ")


def test_canceling_ends_a_wait_elsewhere(start: Start, mnistkit: Program, gated_run: Run) -> None:
    """A run that is canceled ends the wait of another process, with exit code 1."""
    process = start("runs", "wait", "latest")
    assert process.stderr is not None
    process.stderr.readline()
    mnistkit("runs", "cancel", gated_run.id)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (1, f"{gated_run.id}\tCanceled\n")
    assert f"Error: Run {gated_run.id} is Canceled" in err


def test_waiting_for_a_failed_run_says_why(mnistkit: Program, failed_run: str) -> None:
    """A run that failed exits with 1, its error, and where its log is."""
    outcome = mnistkit("runs", "wait", failed_run, code=1)
    assert outcome.out == f"{failed_run}\tFailed\n"
    assert "ValueError" in outcome.err
    assert f"mnistkit runs logs {failed_run}" in outcome.err


def test_waiting_has_a_deadline(mnistkit: Program, gated_run: Run) -> None:
    """--timeout ends the wait, not the run."""
    assert "it keeps running" in mnistkit("runs", "wait", gated_run.id, "--timeout", 0.2, code=1).err
    assert gated_run.refresh().state is RunState.RUNNING


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
@pytest.mark.parametrize("verb", [("wait",), ("logs", "-f")])
def test_interrupting_leaves_the_run(start: Start, gated_run: Run, verb: tuple[str, ...]) -> None:
    """Ctrl-C exits with 130 and says once how to cancel; the run goes on."""
    process = start("runs", *verb, gated_run.id)
    assert process.stdout is not None
    assert process.stderr is not None
    (process.stderr if verb == ("wait",) else process.stdout).readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert (
        err
        == f"Interrupted: the run keeps running in the background. Stop it with: mnistkit runs cancel {gated_run.id}\n"
    )
    assert gated_run.refresh().state is RunState.RUNNING


def test_show_has_a_time_for_each_state(mnistkit: Program, trained: Trainer) -> None:
    """The states of a run have how long it was in each; JSON has the phases and attempts."""
    (run,) = trained.runs()
    out = mnistkit("runs", "show", "latest").out
    section = out[out.index("States:\n") :].splitlines()[2:]  # below the headings
    for line, phase in zip(section, run.record.phases, strict=False):
        assert line.startswith(f"  {phase.state}  ")
        assert line.endswith(" s")
    found = mnistkit("runs", "show", "latest", "--json").json
    assert [phase["state"] for phase in found["phases"]] == [str(phase.state) for phase in run.record.phases]
    assert sum(phase["seconds"] for phase in found["phases"]) > 0


def test_a_training_without_a_terminal_has_lines(mnistkit: Program) -> None:
    """`train` with its output in files tells each state, the last with the accuracy."""
    lines = mnistkit("train", "--data", "digits", "--no-register").err.splitlines()
    [submitted] = [line for line in lines if line.startswith("Submitted run ")]
    run_id = submitted.removeprefix("Submitted run ").rstrip(".")
    assert lines.index(submitted) < lines.index(f"Run {run_id} is Running.") < len(lines) - 1
    assert lines[-1].startswith(f"Run {run_id} is Completed")
    assert "accuracy 0." in lines[-1]
