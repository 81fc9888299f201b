"""The folder registry on its disk: what is written when, what is refused, and where copies go."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import (
    InvalidNameError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry whose folder isn't there yet."""
    return FolderRegistry(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files to register."""
    folder = tmp_path / "source"
    (folder / "extra").mkdir(parents=True)
    (folder / "model.skops").write_bytes(random.Random(0).randbytes(40_000))
    (folder / "extra" / "labels.txt").write_bytes(b"0\n1\n")
    return folder


# --- storage --------------------------------------------------------------------------------------------------------


def test_looking_creates_nothing(registry: FolderRegistry, tmp_path: Path) -> None:
    """Reading a registry that isn't there creates nothing."""
    assert (registry.names(), registry.versions("digits"), registry.aliases("digits")) == ((), (), {})
    with pytest.raises(ModelNotFoundError, match="none yet"):
        registry.get("digits")
    assert not (tmp_path / "home").exists()


def test_unwritable_root(tmp_path: Path, source: Path) -> None:
    """A root that can't be created is a `StorageError` that names it and the variable that moves it."""
    (tmp_path / "file").write_text("in the way")
    registry = FolderRegistry(tmp_path / "file" / "home")
    assert registry.names() == ()
    with pytest.raises(StorageError, match="MNISTKIT_HOME") as caught:
        registry.register("digits", source, ModelInfo(format="files"))
    assert str(tmp_path / "file" / "home") in str(caught.value)


def test_full_disk(registry: FolderRegistry, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system refuses any step, that is a `StorageError`, nothing stays behind, and it works again afterwards."""
    registry.register("digits", source, ModelInfo(format="files"))
    for step in ("copy_file", "write_file", "rename", "make_folder"):
        with monkeypatch.context() as patch:
            patch.setattr(disk, step, _refuse)
            with pytest.raises(StorageError, match="No space left"):
                registry.register("letters", source, ModelInfo(format="files"))
        assert list((tmp_path / "home" / ".staging").iterdir()) == []
        assert registry.names() == ("digits",)
    assert registry.register("letters", source, ModelInfo(format="files")).version == 1


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_number_taken_meanwhile(
    registry: FolderRegistry, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If others take the next numbers between the look and the claim, the registration goes on to a free one."""
    rename = disk.rename

    def late(stage: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "rename", rename)
        for _ in range(3):
            FolderRegistry(tmp_path / "home").register("digits", source, ModelInfo(format="files"))
        rename(stage, target)

    monkeypatch.setattr(disk, "rename", late)
    model = registry.register("digits", source, ModelInfo(format="files", run_id="late"))
    assert model.version == 4
    assert [version.run_id for version in registry.versions("digits")] == ["late", None, None, None]


def test_rename_that_fails_after_it_worked(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that renames and then reports an error yields one version, not two and not a failure."""

    def rename(stage: Path, target: Path) -> None:
        stage.rename(target)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(disk, "rename", rename)
    assert registry.register("digits", source, ModelInfo(format="files")).version == 1
    assert len(registry.versions("digits")) == 1


def test_no_hard_links(registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases and deletions also work where the file system has no hard links."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for _ in range(2):
        registry.register("digits", source, ModelInfo(format="files"))
    registry.assign("digits", "champion", 1)
    registry.assign("digits", "champion", 2)
    registry.delete("digits", 1)
    assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2]
    assert [model.version for model in registry.versions("digits")] == [2]


def test_old_leftovers_are_swept(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """What a crash left in staging is removed by the first registration a day later, and not before."""
    registry.register("digits", source, ModelInfo(format="files"))
    old, young = (tmp_path / "home" / ".staging" / name for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "model.skops").write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    registry.register("digits", source, ModelInfo(format="files"))
    assert not old.exists()
    assert young.exists()


def test_newer_layout_is_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A registry of a layout that this release doesn't know is neither read nor written."""
    registry.register("digits", source, ModelInfo(format="files"))
    (tmp_path / "home" / "format.json").write_text('{"layout": 2}')
    for function in (
        registry.names,
        lambda: registry.get("digits"),
        lambda: registry.register("d", source, ModelInfo(format="files")),
    ):
        with pytest.raises(StorageError, match=r"layout.*upgrade mnistkit"):
            function()


def test_deletion_frees_the_space(registry: FolderRegistry, source: Path) -> None:
    """Deleting removes the files and keeps the manifest, so that the number stays taken."""
    model = registry.register("digits", source, ModelInfo(format="files"))
    registry.delete("digits", 1)
    assert [path.name for path in Path(model.location).iterdir()] == ["manifest.json"]


def test_interrupted_deletion_can_be_finished(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that stopped halfway has taken the version out of sight; deleting again removes the rest."""
    model = registry.register("digits", source, ModelInfo(format="files"))
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", _refuse)
        with pytest.raises(StorageError):
            registry.delete("digits", 1)
    assert registry.names() == ()
    registry.delete("digits", 1)
    assert [path.name for path in Path(model.location).iterdir()] == ["manifest.json"]


# --- what is registered, and where it is copied to ------------------------------------------------------------------


def test_manifest_name_is_taken(registry: FolderRegistry, source: Path) -> None:
    """A file named like the registry's own manifest is refused, with the way out."""
    (source / "Manifest.json").write_text("{}")
    with pytest.raises(InvalidNameError, match="Rename it"):
        registry.register("digits", source, ModelInfo(format="files"))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes need POSIX")
def test_pipe_is_refused(registry: FolderRegistry, source: Path) -> None:
    """A pipe in the folder is refused at once; nothing waits for someone to write into it."""
    os.mkfifo(source / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        registry.register("digits", source, ModelInfo(format="files"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name themselves")
@pytest.mark.parametrize("file", ["a\nb", "a:b", "con", "a\\b", "a ", "x.", "\udcff"])
def test_hostile_files_are_refused(file: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A file whose name can't be kept everywhere is refused, and nothing stays in staging."""
    (source / file).write_text("x")
    with pytest.raises(UsageError):
        registry.register("digits", source, ModelInfo(format="files"))
    assert registry.names() == ()
    assert [p for p in (tmp_path / "home").rglob("*") if p.name == "model.skops"] == []


def test_download_into_a_file(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """Downloading to where a file is in the way is a `StorageError` that names the place."""
    model = registry.register("digits", source, ModelInfo(format="files"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        registry.download(model, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_two_registries_over_one_folder_agree(source: Path, tmp_path: Path) -> None:
    """What one object registers, another sees; no state is kept in memory."""
    one, two = FolderRegistry(tmp_path / "home"), FolderRegistry(str(tmp_path / "home"))
    model = one.register("digits", source, ModelInfo(format="files"))
    assert two.get("digits") == model
    assert two.download(evolve(model, location="elsewhere"), tmp_path / "into") == tmp_path / "into"
