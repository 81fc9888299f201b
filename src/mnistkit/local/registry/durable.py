"""Every change that the folder registry makes on the disk, in a handful of functions.

What these return from is on the disk, not only in its cache, except for `create_folder`, `rename` and the removals:
there the caller says with `sync` when it matters. None of them follows a symbolic link, and none waits on a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mnistkit.utils.files import FileInfo, sync

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
    "walk_regular",
    "write_file",
]

_CHUNK = 1 << 20
_SMALL = 1 << 16  # what is allocated without asking the system
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


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
    """Copy a regular file to a new one, and say what was copied."""
    digest, size = hashlib.sha256(), 0
    with open_regular(source) as reader, _created(target) as descriptor:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            _write(descriptor, chunk)
    return FileInfo(size, digest.hexdigest())


def put_if_absent(path: Path, data: bytes, staging: Path) -> bool:
    """Create ``path`` with all of ``data`` at once, unless it exists; returns whether this call created it.

    Where the file system has no hard links the file appears first and fills next: a crash between the two leaves
    one that can't be read, and nobody was told that it was written.

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
    """Move a folder to a name that nobody has: the claim and the publication in one step."""
    source.rename(target)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all it holds; idempotent, also against others who remove it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise OSError(errno.ENOTEMPTY, "Can't remove all of it", str(path))
    else:
        path.unlink(missing_ok=True)


def remove_empty(path: Path) -> None:
    """Remove a folder that holds nothing.

    Raises:
        OSError: It isn't there, or holds something.
    """
    path.rmdir()


def read_regular(path: str | Path) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: As from `open_regular`.
    """
    descriptor = _opened(path)
    try:
        data = os.read(descriptor, _SMALL)
        while part := os.read(descriptor, _SMALL):
            data += part
    finally:
        os.close(descriptor)
    return data


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: It can't be read, or is a link, a pipe, a device or a folder.
    """
    return os.fdopen(_opened(path), "rb")


def hash_file(path: Path) -> FileInfo:
    """Read a regular file once, in constant memory, and return its size and sha256.

    Raises:
        OSError: As from `open_regular`.
    """
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileInfo(size, digest.hexdigest())


def walk_regular(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield ``(relative POSIX path, path)`` of each file below ``folder``, sorted.

    Raises:
        OSError: Something in it is neither a regular file nor a folder, or can't be listed.
    """
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from walk_regular(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield prefix + entry.name, Path(entry.path)
        else:
            what = "a symbolic link" if entry.is_symlink() else "neither a file nor a folder"
            raise OSError(errno.EINVAL, f"it is {what}", entry.path)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    """A descriptor to write a new file with; flushed at the end of the block."""
    descriptor = os.open(path, _CREATE, 0o666)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _opened(path: str | Path) -> int:
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def _linked(partial: Path, path: Path, data: bytes) -> bool:
    """Whether this call made ``path`` a second name of ``partial``, or without hard links a copy of it."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return partial.stat().st_nlink > 1  # a network file system may do it and report that it failed
    except OSError as error:
        if error.errno not in _NO_LINKS:
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
