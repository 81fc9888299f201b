"""The files below a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["found_files", "regular_files"]

_MAX_FOLDER_DEPTH = 64


def regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield ``(relative POSIX path, path)`` of each regular file below ``root``, sorted.

    Symbolic links, hard links, pipes and devices are left out: a job may have left them to be followed. So is what
    lies more than 64 folders deep, and all of it if ``root`` is a symbolic link.
    """
    return ((file, path) for file, path, problem in found_files(root) if not problem)


def found_files(root: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield ``(relative POSIX path, path, problem)`` of all that is below ``root`` but the folders.

    Problem is empty for what `regular_files` yields, else it says why that leaves it out. Only folders are opened.
    """
    failed: list[OSError] = []
    if root.is_symlink():
        return
    for folder, names, files in os.walk(root, onerror=failed.append):
        names.sort()
        below = Path(folder).relative_to(root)
        for name in sorted([*files, *(name for name in names if Path(folder, name).is_symlink())]):
            path = Path(folder, name)
            yield (below / name).as_posix(), path, _problem(path)
        if len(below.parts) == _MAX_FOLDER_DEPTH and names:
            yield (
                (below / names[0]).as_posix(),
                Path(folder, names[0]),
                f"lies more than {_MAX_FOLDER_DEPTH} folders deep",
            )
            names.clear()
    for error in failed:
        path = Path(error.filename)
        if path != root:
            yield path.relative_to(root).as_posix(), path, f"can't be listed: {error.strerror}"


def _problem(path: Path) -> str:
    try:
        status = path.lstat()
    except OSError as error:
        return f"can't be looked at: {error.strerror}"
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    return "" if status.st_nlink == 1 else "is a hard link"
