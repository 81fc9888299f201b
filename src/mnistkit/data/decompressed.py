"""Decompressed copies of ``.gz`` files, kept beside them so that later reads needn't inflate them again.

A kept file is named after the sha256 of its ``.gz``. It is the plain file, the digest of each 4 MiB of that, its length
(8 bytes, big-endian), the name of the hash (8 bytes, padded with zeros), and the digest of the ``.gz``'s sha256 and all
that follows the plain file. So it is verified byte by byte on several threads, which one digest of the whole doesn't
allow, and can't pass for what another ``.gz`` holds. The hash is BLAKE3 where it is installed (the extra ``fast``),
else sha256; who lacks the one that a file names makes the file again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import io
import logging
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.utils.files import mapped

__all__ = ["DECODED", "keeping", "open_kept", "tidy"]

DECODED = ".decoded"

_CHUNK = 4 << 20
_DIGEST = 32  # of either hash
_LENGTH = _NAME = 8
_THREADS = min(4, os.cpu_count() or 1)
_STALE_SECONDS = 24 * 3600

_REJECTED = "%s is damaged, or kept with a hash that isn't installed: it is made again"

_log = logging.getLogger(__name__)


def open_kept(folder: Path, sha256s: Iterable[str]) -> dict[str, memoryview]:
    """The plain bytes of ``.gz`` files, memory-mapped, once every one of them has been verified.

    Files that belong to another user (root apart), or that others may write, don't count: their digests prove nothing.

    Args:
        folder: Where they are kept.
        sha256s: Of the ``.gz`` files.

    Returns:
        Read-only bytes by sha256, of those that are kept and whole.
    """
    found = {sha256: kept for sha256 in sha256s if (kept := _opened(folder, sha256))}
    chunks = deque((sha256, start) for sha256, kept in found.items() for start in range(0, len(kept.plain), _CHUNK))

    def damaged() -> set[str]:
        bad = set()
        with contextlib.suppress(IndexError):  # no chunk is left
            while True:
                sha256, start = chunks.popleft()
                if not found[sha256].is_right(start):
                    bad.add(sha256)
        return bad

    with ThreadPoolExecutor(_THREADS) as pool:
        others = [pool.submit(damaged) for _ in range(min(_THREADS, len(chunks)) - 1)]
        bad = damaged().union(*(other.result() for other in others))
    for sha256 in bad:
        _log.warning(_REJECTED, found.pop(sha256).path)
    return {sha256: kept.plain for sha256, kept in found.items()}


@contextlib.contextmanager
def keeping(folder: Path, sha256: str) -> Iterator[Callable[[bytes | memoryview], object]]:
    """Keep the plain bytes of a ``.gz`` file that the block hands over piece by piece, unless the block raises.

    Best effort: where the folder can't be written, nothing is kept and nothing is raised. Atomic, and safe in several
    processes at once.

    Args:
        folder: Where to keep them; created if need be.
        sha256: Of the ``.gz`` file, to be verified by the block.

    Yields:
        What hashes and writes the next bytes; from one thread at a time.
    """
    path = _place(folder, sha256)
    if path is None:
        yield lambda _: None
        return
    writer = _Writer(path, sha256)
    try:
        yield writer.write
        writer.finish()
    finally:
        writer.discard()


def tidy(folder: Path, wanted: Collection[str]) -> None:
    """Remove what is kept of ``.gz`` files whose sha256 isn't among ``wanted``, and what killed writers left."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            abandoned = path.suffix == ".part" and time.time() - path.stat().st_mtime > _STALE_SECONDS
            if abandoned or (path.suffix == ".idx" and path.stem not in wanted):
                path.unlink()


