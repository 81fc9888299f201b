"""Files that are whole or not there: hashing, and temp -> verify -> move."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import stat
import time
import uuid
from functools import lru_cache
from pathlib import Path

from attrs import frozen

from mnistkit.errors import StorageError
from mnistkit.utils.regular import open_descriptor, open_file

__all__ = [
    "FileInfo",
    "ensure_folder",
    "file_info",
    "mapped",
    "sha256_hex",
    "sha256_of",
    "sync",
    "write_atomically",
]

_CHUNK = 1 << 20
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SETTLED_NS = 2 * 10**9


@frozen
class FileInfo:
    """Size and content of one file.

    Attributes:
        size: In bytes.
        sha256: 64 lower-case hexadecimal digits.
    """

    size: int
    sha256: str


def sha256_hex(data: bytes | memoryview) -> str:
    """The sha256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file, which is read once: again only if its size or one of its times has changed since.

    Raises:
        OSError: As the system says.
    """
    status = path.stat()
    # A file that was just written may be written again within the same tick of the clock.
    settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return _sha256_of(path.absolute(), stamp) if settled else file_info(path).sha256


@lru_cache(1024)
def _sha256_of(path: Path, stamp: tuple[int, ...]) -> str:  # noqa: ARG001 - another stamp is another file
    return file_info(path).sha256


def file_info(path: Path) -> FileInfo:
    """Read a regular file once, in constant memory, and return its size and sha256.

    Raises:
        OSError: It can't be read, or is a pipe, a device or a folder.
    """
    digest, size = hashlib.sha256(), 0
    with open_file(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileInfo(size, digest.hexdigest())


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file that no other user can write, read-only and memory-mapped.

    They are read when they are looked at, and shared between processes. What another user could change after it was
    verified must be copied instead, and what is cut off a mapped file ends the process that looks there: this is for
    files of the user's own that are only ever replaced as a whole.

    Raises:
        OSError: As the system says, or the file is empty, is no regular one, belongs to another user (root apart), or
            may be written by the group or others, or lies in a folder that they may write.
    """
    descriptor = open_descriptor(path, follow=True)
    try:
        if not (_is_private(os.fstat(descriptor)) and _is_private(path.parent.stat())):
            raise PermissionError(errno.EACCES, "Others may write it", str(path))
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise OSError(f"{path} is empty") from error
    finally:
        os.close(descriptor)


def _is_private(status: os.stat_result) -> bool:
    is_ours = os.name == "nt" or status.st_uid in {0, os.geteuid()}
    return is_ours and not (os.name != "nt" and status.st_mode & _WRITABLE_BY_OTHERS)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader, or a crash, sees the old file or the new one, never a part.

    Raises:
        OSError: As the system says; no temporary file stays behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.part")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk. Windows can't open folders: there it does nothing for them."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if os.name == "nt":
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ensure_folder(path: Path, variable: str, *, writable: bool = True) -> Path:
    """Create the folder ``path`` with its parents, if need be, and return it.

    Args:
        path: The folder.
        variable: The environment variable that moves it, for the message.
        writable: Whether something will be written for sure; else a folder that is there is taken as it is.

    Raises:
        StorageError: It can't be created, or written although it must be ``writable``.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if writable and not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StorageError(
            f"Can't write to {path}: {error.strerror or error}. "
            f"Make it writable, or set {variable} to a folder that is."
        ) from error
    return path
