"""Folders that are nested deeper than Python's stack: walked, listed and removed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.data.image_folder.listing import list_pictures
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.retention import run_size
from mnistkit.utils.folders import found_files, remove_tree, walk_folders

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths are short there")

DEPTH = 1200


def nest(folder: Path, depth: int = DEPTH) -> None:
    """Make a folder in a folder, and so on: by descriptors, as the path becomes too long for the system."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("deepest", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


def test_a_run_with_deep_outputs_is_listed_and_deleted(tmp_path: Path) -> None:
    """Its record, its size, and its end."""
    store = RunStore(tmp_path / "runs")
    (tmp_path / "main.py").write_text("1")
    run_id = store.create(ScriptJob(str(tmp_path), "main.py"), "digits")
    folder = store.folder(run_id)
    for name in ("outputs", "logs"):
        nest(folder / name, 2000)
    (folder / "outputs" / "here").touch()
    backend = InProcessCompute(tmp_path)
    assert [record.files for record in backend.runs()] == [("outputs/here",)]
    assert run_size(store.read(run_id))
    store.clear_outputs(run_id)
    assert list((folder / "outputs").iterdir()) == []
    nest(folder / "outputs")
    store.advance(run_id, RunState.COMPLETED)
    backend.delete_run(run_id)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_dataset_beside_deep_folders_is_read(tmp_path: Path) -> None:
    """The walk for IDX files ends where a path becomes too long."""
    DigitsSource().fetch(tmp_path)
    nest(tmp_path)
    assert len(fetch_dataset(FolderSource(tmp_path)).test.labels) == 360
    remove_tree(tmp_path / "d")


def test_deep_folders_of_pictures_are_listed(tmp_path: Path) -> None:
    """What can't be reached is said."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        nest(tmp_path / name)
    left_out = {each.file.partition("/")[0] for each in list_pictures(tmp_path).left_out}
    assert left_out == {"a", "b"}
    for name in ("a", "b"):
        remove_tree(tmp_path / name)


def test_links_are_neither_entered_nor_removed(tmp_path: Path) -> None:
    """A link in place of the folder, in it, and one that leads to itself."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "folder" / "loop").symlink_to("loop")
    (tmp_path / "folder" / "file").touch()
    walked = [(Path(folder).name, names, others) for folder, names, others in walk_folders(tmp_path / "folder")]
    assert walked == [("folder", ["below"], ["file", "loop"]), ("below", ["away"], [])]
    assert {(file, problem) for file, _, problem in found_files(tmp_path / "folder")} == {
        ("file", ""),
        ("loop", "is a symbolic link"),
        ("below/away", "is a symbolic link"),
    }
    (tmp_path / "link").symlink_to("folder")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    remove_tree(tmp_path / "folder")
    remove_tree(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "outside"]
