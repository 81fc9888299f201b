"""Open regular files that another program could have replaced by a link, a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

__all__ = ["copy_below", "open_below", "open_descriptor", "open_file", "open_regular", "read_regular"]

_CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16  # allocated without a system call: records are read by the thousand
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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
        if error.errno in {errno.EINVAL, errno.EISDIR}:
            raise FileNotFoundError(errno.ENOENT, "it isn't a regular file", str(path)) from error
        raise


def open_descriptor(path: str | os.PathLike[str], *, follow: bool = False) -> int:
    """Return a descriptor to read a regular file with; without ``follow`` the file may not be a symbolic link.

    Raises:
        OSError: It can't be read, or is a pipe, a device or a folder: nothing waits for these.
    """
    # Opening a pipe without O_NONBLOCK would wait for its writer.
    return _checked(os.open(path, _READ_FLAGS if follow else _READ_FLAGS | getattr(os, "O_NOFOLLOW", 0)), path)


def _checked(descriptor: int, path: str | os.PathLike[str]) -> int:
    """Return a descriptor of a regular file; close that of anything else, and raise an error."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open for reading a file that the user names, which may be a symbolic link.

    Raises:
        OSError: It can't be read, or is a pipe, a device or a folder: nothing waits for these.
    """
    return os.fdopen(open_descriptor(path, follow=True), "rb")


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


def copy_below(root: Path, name: str, target: Path) -> None:
    """Copy a regular file that a job left below ``root`` to a new file; what is a hole in it stays one.

    Raises:
        FileNotFoundError: It isn't there, or a link, a pipe or a device is in its place or in its path.
        OSError: As the system says.
    """
    with open_regular(root / name, within=root) as source, target.open("xb") as copy:
        size, position = os.fstat(source.fileno()).st_size, 0
        while position < size:
            start, end = _data_after(source.fileno(), position, size)
            source.seek(start)
            copy.seek(start)
            while start < end and (chunk := source.read(min(_CHUNK_BYTES, end - start))):
                copy.write(chunk)
                start += len(chunk)
            position = end
        copy.truncate(size)


def _data_after(descriptor: int, position: int, size: int) -> tuple[int, int]:
    """Return where the next data of a file begins and ends: a sparse file of any size costs nothing to make."""
    if not hasattr(os, "SEEK_DATA"):
        return position, size
    try:
        start = os.lseek(descriptor, position, os.SEEK_DATA)
        return start, os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is a hole up to the end
            return size, size
        return position, size
