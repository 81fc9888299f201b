"""``mnistkit runs report`` and ``sweep --report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Program = Callable[..., Any]


def test_a_run_is_written_as_a_page(mnistkit: Program, trained: Any) -> None:
    """The file's name is printed; by default it is that of the run."""
    [run] = trained.runs()
    assert mnistkit("runs", "report", "latest").out == f"report-{run.id}.html\n"
    assert run.id in Path(f"report-{run.id}.html").read_text(encoding="utf-8")
    assert mnistkit("runs", "report", run.id, "--out", "mine.html").out == "mine.html\n"
    assert Path("mine.html").is_file()


def test_a_failed_run_has_a_report(mnistkit: Program, failed_run: str) -> None:
    """A run that failed is reported on with exit code 0."""
    mnistkit("runs", "report", failed_run, "--out", "failed.html")
    assert "Failed" in Path("failed.html").read_text(encoding="utf-8")


def test_what_is_not_there_fails(mnistkit: Program, trained: Any) -> None:
    """A run, or a folder to write into, that isn't there is a failure that is named."""
    assert "no run 'nope'" in mnistkit("runs", "report", "nope", code=1).err
    assert "nowhere" in mnistkit("runs", "report", "latest", "--out", "nowhere/a.html", code=1).err


def test_a_sweep_writes_its_report(mnistkit: Program) -> None:
    """With --report the page is written; a file that can't be is refused before anything is trained."""
    sweep = ("sweep", "--data", "digits", "--regularization", "1,10", "--no-register")
    assert "sweep.html" in mnistkit(*sweep, "--report", "sweep.html").err
    assert "All runs" in Path("sweep.html").read_text(encoding="utf-8")
    assert "--report" in mnistkit(*sweep, "--report", "nowhere/sweep.html", code=2).err


def test_all_runs_are_written_as_one_page(mnistkit: Program, trained: Any, failed_run: str) -> None:
    """With --all there is a page of all runs, or of those that match; a run or --all must be named, not both."""
    (run,) = trained.runs("state == 'completed'")
    assert mnistkit("runs", "report", "--all").out == "report-runs.html\n"
    text = Path("report-runs.html").read_text(encoding="utf-8")
    assert run.id in text
    assert failed_run in text
    mnistkit("runs", "report", "--all", "--where", "accuracy > 0.5", "--out", "good.html")
    text = Path("good.html").read_text(encoding="utf-8")
    assert run.id in text
    assert failed_run not in text
    assert "write --all" in mnistkit("runs", "report", code=2).err
    assert "write --all" in mnistkit("runs", "report", "latest", "--all", code=2).err
    assert "add --all" in mnistkit("runs", "report", "latest", "--where", "accuracy > 1", code=2).err
