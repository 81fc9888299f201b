"""Blob storage of a workspace through the SDK v2: its datastores, and the files that ``azureml://`` URIs name."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.errors import NotFoundError, ServiceError
from mnistkit.utils.files import FileInfo

__all__ = ["ARTIFACTS", "Place", "Storage", "parse_place"]

ARTIFACTS = "workspaceartifactstore"
"""The datastore of runs' logs and outputs."""

_DATASTORE_PATTERN = re.compile(r"azureml://(?:subscriptions/.+/)?datastores/([^/]+)(?:/paths)?/(.+)", re.IGNORECASE)
_JOB_PATTERN = re.compile(r"azureml://jobs/([^/]+)/outputs/(?:artifacts|default)(?:/paths)?/(.+)", re.IGNORECASE)
_TRANSFER_SECONDS = 3600.0


@frozen
class Place:
    """A file or folder in a datastore.

    Attributes:
        datastore: Its name.
        path: In the datastore's container, without a slash at either end.
    """

    datastore: str
    path: str

    @property
    def uri(self) -> str:
        """The place as the SDK takes it."""
        return f"azureml://datastores/{self.datastore}/paths/{self.path}"


def parse_place(uri: str) -> Place:
    """Return the place of an ``azureml://`` URI of a datastore or of a job's artifacts.

    Raises:
        ServiceError: It is of another kind.
    """
    if match := _DATASTORE_PATTERN.fullmatch(uri):
        return Place(match[1], match[2].strip("/"))
    if match := _JOB_PATTERN.fullmatch(uri):
        return Place(ARTIFACTS, f"ExperimentRun/dcid.{match[1]}/{match[2].strip('/')}")
    raise ServiceError(f"The files at {uri} aren't in a datastore of the workspace: mnistkit can't read them.")


class Storage:
    """Reads and writes blobs of a workspace's datastores. Safe to share between threads.

    Args:
        connection: To the workspace.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._containers: dict[str, Any] = {}
        self._default: str | None = None
        self._lock = threading.RLock()

    def default(self) -> str:
        """Return the name of the default datastore.

        Raises:
            ServiceError: It isn't blob storage.
        """
        with self._lock:
            if self._default is None:
                get = self._connection.client.datastores.get_default
                store = call("getting the default datastore", get, include_secrets=True)
                self._containers[store.name] = self._container_of(store)
                self._default = str(store.name)
            return self._default

    def container(self, datastore: str) -> Any:
        """Return the ``ContainerClient`` of a datastore, made once.

        Raises:
            NotFoundError: The workspace has no such datastore.
            ServiceError: It isn't blob storage.
        """
        with self._lock:
            if datastore not in self._containers:
                get = self._connection.client.datastores.get
                store = call(f"getting the datastore {datastore}", get, datastore, include_secrets=True)
                self._containers[datastore] = self._container_of(store)
            return self._containers[datastore]

    def files(self, place: Place) -> dict[str, Place]:
        """Return the files below a folder by their paths in it; of a file, the file itself by its name."""
        listing = self.container(place.datastore).list_blob_names
        names: list[str] = call("listing files", lambda: list(listing(name_starts_with=place.path)))
        found = {}
        for name in names:
            if name == place.path:
                found[name.rpartition("/")[2]] = Place(place.datastore, name)
            elif name.startswith(f"{place.path}/"):  # others only begin with the same letters
                found[name.removeprefix(f"{place.path}/")] = Place(place.datastore, name)
        return found

    def upload(self, place: Place, path: Path) -> None:
        """Copy a file of this machine to a place; idempotent, as a request may be repeated."""
        blob = self.container(place.datastore).get_blob_client(place.path)

        def send() -> None:
            with path.open("rb") as stream:
                blob.upload_blob(stream, overwrite=True)

        call(f"uploading {path.name}", send, seconds=_TRANSFER_SECONDS)

    def download(self, place: Place, path: Path) -> FileInfo:
        """Copy a file into a new one of this machine, and return the size and sha256 of what was copied."""
        blob = self.container(place.datastore).get_blob_client(place.path)

        def receive() -> FileInfo:
            digest, size = hashlib.sha256(), 0
            with path.open("wb") as stream:
                for chunk in blob.download_blob().chunks():
                    stream.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            return FileInfo(size, digest.hexdigest())

        path.parent.mkdir(parents=True, exist_ok=True)
        return call(f"downloading {place.path.rpartition('/')[2]}", receive, seconds=_TRANSFER_SECONDS)

    def read(self, place: Place, skip: int) -> bytes:
        """Return the bytes of a file from ``skip`` on; none if it isn't there yet, or not longer."""
        blob = self.container(place.datastore).get_blob_client(place.path)

        def receive() -> bytes:
            size = blob.get_blob_properties().size
            return bytes(blob.download_blob(offset=skip, length=size - skip).readall()) if size > skip else b""

        try:
            return call(f"reading {place.path.rpartition('/')[2]}", receive)
        except NotFoundError:
            return b""

    def size(self, place: Place) -> int:
        """Return the number of bytes of a file, without reading it."""
        blob = self.container(place.datastore).get_blob_client(place.path)
        return int(call("getting the size of a file", blob.get_blob_properties).size)

    def _container_of(self, store: Any) -> Any:
        if not isinstance(store, sdk("azure.ai.ml.entities").AzureBlobDatastore):
            kind = type(store).__name__
            raise ServiceError(f"The datastore {store.name!r} is of type {kind}, not blob storage: use one that is.")
        secret = getattr(store.credentials, "account_key", None) or getattr(store.credentials, "sas_token", None)
        # Without a secret the datastore is used as the person who is logged in.
        login = secret or self._connection.client._credential  # noqa: SLF001 - MLClient doesn't return it
        url = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
        return sdk("azure.storage.blob").ContainerClient(url, store.container_name, credential=login)
