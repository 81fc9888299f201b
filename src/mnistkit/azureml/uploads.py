"""Data of this machine, uploaded to a blob container once for each content."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import call
from mnistkit.data.fetching import fetch_folder
from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, StorageError
from mnistkit.utils.files import FileInfo, sha256_hex, sha256_of
from mnistkit.utils.serialization import read_json, to_json

__all__ = ["upload_data"]

_FOLDER = "mnistkit/data"
_UPLOAD_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def upload_data(container: Any, source: DataSource) -> str:
    """Upload a source's files to a blob container, and return their folder in it.

    Below ``mnistkit/data`` each content has a folder with the four files and a ``dataset.json``. That is uploaded last,
    so a folder that has it is complete; readers verify the files by it.

    Args:
        container: A ``ContainerClient`` of azure-storage-blob.
        source: Where the data comes from; fetched into the user's cache first.

    Raises:
        DataError: The data can't be fetched, or its check failed.
        ServiceError: The storage refused it.
    """
    fetched = fetch_folder(source)
    folder = Path(fetched.path)
    files = {path.name: path for path in find_idx_files(folder).values()}
    manifest = to_json(_manifest(folder, files, fetched.uri))
    place = f"{_FOLDER}/{sha256_hex(manifest)}"
    last = container.get_blob_client(f"{place}/{MANIFEST}")
    if not call("looking for data", last.exists):
        _log.info("uploading %s to %s of the container %s", source.uri, place, container.container_name)
        for name, path in files.items():
            blob = container.get_blob_client(f"{place}/{name}")
            call(f"uploading {name}", _send, blob, path, seconds=_UPLOAD_SECONDS)
        call(f"uploading {MANIFEST}", last.upload_blob, manifest, overwrite=True)
    return place


def _manifest(folder: Path, files: dict[str, Path], uri: str) -> DatasetManifest:
    """Return the manifest that the node verifies by: names as they are here, contents as they are now."""
    try:
        infos = {name: FileInfo(path.stat().st_size, sha256_of(path)) for name, path in sorted(files.items())}
        told = folder / MANIFEST
        if not told.exists():
            return DatasetManifest(name=uri.rpartition("/")[2] or uri, files=infos)
        known: DatasetManifest = read_json(told, DatasetManifest, follow=True)
    except OSError as error:
        raise StorageError(f"Can't read {folder}: {error}. Make it readable.") from error
    for name, path in files.items():
        listed = known.files.get(path.relative_to(folder).as_posix())
        if known.files and listed != infos[name]:
            raise ChecksumError(f"{path} isn't the file that {told} lists: fetch the data again.")
    return DatasetManifest(name=known.name, version=known.version, class_names=known.class_names, files=infos)


def _send(blob: Any, path: Path) -> None:
    with path.open("rb") as stream:
        blob.upload_blob(stream, overwrite=True)
