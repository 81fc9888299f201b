"""The files of versions: found before they are registered, copied all or not at all, read verified."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mnistkit.errors import IntegrityError, InvalidNameError, MnistkitError, ModelError, StorageError, UsageError
from mnistkit.models.files import FORMAT_BY_SUFFIX, MODEL_FILES, no_loader, parts
from mnistkit.registry.manifest import MANIFEST
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import FileInfo, sha256_hex
from mnistkit.utils.names import check_file

__all__ = [
    "all_or_nothing",
    "check_digest",
    "check_same_files",
    "find_sources",
    "model_file",
    "read_verified",
    "walk_regular",
]


def find_sources(folder: Path) -> dict[str, Path]:
    """Return the files below a folder that is to be registered, by relative POSIX path.

    Raises:
        UsageError: It holds no file, or something that is neither a regular file nor a folder.
        InvalidNameError: A file can't keep its name in a registry.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        raise UsageError(f"{folder} is not a folder: name the folder that holds the model's files.")
    try:
        sources = dict(walk_regular(folder))
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


def walk_regular(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield ``(relative POSIX path, path)`` of each file below ``folder``, folder by folder, sorted in each.

    Raises:
        OSError: Something in it is neither a regular file nor a folder, or can't be listed.
    """
    folders = [("", folder)]
    while folders:  # no recursion: a folder may be nested deeper than Python's stack
        prefix, here = folders.pop()
        with os.scandir(here) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.is_file(follow_symlinks=False):
                yield prefix + entry.name, Path(entry.path)
            elif not entry.is_dir(follow_symlinks=False):
                what = "a symbolic link" if entry.is_symlink() else "neither a file nor a folder"
                raise OSError(errno.EINVAL, f"it is {what}", entry.path)
        below = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
        folders += [(f"{prefix}{entry.name}/", Path(entry.path)) for entry in reversed(below)]


def check_same_files(what: str, found: Collection[str], registered: Collection[str], place: object) -> None:
    """Compare the names of the files that are there with those that were registered.

    Raises:
        IntegrityError: One is missing, or one too many.
    """
    for problem, files in (("lacks", set(registered) - set(found)), ("has an extra", set(found) - set(registered))):
        if files:
            raise IntegrityError(f"{what} {problem} {min(files)!r}: {place} isn't what was registered.")


@contextlib.contextmanager
def all_or_nothing(into: Path, what: str) -> Iterator[Path]:
    """Yield an empty folder; when the block ends, move the files in it to ``into``, or after an error none of them.

    Args:
        into: The folder that is to get the files; created if need be. Files of the same names are replaced.
        what: What the files are, for messages.

    Raises:
        StorageError: ``into`` can't be written.
    """
    is_new = not into.exists()
    partial = (
        into / f".{uuid.uuid4().hex}.part"
    )  # inside, so that moving is renaming: it copies nothing and can't half-fail
    try:
        partial.mkdir(parents=True)
        yield partial
        for file, path in list(walk_regular(partial)):
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            path.replace(into / file)
    except BaseException as error:
        shutil.rmtree(into if is_new else partial, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, MnistkitError):
            raise StorageError(f"Can't copy {what} to {into}: {error}. Use a folder with room to write.") from error
        raise
    shutil.rmtree(partial, ignore_errors=True)


def model_file(version: ModelVersion) -> str:
    """Return the file of a version that is the model, or stands for it.

    Raises:
        ModelError: There is none, or more than one.
    """
    if version.format not in MODEL_FILES:
        raise no_loader(version.id, version.format)
    if version.files.keys() >= set(parts(MODEL_FILES[version.format])):
        return MODEL_FILES[version.format]
    suffixes = tuple(suffix for suffix, kind in FORMAT_BY_SUFFIX.items() if kind == version.format)
    found = [file for file in version.files if file.endswith(suffixes) and version.files.keys() >= set(parts(file))]
    if len(found) != 1:
        raise ModelError(
            f"{version.id} should hold {MODEL_FILES[version.format]}, or one other {' or '.join(suffixes)} "
            f"file; its files: {', '.join(sorted(version.files))}. Use registry.download and load it yourself."
        )
    return found[0]


def read_verified(registry: ModelRegistry, version: ModelVersion, files: Iterable[str]) -> dict[str, bytes]:
    """Return the content of those of these files that the version has, each read once and compared with its manifest.

    Raises:
        IntegrityError: One isn't what was registered.
    """
    contents = {}
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        copied = registry.download(version, Path(folder) / "files")
        for file in files:
            if file not in version.files:
                continue
            data = (copied / file).read_bytes()
            got = FileInfo(len(data), sha256_hex(data))
            if got != version.files[file]:
                registered = version.files[file].sha256
                raise IntegrityError(f"{version.id}: {file} has sha256 {got.sha256}, registered was {registered}.")
            contents[file] = data
    return contents


def check_digest(version: ModelVersion, expected: str | None) -> None:
    """Compare the digest of a version with the one that was noted; None if none was.

    Raises:
        IntegrityError: It has another one.
        UsageError: ``expected`` isn't a digest.
    """
    if expected is None:
        return
    if not isinstance(expected, str) or len(expected) != 64:  # noqa: PLR2004 - hexadecimal digits of a sha256
        raise UsageError(f"expect_digest={expected!r:.80}: use all 64 digits of the version's digest.")
    if expected.lower() != version.digest:
        raise IntegrityError(
            f"{version.id} has digest {version.digest}, expected {expected.lower()}: its manifest isn't the one "
            "whose digest you noted. Don't load it before you know why."
        )
