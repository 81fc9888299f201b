"""The small modules below everything: errors, files, progress, settings, codec."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from mnistkit import errors
from mnistkit.config import cache_folder, home_folder, is_offline, mirror
from mnistkit.errors import ConfigError, MnistkitError, StorageError
from mnistkit.utils import progress
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex, write_atomically
from mnistkit.utils.folders import regular_files
from mnistkit.utils.progress import Step


def test_the_error_tree_is_the_drawn_one() -> None:
    """Every error is exported, derives from MnistkitError, is in the drawing, and prints as it was written."""
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert classes == set(errors.__all__)
    for name in errors.__all__:
        cls = getattr(errors, name)
        assert issubclass(cls, MnistkitError)
        assert name in (errors.__doc__ or "")
        assert str(cls("it's broken")) == "it's broken"
        assert str(pickle.loads(pickle.dumps(cls("it's broken")))) == "it's broken"  # noqa: S301 - of our own making


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file and no temporary one."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"newer")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_hashes_agree(tmp_path: Path) -> None:
    """A file's size and hash are those of its bytes."""
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    assert file_info(tmp_path / "file") == FileInfo(3_000_000, sha256_hex(b"abc" * 1_000_000))


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    """The error names the path and the variable that moves it."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file.*set MNISTKIT_HOME"):
        ensure_folder(tmp_path / "file" / "folder", "MNISTKIT_HOME")


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_only_regular_files_are_found(tmp_path: Path) -> None:
    """Links, hard links and pipes are left out."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ok").touch()
    (tmp_path / "a").touch()
    (tmp_path / "one").touch()
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    assert [name for name, _ in regular_files(tmp_path)] == ["a", "b/ok"]


def test_listeners_hear_while_they_listen() -> None:
    """Progress goes to whoever listens, and to nobody afterwards."""
    heard: list[Step] = []
    step = Step("task", 1, 2)
    with progress.listening(heard.append):
        progress.report(step)
    progress.report(step)
    assert heard == [step]


def test_where_things_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments win over variables, variables over defaults."""
    assert home_folder() == tmp_path / "mnistkit-home"
    assert home_folder(tmp_path / "mine") == tmp_path / "mine"
    assert cache_folder() == tmp_path / "mnistkit-cache"
    monkeypatch.delenv("MNISTKIT_HOME")
    monkeypatch.chdir(tmp_path)
    assert home_folder() == tmp_path / ".mnistkit"
    monkeypatch.setenv("MNISTKIT_CACHE", str(tmp_path / "mnistkit-home" / "x"))
    (tmp_path / "mnistkit-home").touch()
    with pytest.raises(StorageError, match="set MNISTKIT_CACHE"):
        cache_folder()


def test_switches_are_understood_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNISTKIT_OFFLINE is a switch and MNISTKIT_MIRROR a URL; anything else is an error that says so."""
    assert (is_offline(), mirror()) == (False, None)
    monkeypatch.setenv("MNISTKIT_OFFLINE", "Yes")
    monkeypatch.setenv("MNISTKIT_MIRROR", "https://mirror.example/data/")
    assert (is_offline(), mirror()) == (True, "https://mirror.example/data")
    monkeypatch.setenv("MNISTKIT_OFFLINE", "maybe")
    monkeypatch.setenv("MNISTKIT_MIRROR", "ftp://mirror.example")
    with pytest.raises(ConfigError, match="MNISTKIT_OFFLINE is 'maybe'"):
        is_offline()
    with pytest.raises(ConfigError, match="MNISTKIT_MIRROR"):
        mirror()