@frozen(eq=False)
class _Kept:
    """A kept file: its plain bytes, what follows them, and the hash that it names."""

    path: Path
    plain: memoryview
    end: memoryview
    new: Callable[..., Any]

    def is_right(self, start: int) -> bool:
        """Whether the chunk that begins at ``start`` is what it was."""
        at = start // _CHUNK * _DIGEST
        digest: bytes = self.new(self.plain[start : start + _CHUNK]).digest()
        return digest == self.end[at : at + _DIGEST]


class _Writer:
    """A file under a temporary name, and the digests of its parts; after an error nothing more is written."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._path, self._sha256 = path, sha256
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.part")
        self._name, self._new = next(iter(_hashes().items()))
        self._digests, self._digest, self._length = b"", self._new(), 0
        self._stream: io.BufferedWriter | None = None
        with self._giving_up():
            path.parent.mkdir(exist_ok=True)
            self._stream = _create(self._partial)

    def write(self, data: bytes | memoryview) -> None:
        """Hash and append ``data``."""
        view = memoryview(data)
        with self._giving_up():
            while self._stream and view:
                part = view[: _CHUNK - self._length % _CHUNK]
                self._digest.update(part)
                self._stream.write(part)
                self._length += len(part)
                view = view[len(part) :]
                if self._length % _CHUNK == 0:
                    self._end_chunk()

    def finish(self) -> None:
        """Append the digests and give the file its name. Not synced: what a crash tears, its digests reveal."""
        if self._length % _CHUNK:
            self._end_chunk()
        body = self._digests + self._length.to_bytes(_LENGTH, "big") + self._name
        with self._giving_up():
            if self._stream:
                self._stream.write(body + _seal(self._new, self._sha256, body))
                self._stream.close()
                self._partial.replace(self._path)

    def discard(self) -> None:
        """Leave no temporary file behind."""
        with contextlib.suppress(OSError):
            if self._stream:
                self._stream.close()
        with contextlib.suppress(OSError):
            self._partial.unlink()

    def _end_chunk(self) -> None:
        self._digests += self._digest.digest()
        self._digest = self._new()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _log.debug("%s isn't kept: %s", self._path, error)
            self.discard()
            self._stream = None


def _place(folder: Path, sha256: str) -> Path | None:
    return folder / f"{sha256}.idx" if re.fullmatch("[0-9a-f]{64}", sha256) else None


def _create(path: Path) -> io.BufferedWriter:
    """A new file that others can't write, whatever the umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o644), "wb")


@functools.cache
def _hashes() -> Mapping[bytes, Callable[..., Any]]:
    """The hashes that are there, by the name in the file, the fastest first; both speak as `hashlib` does."""
    hashes: dict[bytes, Callable[..., Any]] = {}
    with contextlib.suppress(ImportError):
        hashes[b"blake3".ljust(_NAME, b"\0")] = importlib.import_module("blake3").blake3
    hashes[b"sha256".ljust(_NAME, b"\0")] = hashlib.sha256
    return hashes


def _seal(new: Callable[..., Any], sha256: str, end: bytes | memoryview) -> bytes:
    digest: bytes = new(bytes.fromhex(sha256) + end).digest()
    return digest


def _opened(folder: Path, sha256: str) -> _Kept | None:
    """The kept file if it is there and its end is what it was; its chunks have yet to be looked at."""
    path = _place(folder, sha256)
    try:
        if path is None or path.is_symlink():
            return None
        whole = mapped(path)
    except OSError:
        return None
    name, length = bytes(whole[-_DIGEST - _NAME : -_DIGEST]), whole[-_DIGEST - _NAME - _LENGTH : -_DIGEST - _NAME]
    size = int.from_bytes(length, "big")
    new, end = _hashes().get(name), whole[size:-_DIGEST]
    chunks = -(-min(size, len(whole)) // _CHUNK)
    if new is None or len(end) != chunks * _DIGEST + _LENGTH + _NAME or _seal(new, sha256, end) != whole[-_DIGEST:]:
        _log.warning(_REJECTED, path)
        return None
    return _Kept(path, whole[:size], end, new)
