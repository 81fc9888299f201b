"""Where the four IDX files of a dataset lie below a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mnistkit.errors import DataFormatError, NotFoundError

__all__ = ["ROLES", "find_idx_files"]

ROLES = ("train-images", "train-labels", "test-images", "test-labels")


_FILE = re.compile(r"((?:.*[-_.])?(train|t10k|test)-(images|labels)[-.]idx[1-4]-ubyte)(?:\.gz)?", re.IGNORECASE)


def find_idx_files(folder: Path) -> dict[str, Path]:
    """The path of each of the four files (`ROLES`) below ``folder``, at any depth.

    Both spellings count (``train-images-idx3-ubyte``, ``train-images.idx3-ubyte``), plain or ``.gz``, with
    ``t10k`` or ``test``, after any prefix (``emnist-letters-train-images-idx3-ubyte.gz``). Hidden files and
    folders don't count. Where a plain file and its ``.gz`` lie together, the plain one is taken.

    Raises:
        NotFoundError: There is no such folder.
        DataFormatError: A file is missing, or several could be meant.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        raise NotFoundError(f"{folder!s:.500} is not a folder: name the folder that holds the four IDX files.")
    found: dict[str, dict[Path, Path]] = {role: {} for role in ROLES}
    for path in sorted(folder.rglob("*")):
        match = _FILE.fullmatch(path.name)
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if match and not hidden and path.is_file():
            stem, part, kind = match.groups()
            role = f"{'train' if part.lower() == 'train' else 'test'}-{kind.lower()}"
            found[role].setdefault(path.with_name(stem), path)  # sorted: a plain file comes before its .gz
    missing = [role for role, paths in found.items() if not paths]
    if missing:
        examples = ", ".join(_example(role) for role in missing)
        hint = " Pictures in class-named folders? mnistkit data import." if len(missing) == len(ROLES) else ""
        raise DataFormatError(f"{folder} lacks {examples} (plain or .gz, at any depth).{hint}")
    for role, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in paths.values())
            raise DataFormatError(f"{folder} holds several {role} files ({names}): name the folder of one dataset.")
    return {role: next(iter(paths.values())) for role, paths in found.items()}


def _example(role: str) -> str:
    part, kind = role.split("-")
    return f"{'train' if part == 'train' else 't10k'}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
