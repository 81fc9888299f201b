"""The command that imports a file or folder, for a message to somebody who named it as a dataset."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from mnistkit.data.importing.tables import stem
from mnistkit.data.layout import find_idx_files
from mnistkit.errors import MnistkitError

__all__ = ["KINDS", "import_hint", "is_archive", "kind_of"]

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".npy": "npy",
    ".npz": "npz",
    ".parquet": "parquet",
}
"""The kind of a file by its ending, in small letters, without ``.gz``."""

_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")


def kind_of(path: Path) -> str | None:
    """Return the kind of a file by its name: ``"csv"``, ``"npy"``, ``"npz"`` or ``"parquet"``; None for any other."""
    name = path.name.lower().removesuffix(".gz")
    return KINDS.get(Path(name).suffix)


def is_archive(path: Path) -> bool:
    """Return True if a file is an archive by its name."""
    return path.name.lower().endswith(_ARCHIVE_SUFFIXES)


def import_hint(text: str) -> str | None:
    """Return what to do with a path that was given in the place of a dataset's uri; None if it is no path.

    Args:
        text: Such as ``train.csv`` or ``./pictures``.
    """
    path = Path(text)
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises on a name that is too long
    kind = kind_of(path)
    if not is_folder and is_archive(path):
        return f"{text:.200} is an archive: unpack it, and import what it holds, with mnistkit data import."
    if not is_folder and kind is None:
        return None
    if not is_folder and not os.path.isfile(path):  # noqa: PTH113 - as above
        return f"There is no file {text:.200}, and a file is no dataset: import it first, with mnistkit data import."
    if is_folder and _has_idx_files(path):
        return f"{text:.200} is a folder with the four IDX files of a dataset: name it as {shlex.quote(f'idx:{text}')}."
    out = f"{stem(path) if kind else path.resolve().name or 'images'}-data"
    files = f"{shlex.quote(text)}{' LABELS.npy' if kind == 'npy' else ''}"
    return (
        f"{text:.200} is a {'folder' if is_folder else 'file'}, no dataset yet: import it once with "
        f"'mnistkit data import {files} --out {shlex.quote(out)}', then name it as {shlex.quote(f'idx:{out}')}."
    )


def _has_idx_files(folder: Path) -> bool:
    try:
        find_idx_files(folder)
    except (MnistkitError, OSError):
        return False
    return True
