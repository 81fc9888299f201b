"""Capped logs: what is left out is said, what was read never changes, and nothing is raised or piled up."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.runs.folder.capped_log import CappedLog

MIB = 1 << 20
CAP = 64 * MIB + 1024


class NaiveLog:
    """A log as one writes it first: it keeps everything."""

    def __init__(self, path: Path) -> None:
        self.stream = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        self.stream.write(data)

    def finish(self) -> None:
        self.stream.close()


def flood(log: CappedLog | NaiveLog, chunk: bytes, total: int) -> None:
    """Write ``total`` bytes, chunk by chunk."""
    for _ in range(total // len(chunk)):
        log.write(chunk)
    log.finish()


def cut(line: bytes, limit: int) -> bytes:
    """One line, with its end if it has one, as a capped log keeps it."""
    end = line[-1:] if line.endswith((b"\n", b"\r")) else b""
    dropped = len(line) - len(end) - limit
    if dropped <= 0:
        return line
    return line[:limit] + f" ... {dropped} bytes of this line were dropped".encode() + (end or b"\n")


def expected(data: bytes, head: int, tail: int, limit: int) -> bytes:
    """What a capped log holds in the end, worked out from the whole output at once."""
    text = b"".join(cut(line, limit) for line in re.findall(rb"[^\r\n]*[\r\n]|[^\r\n]+", data))
    start, rest, half = text[:head], text[head:], tail // 2
    dropped = max(-(-len(rest) // half) - 2, 0) * half
    if not dropped:
        return text
    part_of_line = re.match(rb"[^\r\n]*[\r\n]", rest[dropped : dropped + half])
    dropped += part_of_line.end() if part_of_line else 0
    break_ = b"" if not start or start.endswith((b"\n", b"\r")) else b"\n"
    return start + break_ + f"... {dropped} bytes were left out here ...\n".encode() + rest[dropped:]


@settings(deadline=None)
@given(
    chunks=st.lists(st.text("ab\n\r", max_size=30).map(str.encode), max_size=12),
    head=st.integers(0, 40),
    tail=st.integers(2, 40),
    line=st.integers(1, 12),
)
def test_any_output_in_any_chunks(
    chunks: list[bytes], head: int, tail: int, line: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However the output is cut into chunks, the file is what the rules say; it only grows on the way."""
    path = tmp_path_factory.mktemp("log") / "std_log.txt"
    seen = b""
    with CappedLog(path, head=head, tail=tail, line=line) as log:
        for chunk in chunks:
            log.write(chunk)
            now = path.read_bytes()
            assert now.startswith(seen)
            seen = now
    assert path.read_bytes() == expected(b"".join(chunks), head, tail, line)
    assert path.read_bytes().startswith(seen)
    assert log.error is None
    assert list(path.parent.iterdir()) == [path]


def test_lines_are_seen_at_once(tmp_path: Path) -> None:
    """Who follows the file sees what was written so far, also a line that isn't complete yet."""
    path = tmp_path / "log"
    with CappedLog(path) as log:
        log.write(b"first\nsec")
        assert path.read_bytes() == b"first\nsec"
        log.write(memoryview(b"ond\n"))
        assert path.read_bytes() == b"first\nsecond\n"


def test_short_output_stays_as_it_is(tmp_path: Path) -> None:
    """Output that fits into head and tail is kept byte by byte, with nothing added."""
    output = bytes(range(256)) * 20
    with CappedLog(tmp_path / "log", head=1000, tail=4120, line=300) as log:
        for start in range(0, len(output), 7):
            log.write(output[start : start + 7])
    assert (tmp_path / "log").read_bytes() == output


def test_it_appends(tmp_path: Path) -> None:
    """What is in the file already stays: a second attempt writes after the first."""
    for attempt in (b"first\n", b"second\n"):
        with CappedLog(tmp_path / "log") as log:
            log.write(attempt)
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"


def test_finish_twice(tmp_path: Path) -> None:
    """`finish` is idempotent."""
    log = CappedLog(tmp_path / "log", head=4, tail=4)
    log.write(b"one\ntwo\nthree\n")
    log.finish()
    text = (tmp_path / "log").read_bytes()
    log.finish()
    assert (tmp_path / "log").read_bytes() == text


def test_one_line_of_200_mb(tmp_path: Path) -> None:
    """A line of 200 MB leaves 64 KiB of itself and how much was dropped; the lines around it are whole."""
    path = tmp_path / "log"
    log = CappedLog(path)
    log.write(b"before\n")
    for _ in range(200):
        log.write(b"x" * 1_000_000)
    log.write(b"\nafter\n")
    log.finish()
    dropped = 200_000_000 - 64 * 1024
    note = f" ... {dropped} bytes of this line were dropped\nafter\n".encode()
    assert path.read_bytes() == b"before\n" + b"x" * 64 * 1024 + note


