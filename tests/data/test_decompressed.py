"""What ``.gz`` files hold, kept beside them: only ever what the ``.gz`` holds, verified, or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistkit.data import decompressed as decoded
from mnistkit.data.decompressed import keeping, open_kept, tidy

KEY = hashlib.sha256(b"a .gz").hexdigest()
OTHER = hashlib.sha256(b"another .gz").hexdigest()
MIB = 2**20
BLAKE3 = importlib.import_module("blake3") if importlib.util.find_spec("blake3") else None
CONTENT = bytes(range(256)) * 4096 * 9 + b"and a little"  # two whole chunks of 4 MiB, and a part


def keep(folder: Path, content: bytes = CONTENT, key: str = KEY, piece: int = 3 * MIB) -> Path:
    """Keep ``content`` piece by piece; return the file."""
    with keeping(folder, key) as add:
        for at in range(0, len(content), piece):
            add(memoryview(content)[at : at + piece])
    return folder / f"{key}.idx"


def kept(folder: Path, key: str = KEY) -> bytes | None:
    """What is kept, copied."""
    view = open_kept(folder, [key]).get(key)
    return None if view is None else bytes(view)


HASHES = ["sha256", pytest.param("blake3", marks=pytest.mark.skipif(not BLAKE3, reason="blake3 isn't installed"))]


@pytest.fixture(params=HASHES, autouse=True)
def used_hash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Whether BLAKE3 is installed."""
    with using(request.param, monkeypatch):
        yield request.param


@contextlib.contextmanager
def using(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With or without BLAKE3."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "blake3", BLAKE3 if name == "blake3" else None)
        decoded._hashes.cache_clear()
        yield
    decoded._hashes.cache_clear()


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
    assert open_kept(tmp_path, [KEY])[KEY].readonly


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
    "a byte of the length": lambda data: data[:-44] + bytes([data[-44] ^ 1]) + data[-43:],
    "a huge length": lambda data: data[:-48] + b"\xff" * 8 + data[-40:],
    "a byte of the hash's name": lambda data: data[:-40] + b"B" + data[-39:],
    "the name of the other hash": lambda data: (
        data[:-40] + (b"sha256\0\0" if data[-40:-32] == b"blake3\0\0" else b"blake3\0\0") + data[-32:]
    ),
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


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_byte_may_change_and_none_be_cut(tmp_path: Path, data: st.DataObject) -> None:
    """Whichever bit of a file is turned, and wherever the file is cut, it doesn't count."""
    content = CONTENT[: 4 * MIB + 1000]
    path = keep(tmp_path, content)
    good = path.read_bytes()
    end = st.integers(len(content) - 2, len(good) - 1)  # its digests, length, name and seal are few among many bytes
    at = data.draw(st.integers(0, len(good) - 1) | end)
    bad = good[:at]
    if data.draw(st.booleans()):
        bad += bytes([good[at] ^ 1 << data.draw(st.integers(0, 7))]) + good[at + 1 :]
    path.unlink()
    path.write_bytes(bad)
    assert kept(tmp_path) is None


def test_one_bad_file_does_not_condemn_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of several files the whole ones come back, and the damaged one is named."""
    path = keep(tmp_path)
    keep(tmp_path, b"another", OTHER)
    path.write_bytes(path.read_bytes()[1:] + b"\0")
    assert open_kept(tmp_path, [KEY, OTHER, "f" * 64]) == {OTHER: b"another"}
    assert [record.getMessage().split()[0] for record in caplog.records] == [str(path)]


def test_no_chunk_is_left_out_or_taken_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 chunks of two files on several threads each is looked at: any single one that is bad is found."""
    monkeypatch.setattr(decoded, "_CHUNK", 100)
    monkeypatch.setattr(decoded, "_THREADS", 4)
    content = {KEY: bytes(range(256)) * 12, OTHER: bytes(range(256))[::-1] * 11 + b"and a little"}
    paths = {key: keep(tmp_path, data, key, piece=70) for key, data in content.items()}
    assert open_kept(tmp_path, content) == content
    for key, path in paths.items():
        good = path.read_bytes()
        for at in range(50, len(content[key]), 100):
            path.unlink()
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert open_kept(tmp_path, content).keys() == content.keys() - {key}
        path.unlink()
        path.write_bytes(good)


@pytest.mark.skipif(not BLAKE3, reason="blake3 isn't installed")
def test_file_whose_hash_is_not_installed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was kept with BLAKE3 is never believed without it, but made again so that both can read it."""
    with using("blake3", monkeypatch):
        path = keep(tmp_path)
        assert path.read_bytes()[-40:-32] == b"blake3\0\0"
    with using("sha256", monkeypatch):
        assert kept(tmp_path) is None
        assert "or kept with a hash that isn't installed" in caplog.text
        assert keep(tmp_path).read_bytes()[-40:-32] == b"sha256\0\0"
        assert kept(tmp_path) == CONTENT
    with using("blake3", monkeypatch):
        assert kept(tmp_path) == CONTENT


def test_the_file_is_as_described(tmp_path: Path, used_hash: str) -> None:
    """Any program can verify a kept file: plain file, a digest per 4 MiB, length, name of the hash, seal."""
    new = hashlib.sha256
    if used_hash == "blake3":
        from blake3 import blake3 as new
    digests = b"".join(new(CONTENT[at : at + 4 * MIB]).digest() for at in range(0, len(CONTENT), 4 * MIB))
    end = digests + len(CONTENT).to_bytes(8, "big") + used_hash.encode().ljust(8, b"\0")
    assert keep(tmp_path).read_bytes() == CONTENT + end + new(bytes.fromhex(KEY) + end).digest()


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
        "import resource, signal, sys; from pathlib import Path\n"
        "from mnistkit.data.decompressed import keeping, open_kept\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        f"folder = Path(sys.argv[1])\nwith keeping(folder, {KEY!r}) as add:\n"
        "    for _ in range(9): add(bytes(2**20))\n"
        f"assert not open_kept(folder, [{KEY!r}]); assert not list(folder.iterdir())\n"
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
        "import sys; from pathlib import Path; from mnistkit.data.decompressed import keeping, open_kept\n"
        "folder, content = Path(sys.argv[1]), bytes(range(256)) * 30000\n"
        "for _ in range(15):\n"
        f"    with keeping(folder, {KEY!r}) as add: add(content)\n"
        f"    assert open_kept(folder, [{KEY!r}])[{KEY!r}] == content\n"
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
