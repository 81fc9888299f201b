"""Every change that the folder registry makes on the disk, in a handful of functions.

What these return from is on the disk, not only in its cache, except for `rename` and `remove`: there the caller
says with `sync` when it matters. None of them follows a symbolic link, and none waits on a pipe.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mnistkit.files import FileInfo, sync

__all__ = [
    "copy_file",
    "make_folder",
    "open_regular",
    "put_if_absent",
    "remove",
    "rename",
    "sync",
    "walk_regular",
    "write_file",
]

_CHUNK = 1 << 20
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents; idempotent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Create a new file.

    Raises:
        FileExistsError: It is there already.
    """
    with os.fdopen(os.open(path, _CREATE, 0o666), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def copy_file(source: Path, target: Path) -> FileInfo:
    """Copy a regular file to a new one, and say what was copied."""
    digest, size = hashlib.sha256(), 0
    with open_regular(source) as reader, os.fdopen(os.open(target, _CREATE, 0o666), "wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
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
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}:
            raise
        try:
            write_file(path, data)
        except FileExistsError:
            return False
    finally:
        remove(partial)
    sync(path.parent)
    return True


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


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: It can't be read, or is a link, a pipe, a device or a folder.
    """
    descriptor = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


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
