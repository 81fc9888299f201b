"""Files on their way into a workspace and out of it: looked over, hashed, put in place if all are right."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from mnistkit.azureml.v1.models import assets
from mnistkit.errors import IntegrityError, InvalidNameError, MnistkitError, ServiceError, StorageError, UsageError
from mnistkit.utils.files import FileInfo, file_info, found_files
from mnistkit.utils.names import check_file

__all__ = ["find_sources", "hash_remote", "hash_sources", "receive"]


def find_sources(folder: Path) -> dict[str, Path]:
    """The files below a folder that is to be registered, by relative POSIX path.

    Raises:
        UsageError: It holds no file, or something that is neither a regular file nor a folder.
        InvalidNameError: A file can't keep its name in a registry.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name the folder that holds the model's files.")
    sources = {}
    for file, path, problem in found_files(folder):
        if problem:
            raise UsageError(f"Can't register {folder}: {file} {problem}. Copy the file there.")
        check_file(file, "file of a model")
        sources[file] = path
    if not sources:
        raise UsageError(f"Can't register {folder}: it holds no file.")
    return sources


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
    for problem, files in (("lacks", expected.keys() - urls.keys()), ("has an extra", urls.keys() - expected.keys())):
        if files:
            raise IntegrityError(f"{what} {problem} {min(files)!r} in the workspace: it isn't what was registered.")
    try:
        with _partial(into) as partial:
            for file, info in expected.items():
                _check_place(what, file)
                _receive_one(what, file, urls[file], info, partial / file)
            for file in expected:
                (into / file).parent.mkdir(parents=True, exist_ok=True)
                (partial / file).replace(into / file)
    except OSError as error:
        if isinstance(error, MnistkitError):
            raise
        raise StorageError(f"Can't copy {what} to {into}: {error}. Use a folder with room to write.") from error


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


@contextlib.contextmanager
def _partial(into: Path) -> Iterator[Path]:
    """A folder in ``into`` to receive files in; after an error ``into`` is as it was."""
    is_new = not into.exists()
    partial = into / f".{uuid.uuid4().hex}.part"
    try:
        partial.mkdir(parents=True)
        yield partial
    except BaseException:
        shutil.rmtree(into if is_new else partial, ignore_errors=True)
        raise
    shutil.rmtree(partial, ignore_errors=True)
