"""Files on their way into a workspace and out of it: looked over, hashed, put in place if all are right."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mnistkit.azureml.v1.models import assets
from mnistkit.errors import IntegrityError, InvalidNameError, ServiceError, UsageError
from mnistkit.registry.files import all_or_nothing, check_same_files
from mnistkit.utils.files import FileInfo, file_info
from mnistkit.utils.names import check_file

__all__ = ["hash_remote", "hash_sources", "receive"]


def hash_sources(sources: Mapping[str, Path]) -> dict[str, FileInfo]:
    """What files on this machine hold.

    Raises:
        UsageError: One can't be read.
    """
    try:
        return {file: file_info(path) for file, path in sources.items()}
    except OSError as error:
        raise UsageError(f"Can't register {error.filename}: {error.strerror}. Copy the file there.") from error


def hash_remote(urls: Mapping[str, str]) -> dict[str, FileInfo]:
    """What files in the workspace hold, of which nothing is known yet: each is read, once if it arrives whole.

    Raises:
        ServiceError: One arrives with less than it has.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        return {file: _hash_whole(file, url, Path(folder, "file")) for file, url in urls.items()}


def receive(what: str, urls: Mapping[str, str], expected: Mapping[str, FileInfo], into: Path) -> None:
    """Copy files of the workspace into a folder, which is created if need be: all of them, or none.

    Args:
        what: What they are, for messages.
        urls: Where each is.
        expected: What each must be.
        into: The folder.

    Raises:
        IntegrityError: They aren't these, or not only these. Nothing was put into ``into``.
        StorageError: ``into`` can't be written.
    """
    check_same_files(what, urls, expected, "the workspace")
    with all_or_nothing(into, what) as partial:
        for file, info in expected.items():
            _check_place(what, file)
            _receive_one(what, file, urls[file], info, partial / file)


def _hash_whole(file: str, url: str, path: Path) -> FileInfo:
    size = assets.size_of(url)
    got = assets.download(url, path)
    if got.size != size:
        got = assets.download(url, path)
    if got.size != size:
        raise ServiceError(f"{file} has {size} bytes in the workspace, and arrived with {got.size}. Try again.")
    return got


def _receive_one(what: str, file: str, url: str, expected: FileInfo, path: Path) -> None:
    got = assets.download(url, path)
    if got != expected:  # an answer that was cut off is another one the next time
        got = assets.download(url, path)
    if got != expected:
        raise IntegrityError(
            f"{what}: {file} has {got.size} bytes with sha256 {got.sha256}; registered were {expected.size} with "
            f"{expected.sha256}. Restore the file in the workspace's storage, or use another version."
        )


def _check_place(what: str, file: str) -> None:
    try:
        check_file(file)
    except InvalidNameError as error:
        raise IntegrityError(f"{what}: {error}") from error