def test_a_million_empty_lines(tmp_path: Path) -> None:
    """A million empty lines, in whatever chunks, are a million empty lines."""
    path = tmp_path / "log"
    log = CappedLog(path)
    log.write(b"\n" * 900_000)
    for _ in range(100_000):
        log.write(b"\n")
    log.finish()
    assert path.read_bytes() == b"\n" * 1_000_000


def test_progress_bars_are_lines(tmp_path: Path) -> None:
    """Each state of a progress bar, which ends with a carriage return, is a line: none of it is dropped as too long."""
    path = tmp_path / "log"
    output = b"".join(b"epoch %6d of 100000 [=====     ]\r" % epoch for epoch in range(10_000))
    with CappedLog(path) as log:
        for start in range(0, len(output), 4096):
            log.write(output[start : start + 4096])
    assert path.read_bytes() == output


@pytest.mark.slow
def test_a_gigabyte(tmp_path: Path) -> None:
    """1 GB of lines leaves the first 16 MiB, the number of bytes left out, and whole lines up to the very last."""
    path = tmp_path / "log"
    log = CappedLog(path)
    number = 0
    for _ in range(1000):
        log.write(b"".join(b"line %014d\n" % each for each in range(number, number + 50_000)))
        number += 50_000
    log.finish()
    text = path.read_bytes()
    head, note, tail = re.split(rb"\n\.\.\. (\d+) bytes were left out here \.\.\.\n", text)
    assert len(text) <= CAP
    assert len(head) == 16 * MIB
    assert 24 * MIB - 64 * 1024 <= len(tail) <= 48 * MIB
    assert len(head) + int(note) + len(tail) == 1_000_000_000
    first = int(tail[5:19])
    assert tail == b"".join(b"line %014d\n" % each for each in range(first, 50_000_000))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_naive_log_keeps_everything(tmp_path: Path) -> None:
    """The cap is the log's doing: one that appends everything exceeds it under the same flood."""
    flood(NaiveLog(tmp_path / "naive"), b"line\n" * 20_000, 100 * MIB)
    flood(CappedLog(tmp_path / "capped"), b"line\n" * 20_000, 100 * MIB)
    assert (tmp_path / "naive").stat().st_size > CAP
    assert (tmp_path / "capped").stat().st_size <= CAP


@pytest.mark.parametrize("chunk", [b"x" * MIB, b"\n" * MIB, b"0123456789abcde\n" * 65_536])
def test_memory_is_bounded(tmp_path: Path, chunk: bytes) -> None:
    """150 MiB of output, lines or not, take at most 4 MiB of memory, `finish` included."""
    log = CappedLog(tmp_path / "log")
    tracemalloc.start()
    try:
        flood(log, chunk, 150 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 * MIB


FULL = """
import resource, signal, sys
from mnistkit.local.capped_log import CappedLog
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with CappedLog(sys.argv[1], head=int(sys.argv[3]), tail=200_000) as log:
    for _ in range(1000):
        log.write(b"line\\n" * 200)
print(type(log.error).__name__, log.error.strerror)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(
    ("limit", "head", "kept"), [(4096, 50_000, 4096), (60_000, 50_000, 50_000), (150_000, 50_000, 50_000)]
)
def test_full_disk(tmp_path: Path, limit: int, head: int, kept: int) -> None:
    """Once nothing more can be written the rest is drained: no error is raised, the first one is remembered."""
    path = tmp_path / "log"
    command = [sys.executable, "-c", FULL, str(path), str(limit), str(head)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "OSError File too large\n", done.stderr
    text = path.read_bytes()
    assert text[:kept] == (b"line\n" * kept)[:kept]
    assert len(text) <= limit
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device() -> None:
    """A device that takes nothing is remembered as the error it gives, and `write` goes on taking what comes."""
    with CappedLog("/dev/full") as log:
        for _ in range(10):
            log.write(b"line\n")
    assert isinstance(log.error, OSError)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_the_reason_is_in_the_log(tmp_path: Path) -> None:
    """If there is room again in the end, the log says where and why it stopped."""
    path = tmp_path / "log"
    script = FULL + "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
    script = script.replace("print(type(log.error).__name__, log.error.strerror)\n", "")
    command = [sys.executable, "-c", script, str(path), "60000", "50000"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert path.read_bytes() == b"line\n" * 22_000 + b"\n... the log ends here: File too large\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A log that can't even be opened is an error at once: it is the supervisor's to report."""
    with pytest.raises(FileNotFoundError):
        CappedLog(tmp_path / "nowhere" / "log")
