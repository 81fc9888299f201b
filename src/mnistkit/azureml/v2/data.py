"""Data for jobs through the SDK v2: MNIST of Azure's Open Datasets, and any other source, uploaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.open_dataset import DATASET_NAME, PinnedOpenDataset, parse_uri
from mnistkit.azureml.uploads import upload_data
from mnistkit.azureml.v2._sdk import sdk
from mnistkit.azureml.v2.storage import Place, Storage
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.data.pins import MNIST
from mnistkit.data.source import DataSource
from mnistkit.errors import ConflictError, DownloadError, NotFoundError, ServiceError, UsageError

__all__ = ["OPEN_DATASET_URL", "OpenDatasetsMnist", "job_input"]

OPEN_DATASET_URL = "https://azureopendatastorage.blob.core.windows.net/mnist"
"""The public container of the Open Dataset."""

_MAX_FILE_BYTES = 64 << 20
_DOWNLOAD_SECONDS = 600.0


@frozen
class OpenDatasetsMnist(PinnedOpenDataset):
    """MNIST as Azure's Open Datasets have it, verified: the tutorial's data.

    In jobs of a workspace it is mounted where they run; `fetch` copies it to this machine.

    Attributes:
        workspace: What `mnistkit.azureml.v2.workspace.connect` returns, or a ``Connection``; None to connect when it is
            needed, to what ``config.json`` names. `fetch` needs none.
        version: Of the data asset that `register` made; None for the Open Dataset itself.
        name: What `register` called it.
        pins: The only sizes and sha256s to accept; None for those that ``MNISTKIT_OPEN_DATASETS_PINS`` names, else
            MNIST's.
    """

    @classmethod
    def from_uri(
        cls, uri: str, *, workspace: Any = None, config: str | os.PathLike[str] | None = None
    ) -> OpenDatasetsMnist:
        """Return the source for ``"azureml:mnist_opendataset"``, or ``"azureml:mnist_opendataset:3"``.

        Args:
            uri: One of these.
            workspace: As the attribute.
            config: Without a workspace, where to look for its ``config.json``, as in `connect`.

        Raises:
            UsageError: The uri is anything else.
        """
        version = parse_uri(uri)
        return cls(Connection(config=config) if workspace is None else workspace, version=version)

    def register(
        self,
        name: str = DATASET_NAME,
        *,
        create_new_version: bool = True,
        description: str = "MNIST of Azure's Open Datasets",
    ) -> OpenDatasetsMnist:
        """Register the Open Dataset as a data asset, so that people find it there, and return it with its version.

        Idempotent: if the newest version is the Open Dataset, nothing is registered.

        Args:
            name: The asset's name.
            create_new_version: Add a version to an asset that has this name, if its newest is another path.
            description: Free text.

        Raises:
            ConflictError: An asset has this name, and ``create_new_version`` is false.
            ServiceError: The workspace refused.
        """
        connection = Connection.of(self.workspace)
        data = connection.client.data
        newest = _newest(data, name)
        if newest is not None and not create_new_version:
            raise ConflictError(
                f"{connection.client.workspace_name} has a data asset {name!r} already: use another name, or "
                "create_new_version=True."
            )
        if newest is None or newest.path.rstrip("/") != OPEN_DATASET_URL:
            number = 1 if newest is None else int(newest.version) + 1
            entity = sdk("azure.ai.ml.entities").Data(
                name=name, version=str(number), type="uri_folder", path=OPEN_DATASET_URL, description=description
            )
            newest = call(f"registering the data asset {name}", data.create_or_update, entity)
        return evolve(self, workspace=connection, name=name, version=int(newest.version))

    def _receive(self, folder: Path) -> None:
        container = sdk("azure.storage.blob").ContainerClient.from_container_url(OPEN_DATASET_URL)

        def receive(name: str) -> None:
            blob = container.get_blob_client(name)
            data = blob.download_blob(offset=0, length=_MAX_FILE_BYTES).readall()  # a pinned file is far smaller
            (folder / name).write_bytes(data)

        try:
            for name in MNIST:
                call(f"downloading {name}", receive, name, seconds=_DOWNLOAD_SECONDS)
        except (ServiceError, NotFoundError) as error:
            raise DownloadError(
                f"{self.uri}: {error} Look at the network and HTTPS_PROXY, or use data='mnist': it has other mirrors."
            ) from error


def job_input(storage: Storage, source: DataSource, *, mode: Literal["mount", "download"] = "mount") -> Any:
    """Return a job's input: the job finds a source's files in a folder of its node.

    `OpenDatasetsMnist` is mounted as it is. Any other source is fetched here and uploaded to the workspace's default
    datastore, unless data of the same content was before.

    Args:
        storage: Of the workspace.
        source: Where the data comes from.
        mode: ``"mount"`` to read files as they are needed, ``"download"`` to copy them first.

    Returns:
        An ``azure.ai.ml.Input``.

    Raises:
        UsageError: The mode is neither.
        DataError: The data can't be fetched, or its check failed.
        ServiceError: The workspace refused it.
    """
    if mode not in {"mount", "download"}:
        raise UsageError(f"mode={mode!r}: use 'mount' or 'download'.")
    how = "ro_mount" if mode == "mount" else "download"
    return sdk().Input(type="uri_folder", path=_path(storage, source), mode=how)


def _path(storage: Storage, source: DataSource) -> str:
    if isinstance(source, OpenDatasetsMnist):
        return OPEN_DATASET_URL if source.version is None else f"azureml:{source.name}:{source.version}"
    datastore = storage.default()
    return Place(datastore, upload_data(storage.container(datastore), source)).uri


def _newest(data: Any, name: str) -> Any:
    """Return the newest version of a data asset whose version is a number; None if there is none."""
    try:
        found = call(f"looking for the data asset {name}", lambda: list(data.list(name=name)))
    except NotFoundError:
        return None
    return max(
        (each for each in found if str(each.version).isdecimal()), key=lambda each: int(each.version), default=None
    )
