"""Tags and notes that a run gets afterwards, in its folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mnistkit.errors import DataFormatError, StorageError, UsageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.reports.data import masked
from mnistkit.runs.annotations import ANNOTATIONS_FILE
from mnistkit.runs.context import FolderContext
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.run import Run
from support.stub_backend import Paper

JOB = TrainingJob(model=ModelSpec("sklearn.naive_bayes.GaussianNB"), tags={"purpose": "demo"})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """An empty store."""
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store: RunStore, tmp_path: Path) -> Run:
    """A run that is Queued, owned by this process."""
    backend = InProcessCompute(tmp_path)
    return Run(backend, backend.get(store.create(JOB, "digits")))


def test_tags_win_over_those_of_the_job_and_of_the_run(run: Run) -> None:
    """A tag that is set afterwards replaces the job's and the run's own, also if the run sets its own later."""
    folder = FolderContext(Path(run.record.url))
    folder.tag("stage", "first")
    run.tag("stage", "by hand")
    run.tag("purpose", None)
    run.tag("folds", 5)  # type: ignore[arg-type]  # as in a run
    folder.tag("stage", "second")
    assert run.refresh().record.tags == {"stage": "by hand", "folds": "5"}


def test_an_attempt_that_is_set_aside_keeps_them(store: RunStore, run: Run) -> None:
    """Another attempt begins without the run's own tags, but with those that were set by hand."""
    FolderContext(Path(run.record.url)).tag("own", "yes")
    run.tag("by hand", "yes")
    run.note("looks odd")
    store.set_attempt_aside(run.id, 1)
    record = run.refresh().record
    assert (record.tags, record.note) == ({"purpose": "demo", "by hand": "yes"}, "looks odd")


def test_torn_and_strange_lines_are_left_out(run: Run) -> None:
    """What isn't a line of ours changes nothing; a line that was cut off doesn't damage the next one."""
    path = Path(run.record.url) / ANNOTATIONS_FILE
    lines = [{"tags": ["a"]}, {"tags": {"n": 1}}, {"note": 5}, {"tags": {"good": "yes"}}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"tags": {"torn": "ye')
    run.note("whole")
    assert (run.record.tags, run.record.note) == ({"purpose": "demo", "good": "yes"}, "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="links take a privilege there, and there are no pipes in folders")
def test_a_job_can_not_redirect_them(run: Run, tmp_path: Path) -> None:
    """A link or a pipe that a job has put in the file's place is neither written to nor waited for."""
    path, outside = Path(run.record.url) / ANNOTATIONS_FILE, tmp_path / "outside"
    outside.write_text("mine")
    path.symlink_to(outside)
    with pytest.raises(StorageError, match=ANNOTATIONS_FILE):
        run.tag("a", "b")
    assert outside.read_text() == "mine"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match=ANNOTATIONS_FILE):
        run.tag("a", "b")
    assert run.refresh().record.tags == {"purpose": "demo"}


def test_there_is_a_limit(run: Run) -> None:
    """More than can be read isn't written: not in one call, and not in many."""
    with pytest.raises(UsageError, match="10,000"):
        run.note("x" * 10_001)
    with pytest.raises(UsageError, match="line of"):
        run.tag("a", "\x00" * 16_000)
    path = Path(run.record.url) / ANNOTATIONS_FILE
    path.write_bytes(b"\n" * ((1 << 20) - 10))
    with pytest.raises(UsageError, match="1 MiB"):
        run.tag("a", "b")
    path.write_bytes(b"\n" * ((1 << 20) + 1))
    with pytest.raises(DataFormatError, match="1 MiB"):
        run.refresh()


def test_they_are_shown(run: Run) -> None:
    """Tags and note are among the facts of a run; a report masks what looks like a secret."""
    run.tag("reviewed", "yes")
    run.note("password=hunter22")
    assert run.record.describe().facts["Note"] == "password=hunter22"
    assert "reviewed=yes" in run._repr_html_()
    assert "hunter22" not in masked(run.record).note


def test_a_backend_without_them_says_so() -> None:
    """Where runs can't be annotated it is a usage error that says what to do instead."""
    backend = Paper()
    with pytest.raises(UsageError, match="Paper can't add tags"):
        Run(backend, backend.get("run")).tag("a", "b")
