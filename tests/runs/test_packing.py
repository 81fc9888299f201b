"""Run folders as bytes."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from mnistkit.errors import DataFormatError
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.folder import packing
from mnistkit.runs.folder.owner import ELSEWHERE, Owner
from mnistkit.runs.folder.packing import pack, unpack
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with files of all kinds."""
    store = RunStore(tmp_path / "home")
    run_id = store.create(ScriptJob("folder"), "digits")
    found = store.folder(run_id)
    (found / "outputs" / "deep").mkdir()
    (found / "outputs" / "deep" / "model.bin").write_bytes(bytes(range(256)) * 100)
    (found / "code").mkdir()
    (found / "code" / "run.sh").write_text("#!/bin/sh\n")
    (found / "code" / "run.sh").chmod(0o700)
    return found


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive with these entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for info, data in entries:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """An entry that isn't a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_folder_travels(folder: Path, tmp_path: Path) -> None:
    """Unpacked, the run reads as it was; what is left out is left out."""
    there = RunStore(tmp_path / "there")
    unpack(pack(folder), tmp_path / "there" / folder.name)
    here = RunStore(folder.parent).read(folder.name)
    record = there.read(folder.name)
    assert (record.job, record.transitions, record.files) == (here.job, here.transitions, here.files)
    assert os.access(tmp_path / "there" / folder.name / "code" / "run.sh", os.X_OK)
    assert (tmp_path / "there" / folder.name / "logs").is_dir()
    unpack(pack(folder, leave_out=("code",)), tmp_path / "less" / folder.name)
    assert not (tmp_path / "less" / folder.name / "code").exists()


def test_the_bytes_depend_on_the_content_alone(folder: Path, tmp_path: Path) -> None:
    """A copy with other times, permissions of others and order of creation gives the same bytes; a change others."""
    copy = tmp_path / "copy"
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True):
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o744 if os.access(path, os.X_OK) else 0o640)
        os.utime(target, (1, 1))
    assert pack(copy) == pack(folder)
    (copy / "job.json").write_text("{}")
    assert pack(copy) != pack(folder)


def test_links_and_pipes_stay_behind(folder: Path, tmp_path: Path) -> None:
    """Neither links, whose targets may be anything, nor pipes, which never end, are packed."""
    before = pack(folder)
    (tmp_path / "secret").write_text("secret")
    (folder / "outputs" / "link").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", folder / "outputs" / "hard")
    os.mkfifo(folder / "outputs" / "pipe")
    assert pack(folder) == before


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense",
        archive((tarfile.TarInfo("../out"), b"x")),
        archive((tarfile.TarInfo("/out"), b"x")),
        archive((tarfile.TarInfo("outputs/../../out"), b"x")),
        archive((tarfile.TarInfo("good"), b"x"), (tarfile.TarInfo("good"), b"y")),
        archive((tarfile.TarInfo("good"), b"x"), (link("outputs/a", "/etc"), b"")),
        archive((link("outputs/a", "/etc/passwd", tarfile.LNKTYPE), b"")),
        archive((link("outputs/a", "", tarfile.FIFOTYPE), b"")),
        archive((link("outputs/a", "", tarfile.CHRTYPE), b"")),
        archive((tarfile.TarInfo("good"), b"x" * 2000))[:1000],
    ],
)
def test_odd_archives_are_refused(data: bytes, tmp_path: Path) -> None:
    """What can't come from `pack` is refused, and nothing is written."""
    with pytest.raises(DataFormatError):
        unpack(data, tmp_path / "into" / "run")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_links_that_are_there_arent_followed(folder: Path, tmp_path: Path) -> None:
    """A link in place of a folder is refused; one in place of a file is replaced, and its target stays as it is."""
    (tmp_path / "elsewhere").mkdir()
    into = tmp_path / "into"
    into.mkdir()
    (into / "job.json").symlink_to(tmp_path / "elsewhere" / "target")
    (tmp_path / "elsewhere" / "target").write_text("as it was")
    unpack(pack(folder), into)
    assert not (into / "job.json").is_symlink()
    assert (tmp_path / "elsewhere" / "target").read_text() == "as it was"
    shutil.rmtree(into / "outputs" / "deep")
    (into / "outputs" / "deep").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataFormatError, match="symbolic link"):
        unpack(pack(folder), into)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["target"]


def test_too_much_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files or bytes than the limits are refused before anything is written."""
    monkeypatch.setattr(packing, "MAX_UNPACKED_FILES", 2)
    with pytest.raises(DataFormatError, match="more than 2 files"):
        unpack(pack(folder), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_the_record_comes_last(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that reads as finished has all its files: its record is written after them."""
    written: list[str] = []
    monkeypatch.setattr(packing, "write_atomically", lambda path, data: written.append(path.name))
    unpack(pack(folder, leave_out=("code",)), tmp_path / "into")
    assert len(written) == 3
    assert written[-1] == "record.json"


def test_a_run_elsewhere_is_never_taken_for_dead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was handed to an owner elsewhere stays as it is, whatever this host is called."""
    store = RunStore(folder.parent)
    store.hand_over(folder.name, Owner.elsewhere())
    for host in (socket.gethostname(), "another", ELSEWHERE):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        if host != ELSEWHERE:
            assert store.read(folder.name).state is RunState.QUEUED


def test_an_owner_that_handed_over_before_it_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that sees the old owner gone looks at the new one before it calls the run failed."""
    store = RunStore(folder.parent)
    old = Owner(host=socket.gethostname(), pid=2**30, started=0.0)
    store.hand_over(folder.name, old)
    is_gone = Owner.is_gone

    def handing_over(owner: Owner) -> bool:
        if owner == old:
            store.adopt(folder.name)
        return is_gone(owner)

    monkeypatch.setattr(Owner, "is_gone", handing_over)
    assert store.read(folder.name).state is RunState.QUEUED
