"""The files of a version in MLflow's artifact store: staged, received and compared."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mnistkit.errors import AuthenticationError, IntegrityError, InvalidNameError, ServiceError, StorageError
from mnistkit.mlflow._sdk import calls, client, download_artifacts
from mnistkit.mlflow.address import Address
from mnistkit.mlflow.flavor import FILES_FOLDER, write_mlmodel
from mnistkit.registry.files import all_or_nothing, check_same_files, walk_regular
from mnistkit.registry.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest
from mnistkit.utils.files import FileInfo, file_info, sha256_hex
from mnistkit.utils.names import check_file
from mnistkit.utils.regular import read_regular

__all__ = ["copied", "hashed", "place_verified", "received", "write_model"]


def copied(sources: Mapping[str, Path], stage: Path) -> dict[str, FileInfo]:
    """Copy files into the folder of an MLflow model, and return the size and sha256 of the copies."""
    infos = {}
    for file, path in sources.items():
        target = stage / FILES_FOLDER / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target, follow_symlinks=False)
        infos[file] = file_info(target)
    return infos


def write_model(stage: Path, manifest: Manifest, run_id: str) -> None:
    """Write the manifest and MLflow's own files beside the copies."""
    (stage / MANIFEST).write_bytes(manifest.to_bytes())
    write_mlmodel(stage, manifest, run_id)


@contextlib.contextmanager
def received(address: Address, stored: Any) -> Iterator[Path]:
    """Yield a temporary folder with all files of a version as they are in MLflow.

    Args:
        address: The registry.
        stored: MLflow's record of the version.

    Raises:
        IntegrityError: They aren't there.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        try:
            with calls(address):
                download_artifacts(address, _place(address, stored), Path(folder))
        except AuthenticationError:
            raise
        except (ServiceError, StorageError) as error:
            with calls(address):  # it raises another error if it is the server that is lost, not the files
                pass
            raise IntegrityError(
                f"{stored.name}:{stored.version}: its files can't be read: {error} Restore them, or use another."
            ) from error
        yield Path(folder)


def place_verified(folder: Path, what: str, digest: str, expected: Mapping[str, FileInfo], into: Path) -> None:
    """Compare received files with a version's manifest, and move them into a folder: all of them, or none.

    Args:
        folder: From `received`.
        what: The version, for messages.
        digest: The sha256 of the manifest; empty for a version of others, whose files are all there are.
        expected: Size and sha256 of each file.
        into: Created if need be.

    Raises:
        IntegrityError: They aren't these, or not only these. Nothing was put into ``into``.
        StorageError: ``into`` can't be written.
    """
    files = folder
    if digest:
        files = folder / FILES_FOLDER
        kept = folder / MANIFEST
        if not _is_content(kept, digest):
            raise IntegrityError(
                f"{what}: its {MANIFEST} in MLflow isn't the one in its tags: one of them was altered. Use another "
                "version."
            )
    found = _walked(files, what)
    check_same_files(what, found, expected, "MLflow's copy")
    for file, path in found.items():
        if (got := file_info(path)) != expected[file]:
            raise IntegrityError(
                f"{what}: {file} has {got.size} bytes with sha256 {got.sha256}; registered were {expected[file].size} "
                f"with {expected[file].sha256}. Restore the file in MLflow's artifacts, or use another version."
            )
    with all_or_nothing(into, what) as partial:
        for file, path in found.items():
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, partial / file)


def hashed(folder: Path, what: str) -> dict[str, FileInfo]:
    """Return size and sha256 of the received files of a version of others, of which nothing is known yet."""
    return {file: file_info(path) for file, path in _walked(folder, what).items()}


def _place(address: Address, stored: Any) -> str:
    """Return where the files of a version are; versions of others may be references to models that were logged."""
    if not str(stored.source).startswith(("models:", "runs:")):
        return str(stored.source)
    return str(client(address).get_model_version_download_uri(stored.name, stored.version))


def _is_content(path: Path, digest: str) -> bool:
    """Return True if a file holds the content with this sha256; it may come from anyone who can write to the server."""
    try:
        return sha256_hex(read_regular(path, MAX_MANIFEST_BYTES)) == digest
    except OSError:
        return False


def _walked(folder: Path, what: str) -> dict[str, Path]:
    try:
        found = dict(walk_regular(folder)) if folder.is_dir() else {}
        for file in found:
            check_file(file)
    except (OSError, InvalidNameError) as error:
        raise IntegrityError(f"{what}: {error}") from error
    return found
