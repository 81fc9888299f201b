"""Finished runs of elsewhere are kept as run folders."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest

from mnistkit.errors import InvalidNameError, StorageError, UsageError
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.folder.importing import keep_record
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition

BEGIN = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
END = BEGIN + timedelta(seconds=3)


def record(state: RunState = RunState.FAILED) -> RunRecord:
    """A record with something in every field."""
    return RunRecord(
        id="theirs-1",
        job=TrainingJob(model=ModelSpec("sklearn.naive_bayes.GaussianNB"), tags={"owner": "me"}),
        data="digits",
        transitions=(Transition(RunState.QUEUED, BEGIN), Transition(state, END)),
        points=(MetricPoint("loss", float("inf"), 3, BEGIN), MetricPoint("loss", 0.5, None, END)),
        files=("outputs/deep/a.txt",),
        tags={"owner": "me"},
        error="it broke",
        traceback="line 1",
        attempts=(Attempt(started_at=BEGIN, ended_at=END, cause="error", error="it broke", exit_code=1),),
        versions={"python": "3.10"},
        provenance=Provenance(commit="abc", command=("train.py",)),
    )


def test_a_record_comes_back(tmp_path: Path) -> None:
    """A kept record is read as it was, with its files; a second time it is left as it is."""
    (tmp_path / "a.txt").write_text("hello")
    root = tmp_path / "home" / "runs"
    given = record()
    assert keep_record(root, given, {"outputs/deep/a.txt": tmp_path / "a.txt"})
    assert not keep_record(root, attrs.evolve(given, error="another"), {})
    backend = ProcessCompute(tmp_path / "home")
    assert backend.get("theirs-1") == attrs.evolve(given, url=str(root / "theirs-1"))
    assert backend.download("theirs-1", "outputs/deep/a.txt", tmp_path / "into").read_text() == "hello"
    assert [path.name for path in root.iterdir()] == ["theirs-1"]


def test_a_script_comes_back(tmp_path: Path) -> None:
    """A run of a script is kept as well."""
    given = attrs.evolve(
        record(), job=ScriptJob("http://127.0.0.1", "run", ["--lr=0.1"], tags={"owner": "me"}), files=()
    )
    keep_record(tmp_path / "runs", given, {})
    assert ProcessCompute(tmp_path).runs()[0].job == given.job


def test_what_isnt_kept(tmp_path: Path) -> None:
    """An id or a file that would leave the folder, and a run that hasn't finished, are refused; nothing is left."""
    (tmp_path / "a.txt").write_text("hello")
    root = tmp_path / "runs"
    with pytest.raises(InvalidNameError):
        keep_record(root, attrs.evolve(record(), id="../theirs"), {})
    with pytest.raises(InvalidNameError):
        keep_record(root, record(), {"../a.txt": tmp_path / "a.txt"})
    with pytest.raises(UsageError, match="Running"):
        keep_record(root, record(RunState.RUNNING), {})
    with pytest.raises(StorageError):
        keep_record(root, record(), {"outputs/a.txt": tmp_path / "none.txt"})
    assert list(root.iterdir()) == []
