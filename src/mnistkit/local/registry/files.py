"""The files of a version: found in a folder, copied into the registry, and copied out of it if they are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mnistkit.errors import IntegrityError, InvalidNameError, UsageError
from mnistkit.local.registry import durable as disk
from mnistkit.registry.manifest import MANIFEST
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_file

__all__ = ["copy_in", "copy_out", "find_problems", "find_sources"]


def find_sources(folder: Path) -> dict[str, Path]:
    """The files below a folder that is to be registered, by relative POSIX path.

    Raises:
        UsageError: It holds no file, or something that is neither a regular file nor a folder.
        InvalidNameError: A file can't keep its name in a registry.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name the folder that holds the model's files.")
    try:
        sources = dict(disk.walk_regular(folder))
    except OSError as error:
        raise UsageError(
            f"Can't register {folder}: {error.filename}: {error.strerror}. Copy the file there."
        ) from error
    if not sources:
        raise UsageError(f"Can't register {folder}: it holds no file.")
    for file in sources:
        check_file(file, "file of a model")
        if file.lower() == MANIFEST:
            raise InvalidNameError(f"Can't register {folder / file}: the registry keeps its own {MANIFEST}. Rename it.")
    return sources


def copy_in(sources: Mapping[str, Path], stage: Path) -> dict[str, FileInfo]:
    """Copy files into an empty folder, onto the disk, and return what was copied."""
    copied = {}
    for file, path in sources.items():
        disk.make_folder((stage / file).parent)
        copied[file] = disk.copy_file(path, stage / file)
    for folder in {(stage / file).parent for file in sources}:
        disk.sync(folder)
    return copied


def copy_out(model: ModelVersion, folder: Path, into: Path) -> None:
    """Copy the files of a version into an empty folder.

    Args:
        model: What was registered.
        folder: Where the registry keeps it.
        into: Where to.

    Raises:
        IntegrityError: They aren't the registered ones, or not only these. Some may have been copied.
    """
    try:
        found = _registered(folder)
    except OSError as error:
        raise IntegrityError(f"{model.id}: {error.filename} can't be used: {error.strerror}.") from error
    for what, files in (
        ("lacks", model.files.keys() - found.keys()),
        ("has an extra", found.keys() - model.files.keys()),
    ):
        if files:
            raise IntegrityError(f"{model.id} {what} {min(files)!r}: {folder} isn't what was registered.")
    for file, expected in model.files.items():
        disk.make_folder((into / file).parent)
        size = found[file].lstat().st_size
        got = disk.copy_file(found[file], into / file) if size == expected.size else FileInfo(size, "(not read)")
        if got != expected:
            raise IntegrityError(
                f"{model.id}: {file} {_difference(got, expected)}. Restore the file, or use another version."
            )


def find_problems(model: ModelVersion, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(file, what is wrong with it)`` of a version that a folder should hold; nothing is written.

    Args:
        model: What was registered.
        folder: Where the registry keeps it.
    """
    try:
        found = _registered(folder)
    except OSError as error:
        yield os.path.relpath(str(error.filename), folder).replace(os.sep, "/"), f"can't be used: {error.strerror}"
        return
    for file, path in found.items():
        if file not in model.files:
            yield file, "wasn't registered"
            continue
        try:
            size = path.lstat().st_size
            got = disk.hash_file(path) if size == model.files[file].size else FileInfo(size, "(not read)")
        except OSError as error:
            yield file, f"can't be read: {error.strerror}"
        else:
            if got != model.files[file]:
                yield file, _difference(got, model.files[file])
    for file in sorted(model.files.keys() - found.keys()):
        yield file, "is missing"


def _registered(folder: Path) -> dict[str, Path]:
    """What is there, without the manifest."""
    return {file: path for file, path in disk.walk_regular(folder) if file != MANIFEST}


def _difference(got: FileInfo, expected: FileInfo) -> str:
    return f"has {got.size} bytes with sha256 {got.sha256}; registered were {expected.size} with {expected.sha256}"
