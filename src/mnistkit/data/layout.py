"""Names and places of the four IDX files of a dataset below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mnistkit.data.idx import check_file_size
from mnistkit.errors import DataFormatError, NotFoundError
from mnistkit.utils.files import file_info
from mnistkit.utils.folders import walk_folders

__all__ = ["MAX_ARRAY_BYTES", "ROLES", "find_idx_files", "idx_name"]

MAX_ARRAY_BYTES: Final = 2**30
"""The most bytes of data that one file of a dataset may declare; the largest of EMNIST has 547 million."""

ROLES = ("train-images", "train-labels", "test-images", "test-labels")


_FILE_PATTERN = re.compile(r"((?:.*[-_.])?(train|t10k|test)-(images|labels)[-.]idx[1-4]-ubyte)(?:\.gz)?", re.IGNORECASE)


def find_idx_files(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Return the path of each of the four files (`ROLES`) below ``folder``, at any depth.

    Both spellings count (``train-images-idx3-ubyte``, ``train-images.idx3-ubyte``), plain or ``.gz``, with
    ``t10k`` or ``test``, after any prefix (``emnist-letters-train-images-idx3-ubyte.gz``). Hidden files and
    folders don't count. Where a plain file and its ``.gz`` lie together, the plain one is taken;
    of several files with the same content the first by name.

    Args:
        folder: Holds the files.
        prefix: What the names of the files begin with, such as ``emnist-letters``, where several datasets lie together.

    Raises:
        NotFoundError: There is no such folder.
        DataFormatError: A file is missing, or several could be meant.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        raise NotFoundError(f"{folder!s:.500} is not a folder: name the folder that holds the four IDX files.")
    found: dict[str, dict[Path, Path]] = {role: {} for role in ROLES}
    for path in _visible_files(folder):
        match = _FILE_PATTERN.fullmatch(path.name)
        if match and path.name.startswith(prefix) and path.is_file():
            stem, part, kind = match.groups()
            role = f"{'train' if part.lower() == 'train' else 'test'}-{kind.lower()}"
            found[role].setdefault(path.with_name(stem), path)  # sorted: a plain file comes before its .gz
    missing = [role for role, paths in found.items() if not paths]
    if missing:
        examples = ", ".join(idx_name(role) for role in missing)
        where = f"with names that begin with {prefix!r}, " if prefix else ""
        hint = " Pictures in class-named folders? mnistkit data import." if len(missing) == len(ROLES) else ""
        raise DataFormatError(f"{folder} lacks {examples} ({where}plain or .gz, at any depth).{hint}")
    for role, paths in found.items():
        if len(paths) > 1 and not _are_equal(paths.values()):
            names = ", ".join(str(path.relative_to(folder)) for path in paths.values())
            raise DataFormatError(
                f"{folder} holds several {role} files ({names}): name the folder of one dataset, or what its files "
                f"begin with, as in 'idx:{folder}#emnist-letters'."
            )
    return {role: next(iter(paths.values())) for role, paths in found.items()}


def _visible_files(folder: Path) -> list[Path]:
    """Return the paths of all files below a folder, sorted, without hidden ones and those in hidden folders.

    Hidden folders aren't entered: another thread's download is in one, and may vanish while it is listed.
    """
    found = []
    for parent, folders, files in walk_folders(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _are_equal(paths: Iterable[Path]) -> bool:
    """Return True if files hold the same bytes: archives exist in which each file lies twice."""
    first, *others = paths
    size = first.stat().st_size
    check_file_size(first, size, MAX_ARRAY_BYTES)
    return all(path.stat().st_size == size for path in others) and len({file_info(p) for p in (first, *others)}) == 1


def idx_name(role: str) -> str:
    """Return the usual name of the plain file of a role."""
    part, kind = role.split("-")
    return f"{'train' if part == 'train' else 't10k'}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
