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
from io import BufferedReader
from pathlib import Path

from attrs import frozen

from mnistkit.errors import StorageError

__all__ = [
    "FileInfo",
    "ensure_folder",
    "file_info",
    "mapped",
    "open_below",
    "open_descriptor",
    "open_regular",
    "read_regular",
    "sha256_hex",
    "sha256_of",
    "sync",
    "write_atomically",
]

_CHUNK = 1 << 20
_PIECE_BYTES = 1 << 16  # allocated without a system call: records are read by the thousand
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
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
    """Read ``path`` once, in constant memory, and return its size and sha256."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
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
            may be written by the group or others.
    """
    descriptor = open_descriptor(path, follow=True)
    try:
        if not _is_private(os.fstat(descriptor)):
            raise PermissionError(errno.EACCES, "Others may write it", str(path))
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise OSError(f"{path} is empty") from error
    finally:
        os.close(descriptor)


def _is_private(status: os.stat_result) -> bool:
    is_ours = os.name == "nt" or status.st_uid in {0, os.geteuid()}
    return is_ours and not (os.name != "nt" and status.st_mode & _WRITABLE_BY_OTHERS)


def open_regular(path: Path, *, within: Path | None = None) -> BufferedReader:
    """Open for reading a file that a job could have put something else in place of, without falling for that.

    Args:
        path: The file.
        within: A folder above it: no folder between the two may be a symbolic link either.

    Raises:
        FileNotFoundError: It isn't there, or it is a link, a pipe or a device, which might never end.
        OSError: As the system says.
    """
    try:
        name = path.relative_to(within or path.parent).as_posix()
        descriptor = open_below(within or path.parent, name, os.O_RDONLY)
        return os.fdopen(_checked(descriptor, path), "rb")
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise FileNotFoundError(errno.ENOENT, "it is a symbolic link", str(path)) from error
        if error.errno == errno.EINVAL:
            raise FileNotFoundError(errno.ENOENT, "it isn't a regular file", str(path)) from error
        raise


def open_descriptor(path: str | Path, *, follow: bool = False) -> int:
    """Return a descriptor to read a regular file with; without ``follow`` the file may not be a symbolic link.

    Raises:
        OSError: It can't be read, or is a pipe, a device or a folder: nothing waits for these.
    """
    # Opening a pipe without O_NONBLOCK would wait for its writer.
    return _checked(os.open(path, _READ_FLAGS if follow else _READ_FLAGS | getattr(os, "O_NOFOLLOW", 0)), path)


def _checked(descriptor: int, path: str | Path) -> int:
    """Return a descriptor of a regular file; close that of anything else, and raise an error."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def open_below(root: Path, name: str, flags: int) -> int:
    """Return a descriptor of a file or folder below a folder, none of whose parts may be a symbolic link.

    Args:
        root: The folder; may itself be reached through links.
        name: Relative POSIX path; a file is created with mode 0666 if the flags say so.
        flags: Of `os.open`.

    Raises:
        OSError: As the system says; a link is a `NotADirectoryError`, or has the number ``ELOOP``.
    """
    safe = flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    *folders, last = name.split("/")
    if os.open not in os.supports_dir_fd:  # Windows, where making a link takes a privilege
        if any((root / "/".join(folders[:depth])).is_symlink() for depth in range(1, len(folders) + 1)):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root / name))
        return os.open(root / name, safe, 0o666)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        return os.open(last, safe, 0o666, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def read_regular(path: str | Path, max_bytes: int, *, follow: bool = False) -> bytes:
    """Return the content of a regular file, in time and memory that grow with its size.

    Raises:
        OSError: As from `open_descriptor`, or it is larger than ``max_bytes``.
    """
    descriptor = open_descriptor(path, follow=follow)
    try:
        if os.fstat(descriptor).st_size > max_bytes:  # a sparse file of any size costs nothing to make
            raise OSError(errno.EFBIG, f"Larger than {max_bytes} bytes", str(path))
        pieces, room = [], max_bytes + 1
        while room > 0 and (piece := os.read(descriptor, min(_PIECE_BYTES, room))):
            pieces.append(piece)
            room -= len(piece)
    finally:
        os.close(descriptor)
    if room <= 0:  # it grew meanwhile
        raise OSError(errno.EFBIG, f"Larger than {max_bytes} bytes", str(path))
    return b"".join(pieces)


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
