"""What ``.gz`` files hold, kept beside them: only ever what the ``.gz`` holds, verified, or nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mnistkit.decoded import keeping, open_kept, tidy

KEY = hashlib.sha256(b"a .gz").hexdigest()
OTHER = hashlib.sha256(b"another .gz").hexdigest()
MIB = 2**20
CONTENT = bytes(range(256)) * 4096 * 9 + b"and a little"  # two whole chunks of 4 MiB, and a part


def keep(folder: Path, content: bytes = CONTENT, key: str = KEY, piece: int = 3 * MIB) -> Path:
    """Keep ``content`` piece by piece; return the file."""
    with keeping(folder, key) as add:
        for at in range(0, len(content), piece):
            add(memoryview(content)[at : at + piece])
    return folder / f"{key}.idx"


def kept(folder: Path, key: str = KEY) -> bytes | None:
    """What is kept, copied."""
    view = open_kept(folder, key)
    return None if view is None else bytes(view)


@pytest.mark.parametrize("length", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, len(CONTENT)])
@pytest.mark.parametrize("piece", [3 * MIB, 20 * MIB])
def test_what_was_kept_comes_back(tmp_path: Path, length: int, piece: int) -> None:
    """Any length in any pieces comes back, and no temporary file stays behind."""
    path = keep(tmp_path / "kept", CONTENT[:length], piece=piece)
    assert kept(tmp_path / "kept") == CONTENT[:length]
    assert list((tmp_path / "kept").iterdir()) == [path]


def test_the_bytes_are_read_only(tmp_path: Path) -> None:
    """What is mapped can't be written through the view."""
    keep(tmp_path)
    view = open_kept(tmp_path, KEY)
    assert view is not None
    assert view.readonly


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "short": lambda data: data[:20],
    "truncated by a byte": lambda data: data[:-1],
    "truncated to the plain file": lambda data: data[: len(CONTENT)],
    "a byte longer": lambda data: data + b"\0",
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "last byte of the content": lambda data: (
        data[: len(CONTENT) - 1] + bytes([data[len(CONTENT) - 1] ^ 0x80]) + data[len(CONTENT) :]
    ),
    "a byte of the digests": lambda data: (
        data[: len(CONTENT) + 3] + bytes([data[len(CONTENT) + 3] ^ 1]) + data[len(CONTENT) + 4 :]
    ),
    "a byte of the length": lambda data: data[:-36] + bytes([data[-36] ^ 1]) + data[-35:],
    "a huge length": lambda data: data[:-40] + b"\xff" * 8 + data[-32:],
    "a byte of the seal": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "two chunks swapped": lambda data: data[4 * MIB : 8 * MIB] + data[: 4 * MIB] + data[8 * MIB :],
    "torn, as by a crash": lambda data: data[: 5 * MIB] + bytes(len(data) - 5 * MIB),
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    """A file that isn't bit by bit what was written doesn't count, and is replaced by the next writer."""
    content = CONTENT[: 4 * MIB] + bytes(4 * MIB) + CONTENT[8 * MIB :]  # chunks that differ
    path = keep(tmp_path, content)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert kept(tmp_path) is None
    keep(tmp_path, content)
    assert kept(tmp_path) == content


def test_file_of_another_gz_does_not_count(tmp_path: Path) -> None:
    """A whole file under the name of another .gz is refused: the name is part of what is verified."""
    path = keep(tmp_path)
    path.rename(tmp_path / f"{OTHER}.idx")
    assert kept(tmp_path, OTHER) is None
    assert kept(tmp_path) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_file_that_others_may_write_does_not_count(tmp_path: Path, mode: int) -> None:
    """Whoever may write the content may write its digests: such a file proves nothing."""
    path = keep(tmp_path)
    path.chmod(mode)
    assert kept(tmp_path) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_written_for_us_alone_to_change(tmp_path: Path) -> None:
    """Even a generous umask doesn't let others write what is kept."""
    old = os.umask(0)
    try:
        path = keep(tmp_path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_regular_file_does_not_count(tmp_path: Path) -> None:
    """A pipe, a link or a folder in its place is passed over at once."""
    path = tmp_path / f"{KEY}.idx"
    os.mkfifo(path)
    assert kept(tmp_path) is None
    path.unlink()
    path.symlink_to(keep(tmp_path / "elsewhere"))
    assert kept(tmp_path) is None
    path.unlink()
    path.mkdir()
    assert kept(tmp_path) is None
    keep(tmp_path)
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".part"] == []


def test_nothing_is_kept_of_a_block_that_raises(tmp_path: Path) -> None:
    """Bytes that turn out to be wrong while they are inflated leave nothing behind."""

    def inflate() -> None:
        with keeping(tmp_path, KEY) as add:
            add(CONTENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inflate()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Where there is no room for it nothing is kept, and nothing is raised."""
    (tmp_path / "file").write_text("in the way")
    keep(tmp_path / "file")
    keep(tmp_path / "no" / "parent")
    assert kept(tmp_path / "file") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full's like: a limit on file sizes")
def test_full_disk(tmp_path: Path) -> None:
    """A disk that fills up while it is written costs nothing but what would have been kept."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from mnistkit.decoded import keeping, open_kept\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        f"folder = Path(sys.argv[1])\nwith keeping(folder, {KEY!r}) as add:\n"
        "    for _ in range(9): add(bytes(2**20))\n"
        f"assert open_kept(folder, {KEY!r}) is None; assert not list(folder.iterdir())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", KEY.upper(), KEY + "\n", KEY[1:]])
def test_key_that_is_no_sha256(tmp_path: Path, key: str) -> None:
    """A name that isn't a digest is never made into a path."""
    (tmp_path / "in").mkdir()
    keep(tmp_path / "in", key=key)
    assert kept(tmp_path / "in", key) is None
    assert [*tmp_path.rglob("*")] == [tmp_path / "in"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Processes that write and read the same file at the same time see it whole or not at all."""
    code = (
        "import sys; from pathlib import Path; from mnistkit.decoded import keeping, open_kept\n"
        "folder, content = Path(sys.argv[1]), bytes(range(256)) * 30000\n"
        "for _ in range(15):\n"
        f"    with keeping(folder, {KEY!r}) as add: add(content)\n"
        f"    kept = open_kept(folder, {KEY!r}); assert kept is not None and kept == content\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.idx"]


def test_tidy_removes_what_is_not_wanted(tmp_path: Path) -> None:
    """What an older .gz held and what a killed writer left goes; what is wanted or being written stays."""
    wanted, other = keep(tmp_path, b"a"), keep(tmp_path, b"b", OTHER)
    fresh, stale = tmp_path / ".x.1.a.part", tmp_path / ".x.2.b.part"
    for path in (fresh, stale):
        path.write_bytes(b"")
    os.utime(stale, (time.time() - 90_000,) * 2)
    tidy(tmp_path, {KEY})
    assert sorted(tmp_path.iterdir()) == sorted([wanted, fresh])
    assert not other.exists()
    tidy(tmp_path / "nothing", {KEY})
