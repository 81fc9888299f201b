"""What a job may leave in its run folder: nothing of it leads out, keeps the run from its end, or fills the memory."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest

from mnistkit.cli import output
from mnistkit.errors import MnistkitError, NotFoundError, StorageError
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A store of runs."""
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run_id(store: RunStore, tmp_path: Path) -> str:
    """A run whose process is this one."""
    (tmp_path / "main.py").write_text("1")
    return store.create(ScriptJob(str(tmp_path), "main.py"), "digits")


@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_a_cancellation_is_written_through_no_link(store: RunStore, run_id: str, tmp_path: Path, what: str) -> None:
    """A job that leaves something of the name of that file has requested its own end."""
    path, outside = store.folder(run_id) / "cancel", tmp_path / "outside"
    if what == "link":
        path.symlink_to(outside)
    else:
        path.mkdir() if what == "folder" else os.mkfifo(path)
    store.request_cancel(run_id)
    assert not outside.exists()
    assert store.is_cancel_requested(run_id)
    assert store.read(run_id).state is RunState.CANCEL_REQUESTED


@pytest.mark.parametrize("place", ["attempts", "attempts/1"])
def test_an_attempt_is_set_aside_through_no_link(store: RunStore, run_id: str, tmp_path: Path, place: str) -> None:
    """What an attempt leaves stays in the run."""
    folder, outside = store.folder(run_id), tmp_path / "outside"
    outside.mkdir()
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).symlink_to(outside)
    (folder / "outputs" / "model").write_text("x")
    store.set_attempt_aside(run_id, 1)
    assert list(outside.iterdir()) == []
    assert (folder / "attempts" / "1" / "outputs" / "model").read_text() == "x"


def test_outputs_are_cleared_through_no_link(store: RunStore, run_id: str, tmp_path: Path) -> None:
    """A link in their place is removed, what it leads to stays."""
    folder, outside = store.folder(run_id), tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "outputs").rmdir()
    (folder / "outputs").symlink_to(outside)
    store.clear_outputs(run_id)
    assert (outside / "kept").exists()
    assert not (folder / "outputs").is_symlink()


def test_a_log_comes_in_pieces(store: RunStore, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Followed or not, all of it, each character once, whatever is cut in two."""
    from mnistkit.runs.folder import store as module

    text = "Zeile für Zeile €\n" * 50
    store.log_file(run_id).write_text(text, encoding="utf-8")
    for size in (4, 7, 100, 1000):
        monkeypatch.setattr(module, "_MAX_LOG_BYTES", size)
        fresh, read = RunStore(store.ensured()), ""
        while piece := fresh.read_log(run_id, len(read)):
            assert len(piece) <= size
            read += piece
        assert read == text
        later = RunStore(store.ensured()).read_log(run_id, 500)  # by one that has read nothing before
        assert later
        assert text[500:].startswith(later)


def test_a_sparse_log_is_read_in_bounded_memory(store: RunStore, run_id: str) -> None:
    """Of 100 GB that no disk holds."""
    store.log_file(run_id).touch()
    os.truncate(store.log_file(run_id), 100 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 0 < len(store.read_log(run_id, 0)) <= 65 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_a_file_that_cannot_be_copied(store: RunStore, run_id: str, tmp_path: Path) -> None:
    """A name of the greatest length is; one that is gone, and a folder that is a file, are errors of ours."""
    name = "x" * 250
    (store.folder(run_id) / "outputs" / name).write_text("x")
    assert store.copy_file(run_id, f"outputs/{name}", tmp_path / "into").read_text() == "x"
    with pytest.raises(NotFoundError):
        store.copy_file(run_id, "outputs/y", tmp_path / "into")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        store.copy_file(run_id, f"outputs/{name}", tmp_path / "file")


def test_a_file_with_an_odd_name_stops_no_other(store: RunStore, run_id: str, tmp_path: Path) -> None:
    """Each file alone is refused or copied; names that only look alike are two files."""
    outputs = store.folder(run_id) / "outputs"
    names = [
        "a\x1b[2Jb",
        "new\nline",
        "\udcff",
        "caf\u00e9",
        "cafe\u0301",
        "CON",
        "con",
        "Con.txt",
        "plain",
        "x:y",
        " ",
    ]
    for name in names:
        (outputs / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    copied = 0
    for file in store.read(run_id).files:
        try:
            path = store.copy_file(run_id, file, tmp_path / "into")
        except MnistkitError:
            continue
        assert path.read_text() == path.name.encode().hex()
        copied += 1
    assert copied >= 3
    assert len(store.read(run_id).files) == len(names)


def test_followed_logs_end(store: RunStore, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Run.logs(follow=True)` reads the rest of a long log after the end."""
    from mnistkit.runs.folder import store as module

    store.log_file(run_id).write_text("abc" * 100)
    store.advance(run_id, RunState.COMPLETED)
    monkeypatch.setattr(module, "_MAX_LOG_BYTES", 7)
    backend = InProcessCompute(store.ensured().parent)
    assert "".join(Run(backend, backend.get(run_id)).logs(follow=True)) == "abc" * 100


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_times_of_the_first_and_the_last_year_show(
    store: RunStore, run_id: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged record may have times that have no year in other zones: every list and page shows them."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    store.advance(run_id, RunState.COMPLETED)
    backend = InProcessCompute(store.ensured().parent)
    path = store.folder(run_id) / "record.json"
    for at in ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59-23:59"):
        record = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**record, "transitions": [{**t, "at": at} for t in record["transitions"]]}))
        table = RunTable.of(backend)
        assert len(table.table()) == 1
        assert run_id in repr(table)
        assert run_id in table.csv()
        assert table.describe().tables
        assert output.short_time(store.read(run_id).created_at)
        assert store.read(run_id)._repr_html_()
    monkeypatch.undo()
    time.tzset()
