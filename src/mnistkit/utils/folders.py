"""The files below a folder, however deep it is nested: `os.walk` and `shutil.rmtree` recur, which Python limits."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["found_files", "regular_files", "regular_names", "remove_tree", "walk_folders"]

_MAX_FOLDER_DEPTH = 64


def regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield ``(relative POSIX path, path)`` of each regular file below ``root``, sorted.

    Symbolic links, hard links, pipes and devices are left out: a job may have left them to be followed. So is what
    lies more than 64 folders deep, and all of it if ``root`` is a symbolic link.
    """
    return ((file, path) for file, path, problem in found_files(root) if not problem)


def regular_names(root: Path) -> list[str]:
    """Return the relative POSIX paths that `regular_files` yields, in a fraction of the time: lists of runs need it."""
    return [file for file, _, problem in _found(str(root)) if not problem]


def found_files(root: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield ``(relative POSIX path, path, problem)`` of all that is below ``root`` but the folders.

    Problem is empty for what `regular_files` yields, else it says why that leaves it out. Only folders are opened.
    """
    return ((file, Path(path), problem) for file, path, problem in _found(str(root)))


def _found(root: str) -> Iterator[tuple[str, str, str]]:
    failed: list[OSError] = []
    if os.path.islink(root):  # noqa: PTH114 - this is called for each run of a list
        return
    for folder, names, files in walk_folders(root, failed.append):
        below = folder[len(root) :].replace(os.sep, "/").lstrip("/")
        prefix = f"{below}/" if below else ""
        links = [name for name in names if os.path.islink(f"{folder}{os.sep}{name}")]  # noqa: PTH114 - the same
        for name in sorted([*files, *links]):
            path = f"{folder}{os.sep}{name}"
            yield prefix + name, path, _problem(path)
        if names and prefix.count("/") == _MAX_FOLDER_DEPTH:
            path = f"{folder}{os.sep}{names[0]}"
            yield prefix + names[0], path, f"lies more than {_MAX_FOLDER_DEPTH} folders deep"
            names.clear()
    for error in failed:
        if error.filename != root:
            file = error.filename[len(root) :].replace(os.sep, "/").lstrip("/")
            yield file, error.filename, f"can't be listed: {error.strerror}"


def walk_folders(
    root: str | os.PathLike[str], on_error: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield ``(folder, names of folders, names of others)`` for a folder and all below it, as `os.walk` does.

    Names are sorted; a folder that is taken out of the list isn't entered, nor is a symbolic link to one.

    Args:
        root: The folder.
        on_error: Called for each folder that can't be listed; None to leave these out.
    """
    waiting = [os.fspath(root)]
    while waiting:
        here = waiting.pop()
        names: list[str] = []
        others: list[str] = []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    (names if _is_folder(entry) else others).append(entry.name)
        except OSError as error:
            if on_error is not None:
                on_error(error)
            continue
        names.sort()
        others.sort()
        yield here, names, others
        below = (os.path.join(here, name) for name in reversed(names))  # noqa: PTH118 - for speed
        waiting += [folder for folder in below if not os.path.islink(folder)]  # noqa: PTH114 - the same


def remove_tree(path: Path) -> None:
    """Remove a folder with all it holds; idempotent, also while others remove it. A link is removed, never followed.

    Raises:
        OSError: Something of it can't be removed.
    """
    if path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        _remove_nested(path)
    if os.path.lexists(path):
        raise OSError(errno.ENOTEMPTY, "Can't remove all of it", str(path))


def _remove_nested(path: Path) -> None:
    """Remove a folder that is nested too deep for recursion, and for the length of a path: folder by folder.

    Each folder's subfolders are first moved up to ``path`` itself, so that nothing lies deeper than two below it.
    """
    while path.exists():
        with os.scandir(path) as entries:
            found = list(entries)
        if not found:
            path.rmdir()
            return
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            with os.scandir(entry.path) as entries:
                below = list(entries)
            for each in below:
                if each.is_dir(follow_symlinks=False):
                    Path(each.path).rename(path / uuid.uuid4().hex)
                else:
                    Path(each.path).unlink()
            Path(entry.path).rmdir()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _problem(path: str) -> str:
    try:
        status = os.lstat(path)
    except OSError as error:
        return f"can't be looked at: {error.strerror}"
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    return "" if status.st_nlink == 1 else "is a hard link"
