"""Data of this machine, brought to a workspace's storage: once for each content."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mnistkit.azureml.v1._sdk import call, sdk
from mnistkit.data.fetching import fetch_folder
from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, ServiceError, StorageError
from mnistkit.utils.files import FileInfo, sha256_hex, sha256_of
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["uploaded"]

_FOLDER = "mnistkit/data"
_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def uploaded(workspace: Any, source: DataSource) -> Any:
    """The SDK's ``FileDataset`` of a source's files in the workspace's default datastore.

    Below ``mnistkit/data`` each content has a folder with the four files and a ``dataset.json``. That comes last, and
    who reads the folder verifies the files by it.

    Raises:
        DataError: The data can't be had, or isn't what it should be.
        ServiceError: The workspace can't take it.
    """
    fetched = fetch_folder(source)
    folder = Path(fetched.path)
    files = {path.name: path for path in find_idx_files(folder).values()}
    manifest = to_json(_manifest(folder, files, fetched.uri))
    place = f"{_FOLDER}/{sha256_hex(manifest)}"
    store = call("looking up the default datastore", workspace.get_default_datastore)
    if not hasattr(store, "blob_service"):
        raise ServiceError(
            f"The default datastore of {workspace.name}, {store.name!r}, is no blob storage: make one the default."
        )
    if not call("looking for data", _blob(store, f"{place}/{MANIFEST}").exists):
        _log.info("uploading %s to %s of the datastore %s", source.uri, place, store.name)
        for name, path in files.items():
            call(f"uploading {name}", _send, _blob(store, f"{place}/{name}"), path, seconds=_SECONDS)
        call(f"uploading {MANIFEST}", _blob(store, f"{place}/{MANIFEST}").upload_blob, manifest, overwrite=True)
    from_files = sdk("azureml.core").Dataset.File.from_files
    return call("making a dataset", from_files, [(store, f"{place}/**")], validate=False)


def _manifest(folder: Path, files: dict[str, Path], uri: str) -> DatasetManifest:
    """What the node is to find: names as they are here, contents as they are now."""
    try:
        infos = {name: FileInfo(path.stat().st_size, sha256_of(path)) for name, path in sorted(files.items())}
        told = folder / MANIFEST
        if not told.exists():
            return DatasetManifest(name=uri.rpartition("/")[2] or uri, files=infos)
        known: DatasetManifest = from_json(told.read_bytes(), DatasetManifest, told)
    except OSError as error:
        raise StorageError(f"Can't read {folder}: {error}. Make it readable.") from error
    for name, path in files.items():
        listed = known.files.get(path.relative_to(folder).as_posix())
        if known.files and listed != infos[name]:
            raise ChecksumError(f"{path} isn't the file that {told} speaks of: fetch the data again.")
    return DatasetManifest(name=known.name, version=known.version, class_names=known.class_names, files=infos)


def _send(blob: Any, path: Path) -> None:
    with path.open("rb") as stream:
        blob.upload_blob(stream, overwrite=True)


def _blob(store: Any, name: str) -> Any:
    return store.blob_service.get_blob_client(container=store.container_name, blob=name)
