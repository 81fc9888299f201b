"""Transfer of model files to and from a workspace: checked, hashed, put in place if all are right."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mnistkit.azureml.models.store import ModelStore
from mnistkit.errors import IntegrityError, InvalidNameError, ServiceError, UsageError
from mnistkit.registry.files import all_or_nothing, check_same_files
from mnistkit.utils.files import FileInfo, file_info
from mnistkit.utils.names import check_file

__all__ = ["hash_remote", "hash_sources", "receive"]


def hash_sources(sources: Mapping[str, Path]) -> dict[str, FileInfo]:
    """Return size and sha256 of files on this machine.

    Raises:
        UsageError: One can't be read.
    """
    try:
        return {file: file_info(path) for file, path in sources.items()}
    except OSError as error:
        raise UsageError(f"Can't register {error.filename}: {error.strerror}. Copy the file there.") from error


def hash_remote(store: ModelStore, locations: Mapping[str, str]) -> dict[str, FileInfo]:
    """Return size and sha256 of files in the workspace, of which nothing is known yet: each is read.

    Raises:
        ServiceError: One arrives with less than it has.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        return {file: _hash_whole(store, file, where, Path(folder, "file")) for file, where in locations.items()}


def receive(
    store: ModelStore, what: str, locations: Mapping[str, str], expected: Mapping[str, FileInfo], into: Path
) -> None:
    """Copy files of the workspace into a folder, which is created if need be: all of them, or none.

    Args:
        store: The models of the workspace.
        what: The version, for messages.
        locations: Where each file is.
        expected: Size and sha256 that each must have.
        into: The folder.

    Raises:
        IntegrityError: They aren't these, or not only these. Nothing was put into ``into``.
        StorageError: ``into`` can't be written.
    """
    check_same_files(what, locations, expected, "the workspace")
    with all_or_nothing(into, what) as partial:
        for file, info in expected.items():
            _check_place(what, file)
            _receive_one(store, f"{what}: {file}", locations[file], info, partial / file)


def _hash_whole(store: ModelStore, file: str, location: str, path: Path) -> FileInfo:
    # Nothing pins these files yet: only the announced size tells an answer that was cut off from a whole one.
    size = store.size(location)
    got = store.download(location, path)
    if got.size != size:
        got = store.download(location, path)
    if got.size != size:
        raise ServiceError(f"{file} has {size} bytes in the workspace, and arrived with {got.size}. Try again.")
    return got


def _receive_one(store: ModelStore, what: str, location: str, expected: FileInfo, path: Path) -> None:
    got = store.download(location, path)
    if got != expected:  # an answer that was cut off is another one the next time
        got = store.download(location, path)
    if got != expected:
        raise IntegrityError(
            f"{what} has {got.size} bytes with sha256 {got.sha256}; registered were {expected.size} with "
            f"{expected.sha256}. Restore the file in the workspace's storage, or use another version."
        )


def _check_place(what: str, file: str) -> None:
    try:
        check_file(file)
    except InvalidNameError as error:
        raise IntegrityError(f"{what}: {error}") from error
