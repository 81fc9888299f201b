"""The index of run folders: fast, and never the truth."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.annotations import append_annotation
from mnistkit.runs.folder import index as module
from mnistkit.runs.folder.index import INDEX_FILE, RunIndex
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.row import RunRow

N_RUNS = 40


@pytest.fixture(scope="module")
def _runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty completed runs with an accuracy, which ended an hour ago."""
    root = tmp_path_factory.mktemp("home") / "runs"
    store = RunStore(root)
    for i in range(N_RUNS):
        make_run(store, i)
    return root


@pytest.fixture
def root(_runs: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(_runs, tmp_path / "runs"))


def make_run(store: RunStore, i: int, state: RunState = RunState.COMPLETED) -> str:
    """Make a run in this state, and return its id."""
    job = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"C": i / 10}), tags={"i": str(i)})
    run_id = store.create(job, "digits")
    folder = store.folder(run_id)
    point = {"name": "accuracy", "value": 0.9, "step": None, "time": "2026-11-28T12:00:00+00:00"}
    (folder / "metrics.jsonl").write_text(json.dumps(point) + "\n")
    if state is not RunState.QUEUED:
        store.advance(run_id, state)
    age(folder)
    return run_id


def age(folder: Path) -> None:
    """As if it had been written an hour ago."""
    then = time.time() - 3600
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


def truth(root: Path) -> list[RunRow]:
    """The rows without an index."""
    return [RunRow.of(record) for record in RunStore(root).read_all()]


class CountingStore(RunStore):
    """Counts the runs that are read."""

    reads = 0

    def read_or_warn(self, run_id: str) -> Any:
        self.reads += 1
        return super().read_or_warn(run_id)


def listed(root: Path) -> tuple[list[RunRow], int]:
    """The rows by the index, and how many runs had to be read for them."""
    store = CountingStore(root)
    return RunIndex(root, store).rows(), store.reads


def test_runs_are_read_once(root: Path) -> None:
    """The first list reads every run, the next none, and both are what the folders say, newest first."""
    assert listed(root) == (truth(root), N_RUNS)
    assert listed(root) == (truth(root), 0)


@pytest.mark.parametrize("change", ["record", "tags", "note", "metrics", "job", "deleted", "new"])
def test_a_change_is_seen(root: Path, change: str) -> None:
    """Whatever changes in a folder after it was indexed, the next list shows it, and reads that run alone."""
    listed(root)
    store = RunStore(root)
    run_id = store.ids()[0]
    folder = root / run_id
    if change == "record":
        store.advance(run_id, RunState.FAILED, error="late")
    elif change == "tags":
        (folder / "tags.jsonl").write_text('{"key": "note", "value": "good"}\n')
    elif change == "note":
        append_annotation(folder, {}, "looks odd")
    elif change == "metrics":
        with (folder / "metrics.jsonl").open("a") as stream:
            stream.write('{"name": "accuracy", "value": 0.1, "step": null, "time": "2026-11-28T12:00:00+00:00"}\n')
    elif change == "job":
        (folder / "job.json").write_text((folder / "job.json").read_text().replace('"seed": 42', '"seed": 43'))
    elif change == "deleted":
        store.delete(run_id)
    else:
        make_run(store, 99)
    rows, reads = listed(root)
    assert rows == truth(root)
    assert reads == (0 if change == "deleted" else 1)


def test_a_running_run_is_always_read(root: Path) -> None:
    """A run that hasn't finished is read by every list; the same for one whose process is gone, which says Running."""
    store = RunStore(root)
    waiting, orphan = make_run(store, 50, RunState.QUEUED), make_run(store, 51, RunState.RUNNING)
    store.hand_over(orphan, _gone())
    age(root / orphan)
    listed(root)
    rows, reads = listed(root)
    states = {row.id: row.state for row in rows}
    assert (states[waiting], states[orphan]) == ("Queued", "Failed")
    assert reads == 2


def _gone() -> Owner:
    """A process that has ended."""
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return Owner.of(process.pid)


def test_what_changed_a_moment_ago_is_not_indexed(root: Path) -> None:
    """A run that was written within the clock's last ticks is read again: its stamp may not tell the next change."""
    listed(root)
    store = RunStore(root)
    run_id = make_run(store, 60)
    os.utime(root / run_id / "record.json")
    assert listed(root)[1] == 1
    assert listed(root)[1] == 1


BAD = {
    "torn": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "garbage": lambda _: "\x00\xff" * 100,
    "another format": lambda text: text.replace('{"format":', '{"format":9'),
    "no header": lambda text: text.partition("\n")[2],
    "deep": lambda text: text + '{"stamp":' + "[" * 100_000 + "\n",
    "wrong types": lambda text: text.replace('"metrics":{"accuracy":0.9}', '"metrics":{"accuracy":[1]}'),
    "half a character": lambda text: text.replace('"data":"digits"', '"data":"\\ud800"'),
    "endless time": lambda text: text.replace('"seed":42', '"created_at":1e999,"seed":42'),
    "unknown state": lambda text: text.replace('"Completed"', '"<b>Done"'),
    "odd defaults": lambda text: text.replace('"defaults":[{', '"defaults":[[{').replace("}]}\n", "}]]}\n", 1),
    "lacking defaults": lambda text: text.replace('"defaults":0', '"defaults":7'),
    "more keys": lambda text: text.replace('"seed":42', '"seed":42,"self":1'),
}


@pytest.mark.parametrize("damage", BAD)
def test_a_damaged_index_costs_time_alone(root: Path, damage: str) -> None:
    """Whatever is in the index's file, the list is right."""
    listed(root)
    path = root / INDEX_FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(BAD[damage](text), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    rows, reads = listed(root)
    assert rows == truth(root)
    assert (reads > 0) == (damage != "deep")  # a line that means nothing is left out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "huge"])
def test_what_is_no_index_is_not_waited_for(root: Path, kind: str) -> None:
    """A pipe, a folder, a link or a sparse file of 100 GB in its place: the list is right, and comes at once."""
    path = root / INDEX_FILE
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(root / "elsewhere")
    else:
        path.touch()
        os.truncate(path, 100 << 30)
    assert listed(root)[0] == truth(root)


def test_it_is_written_when_enough_has_changed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few new runs are read each time; the index is written anew only when that becomes slow."""
    listed(root)
    written = (root / INDEX_FILE).stat().st_mtime_ns
    store = RunStore(root)
    for i in range(3):
        make_run(store, 70 + i)
    assert listed(root)[1] == 3
    assert (root / INDEX_FILE).stat().st_mtime_ns == written
    monkeypatch.setattr(module, "_MIN_CHANGES", 2)
    assert listed(root)[1] == 3
    assert listed(root)[1] == 0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_listed(root: Path) -> None:
    """Where the index can't be written, runs are listed all the same."""
    root.chmod(0o500)
    try:
        assert listed(root) == (truth(root), N_RUNS)
    finally:
        root.chmod(0o700)


def test_a_damaged_run_is_left_out_with_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run that can't be read is named in a warning, and so is a folder that is no run."""
    first, second = RunStore(root).ids()[:2]
    (root / first / "record.json").write_text("{")
    (root / second / "record.json").unlink()
    rows, _ = listed(root)
    assert {first, second} & {row.id for row in rows} == set()
    assert first in caplog.text
    assert second in caplog.text
