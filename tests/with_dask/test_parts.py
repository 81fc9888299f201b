"""The scheduler's entries and the files beside run folders, in orders that a cluster seldom shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mnistkit.dask.mirror import Mirror, TaskInfo
from mnistkit.dask.plugin import RunsPlugin
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.packing import pack
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState

KEY, RUN = "mnistkit-run-1", "20260101-000000-ffffff"


def task() -> Any:
    """A task as the scheduler has it."""
    return SimpleNamespace(key=KEY, state="processing", processing_on=None, exception_text=None)


@pytest.fixture
def plugin() -> RunsPlugin:
    """Entries of a scheduler that has one task."""
    made = RunsPlugin()
    made._scheduler = SimpleNamespace(tasks={KEY: task()}, workers={"a": 1, "b": 2})
    return made


def test_a_forgotten_task_isnt_started(plugin: RunsPlugin) -> None:
    """A worker that gets a task just after it was forgotten learns that, and leaves no entry."""
    del plugin._scheduler.tasks[KEY]
    plugin.transition(KEY, "processing", "forgotten")
    assert plugin.begin(KEY, "a", "host a") == {"is_wanted": False}
    assert not plugin.report(KEY, "a", {RUN: {}})["is_wanted"]
    assert plugin.states([KEY]) == {KEY: {"state": "gone"}}


def test_the_end_and_the_start_come_in_one_order(plugin: RunsPlugin) -> None:
    """A run whose end came first doesn't start; one that had started is still running when its end comes."""
    assert plugin.end(KEY, RUN)["starts"] == []
    assert plugin.begin(KEY, "a", "host a")["ended"] == [RUN]
    (start,) = plugin.end(KEY, RUN)["starts"]
    assert not start["is_lost"]
    assert plugin.report(KEY, "a", {})["ended"] == [RUN]


def test_reports_of_a_lost_worker_dont_count(plugin: RunsPlugin) -> None:
    """What a worker reports after it was taken for lost, or replaced, isn't kept, and it is to stop."""
    plugin.begin(KEY, "a", "host a")
    assert plugin.report(KEY, "a", {RUN: {"record.json": b"1"}})["is_wanted"]
    plugin.remove_worker(None, "a")
    assert not plugin.report(KEY, "a", {RUN: {"record.json": b"2"}})["is_wanted"]
    found = plugin.begin(KEY, "b", "host b")
    assert [start["worker"] for start in found["lost"]] == ["a"]
    assert found["records"] == {RUN: {"record.json": b"1"}}
    assert not plugin.report(KEY, "a", {RUN: {"record.json": b"3"}})["is_wanted"]
    assert plugin.report(KEY, "b", {})["is_wanted"]


@pytest.fixture
def home(tmp_path: Path) -> tuple[RunStore, Mirror, str]:
    """A home with one run that was sent."""
    store, mirror = RunStore(tmp_path / "runs"), Mirror(tmp_path / "runs")
    run_id = store.create(ScriptJob("folder"), "digits", Owner.elsewhere())
    mirror.add(TaskInfo(key=KEY, runs=(run_id,), scheduler="s", address="tcp://a", is_detached=True))
    return store, mirror, run_id


def finished(store: RunStore, run_id: str, tmp_path: Path, log: bytes) -> bytes:
    """The folder of the run as a worker sends it at its end."""
    there = RunStore(tmp_path / "node")
    shutil.copytree(store.folder(run_id), there.ensured() / run_id)
    there.advance(run_id, RunState.COMPLETED)
    there.log_file(run_id).write_bytes(log)
    (there.folder(run_id) / "outputs" / "model.txt").write_text("model")
    return pack(there.folder(run_id), leave_out=("job.json",))


def test_a_log_is_read_in_any_order(home: tuple[RunStore, Mirror, str], tmp_path: Path) -> None:
    """Pieces that several clients write, twice or late, make one log; a second node's begins behind the first's."""
    store, mirror, run_id = home
    assert mirror.log_position(run_id, "one") == 0
    mirror.add_log(run_id, "one", 0, b"one\n")
    Mirror(store.folder(run_id).parent).add_log(run_id, "one", 0, b"one\n")
    assert mirror.log_position(run_id, "one") == 4
    assert mirror.log_position(run_id, "two") == 0
    mirror.add_log(run_id, "two", 0, b"two\n")
    assert store.read_log(run_id, 0) == "one\ntwo\n"
    mirror.collect(run_id, "two", finished(store, run_id, tmp_path, b"two\nthree\n"))
    assert store.read_log(run_id, 0) == "one\ntwo\nthree\n"
    assert store.read(run_id).state is RunState.COMPLETED
    assert "outputs/model.txt" in store.read(run_id).files


def test_who_comes_late_changes_nothing(home: tuple[RunStore, Mirror, str], tmp_path: Path) -> None:
    """A client that collects, reports or reads a log after another one has collected the run changes nothing."""
    store, mirror, run_id = home
    packed = finished(store, run_id, tmp_path, b"one\n")
    mirror.collect(run_id, "one", packed)
    mirror.collect(run_id, "one", packed)
    mirror.drop(run_id)
    for late in (
        lambda: mirror.collect(run_id, "one", packed),
        lambda: mirror.add_log(run_id, "one", 0, b"another\n"),
        lambda: mirror.log_position(run_id, "one"),
    ):
        with pytest.raises(FileNotFoundError):
            late()
    mirror.update(run_id, {"record.json": b"{}"})
    assert store.read_log(run_id, 0) == "one\n"
    assert mirror.task(run_id) is None
    assert list((tmp_path / "runs" / ".dask").iterdir()) == []
