"""Every change that the folder registry makes on the disk.

When a function returns, its change is on the disk, not only in the cache, except for `create_folder`, `rename` and the
removals: there the caller flushes with `sync` when it matters. None follows a symbolic link, none waits on a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mnistkit.utils import regular
from mnistkit.utils.files import FileInfo, sync
from mnistkit.utils.folders import remove_tree

__all__ = [
    "copy_file",
    "create_folder",
    "hash_file",
    "make_folder",
    "open_regular",
    "put_if_absent",
    "read_regular",
    "remove",
    "remove_empty",
    "rename",
    "sync",
    "write_file",
]

_CHUNK_BYTES = 1 << 20
_ZEROS = bytes(_CHUNK_BYTES)
_MAX_RECORD_BYTES = 64 << 20
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NO_LINK_ERRNOS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def create_folder(path: Path) -> None:
    """Create a new folder in one that is there.

    Raises:
        FileExistsError: It is there already.
    """
    path.mkdir()


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents; idempotent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        create_folder(path)
    except FileExistsError:
        if not path.is_dir():
            raise
    sync(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Create a new file.

    Raises:
        FileExistsError: It is there already.
    """
    with _created(path) as descriptor:
        _write(descriptor, data)


def copy_file(source: Path, target: Path) -> FileInfo:
    """Copy a regular file to a new one, and return what was copied."""
    digest, size = hashlib.sha256(), 0
    with open_regular(source) as reader, _created(target) as descriptor:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if chunk == _ZEROS:  # a hole stays one: a sparse file of any size costs nothing to make
                os.lseek(descriptor, len(chunk), os.SEEK_CUR)
            else:
                _write(descriptor, chunk)
        os.ftruncate(descriptor, size)
    return FileInfo(size, digest.hexdigest())


def put_if_absent(path: Path, data: bytes, staging: Path) -> bool:
    """Create ``path`` with all of ``data`` at once, unless it exists; return True if this call did.

    Where the file system has no hard links the file appears first and fills next: a crash between the two leaves
    one that can't be read, before any caller got True.

    Args:
        path: The file.
        data: Its content.
        staging: A folder on the same file system for the temporary file.
    """
    partial = staging / f"{uuid.uuid4().hex}.json"
    write_file(partial, data)
    try:
        created = _linked(partial, path, data)
    finally:
        with contextlib.suppress(OSError):  # it is one more leftover in staging
            remove(partial)
    if created:
        sync(path.parent)
    return created


def rename(source: Path, target: Path) -> None:
    """Move a folder to a name that is free: the claim and the publication in one step."""
    source.rename(target)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all it holds; idempotent, also while others remove it."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_empty(path: Path) -> None:
    """Remove a folder that holds nothing.

    Raises:
        OSError: It isn't there, or holds something.
    """
    path.rmdir()


def read_regular(path: str | Path, max_bytes: int = _MAX_RECORD_BYTES) -> bytes:
    """Return the content of a record; see `mnistkit.utils.regular.read_regular`."""
    return regular.read_regular(path, max_bytes)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: It can't be read, or is a link, a pipe, a device or a folder.
    """
    return os.fdopen(regular.open_descriptor(path), "rb")


def hash_file(path: Path) -> FileInfo:
    """Read a regular file once, in constant memory, and return its size and sha256.

    Raises:
        OSError: As from `open_regular`.
    """
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileInfo(size, digest.hexdigest())


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    """Yield a descriptor to write a new file with; flush it at the end of the block."""
    descriptor = os.open(path, _CREATE_FLAGS, 0o666)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _linked(partial: Path, path: Path, data: bytes) -> bool:
    """Return True if this call made ``path`` a second name of ``partial``, or without hard links a copy of it."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return partial.stat().st_nlink > 1  # a network file system may do it and report that it failed
    except OSError as error:
        if error.errno not in _NO_LINK_ERRNOS:
            raise
        return _written(path, data)
    return True


def _written(path: Path, data: bytes) -> bool:
    try:
        write_file(path, data)
    except FileExistsError:
        return False
    except OSError:
        with contextlib.suppress(OSError):
            remove(path)
        raise
    return True
