"""What ``.gz`` files hold, kept beside them, so that later reads need not inflate them again.

A kept file is named after the sha256 of its ``.gz``. It is the plain file, the sha256 of each 4 MiB of that, its length
(8 bytes, big-endian), and the sha256 of the ``.gz``'s sha256 and these. So it is verified byte by byte on several
threads, which one digest of the whole doesn't allow, and can't pass for what another ``.gz`` holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mnistkit.files import mapped

__all__ = ["DECODED", "keeping", "open_kept", "tidy"]

DECODED = ".decoded"

_CHUNK = 4 << 20
_DIGEST = hashlib.sha256().digest_size
_LENGTH = 8
_THREADS = min(4, os.cpu_count() or 1)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_STALE_SECONDS = 24 * 3600

_log = logging.getLogger(__name__)


def open_kept(folder: Path, sha256: str) -> memoryview | None:
    """The plain bytes of a ``.gz`` file, memory-mapped, once every one of them has been verified.

    Files that belong to another user (root apart), or that others may write, don't count: their digests prove nothing.

    Args:
        folder: Where they are kept.
        sha256: Of the ``.gz`` file.

    Returns:
        Read-only bytes, or None if they aren't kept or aren't whole.
    """
    path = _place(folder, sha256)
    try:
        if path is None or not _is_ours(path.lstat()):
            return None
        whole = mapped(path)
    except OSError:
        return None
    plain = _verified(whole, sha256)
    if plain is None:
        _log.warning("%s is damaged: it is made again", path)
    return plain


@contextlib.contextmanager
def keeping(folder: Path, sha256: str) -> Iterator[Callable[[bytes | memoryview], object]]:
    """Keep the plain bytes of a ``.gz`` file that the block hands over piece by piece, unless the block raises.

    They are hashed and written on a thread of their own, which has ended when the block has. Best effort: where the
    folder can't be written, nothing is kept and nothing is raised. Atomic, and safe in several processes at once.

    Args:
        folder: Where to keep them; created if need be.
        sha256: Of the ``.gz`` file, to be verified by the block.

    Yields:
        What takes the next bytes; views must keep their content until the block has ended.
    """
    path = _place(folder, sha256)
    if path is None:
        yield lambda _: None
        return
    writer = _Writer(path, sha256)
    try:
        with ThreadPoolExecutor(1) as pool:
            yield lambda data: pool.submit(writer.write, data)
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


class _Writer:
    """A file under a temporary name, and the digests of its parts; after an error nothing more is written."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._path, self._sha256 = path, sha256
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.part")
        self._digests, self._digest, self._length = b"", hashlib.sha256(), 0
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
        body = self._digests + self._length.to_bytes(_LENGTH, "big")
        with self._giving_up():
            if self._stream:
                self._stream.write(body + _seal(self._sha256, body))
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
        self._digest = hashlib.sha256()

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


def _is_ours(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return False
    return os.name == "nt" or (status.st_uid in {0, os.geteuid()} and not status.st_mode & _WRITABLE_BY_OTHERS)


def _seal(sha256: str, body: bytes | memoryview) -> bytes:
    return hashlib.sha256(bytes.fromhex(sha256) + body).digest()


def _verified(whole: memoryview, sha256: str) -> memoryview | None:
    """The plain bytes in a kept file's, if each is what it was."""
    length = int.from_bytes(whole[-_DIGEST - _LENGTH : -_DIGEST], "big")
    starts = range(0, min(length, len(whole)), _CHUNK)
    body = whole[length:-_DIGEST]
    if len(body) != len(starts) * _DIGEST + _LENGTH or _seal(sha256, body) != whole[-_DIGEST:]:
        return None
    plain = whole[:length]

    def is_right(start: int) -> bool:
        at = start // _CHUNK * _DIGEST
        return hashlib.sha256(plain[start : start + _CHUNK]).digest() == body[at : at + _DIGEST]

    if len(starts) == 1:
        return plain if is_right(0) else None
    with ThreadPoolExecutor(_THREADS) as pool:
        return plain if all(pool.map(is_right, starts)) else None
