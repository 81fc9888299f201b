"""``mnistkit sweep``: resuming, the table as a file, failures, Ctrl-C."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE = 120
SWEEP = ("sweep", "--data", "digits", "--no-register", "--regularization")


def test_resuming_runs_what_is_missing(mnistkit: Program) -> None:
    """With --resume completed runs are taken over, in their places; without it all is run again."""
    first = mnistkit(*SWEEP, "0.5,5", "--json").json["runs"]
    outcome = mnistkit(*SWEEP, "5,50,0.5", "--resume", "--json")
    again = outcome.json["runs"]
    assert [again[0]["id"], again[2]["id"]] == [first[1]["id"], first[0]["id"]]
    assert again[1]["metrics"]["regularization rate"] == 50.0
    assert f"Reused run {first[0]['id']}, which had completed before." in outcome.err
    assert len(Trainer.local().runs()) == 3
    mnistkit(*SWEEP, "0.5", "--json")
    assert len(Trainer.local().runs()) == 4


def test_resuming_registers_no_run_twice(mnistkit: Program) -> None:
    """If the best run was there before and is registered, that version is named; another best one is registered."""
    sweep = ("sweep", "--data", "digits", "--solver", "lbfgs", "--limit", "100", "--name", "d", "--json")
    first = mnistkit(*sweep, "--regularization", "1").json
    again = mnistkit(*sweep, "--regularization", "1", "--resume").json
    assert (first["model"]["id"], again["model"]["id"]) == ("d:1", "d:1")
    assert again["run"]["id"] == first["run"]["id"]
    assert mnistkit(*sweep, "--regularization", "1", "--resume", "--no-register").json["model"] is None
    assert mnistkit(*sweep, "--regularization", "1").json["model"]["id"] == "d:2"


def test_the_table_goes_to_a_file(mnistkit: Program) -> None:
    """With --csv the table is written as well, a line per run."""
    outcome = mnistkit(*SWEEP, "0.5,5", "--csv", "s.csv")
    with Path("s.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["params.C"] for row in rows] == ["2.0", "0.2"]
    assert all(row["run"] in outcome.out for row in rows)
    assert "s.csv" in outcome.err


def test_a_table_that_cannot_be_written_is_refused_first(mnistkit: Program) -> None:
    """A folder that isn't there is an error before anything is trained."""
    assert "--csv" in mnistkit(*SWEEP, "0.5", "--csv", "nowhere/s.csv", code=2).err
    assert not Trainer.local().runs()


def test_failures_are_in_the_table(mnistkit: Program, one_class: str) -> None:
    """The rows of failed runs say why, on the screen and in the file; the exit code is 1."""
    outcome = mnistkit("sweep", "--data", one_class, "--regularization", "0.5,5", "--csv", "s.csv", code=1)
    _, first, second = outcome.out.splitlines()
    assert "Failed  ValueError" in first
    assert "Failed  ValueError" in second
    assert "No completed run has a finite 'accuracy'" in outcome.err
    assert Path("s.csv").read_text(encoding="utf-8").count("ValueError") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
def test_interrupting_says_how_to_go_on(start: Start, write_dataset: Callable[..., Path]) -> None:
    """Ctrl-C cancels what goes on, exits with 130 and names --resume."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
    folder = write_dataset(images, random.integers(0, 10, 20_000, dtype=np.uint8))
    process = start(
        "sweep", "--data", f"idx:{folder}", "--regularization", "1,2", "--solver", "saga", "--max-iter", "1000000",
        "--parallel", "1",
    )  # fmt: skip
    assert process.stderr is not None
    while "Submitted run" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    (run,) = Trainer.local().runs()
    assert f"canceled run {run.id}. The same command with --resume runs what is missing." in err
    assert run.state is RunState.CANCELED
