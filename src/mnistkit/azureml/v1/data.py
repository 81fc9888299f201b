"""Data for jobs of a workspace: MNIST of Azure's Open Datasets, and any other source, uploaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, frozen

from mnistkit.azureml.calls import call
from mnistkit.azureml.open_dataset import DATASET_NAME, PinnedOpenDataset, parse_uri
from mnistkit.azureml.uploads import upload_data
from mnistkit.azureml.v1._sdk import sdk, silence_engine
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import ConflictError, DownloadError, NotFoundError, ServiceError, UsageError

__all__ = ["OpenDatasetsMnist", "mount"]

_DOWNLOAD_SECONDS = 600.0


@frozen
class OpenDatasetsMnist(PinnedOpenDataset):
    """MNIST as Azure's Open Datasets have it, verified: the tutorial's data.

    In jobs of a workspace it is mounted where they run; `fetch` copies it to this machine.

    Attributes:
        workspace: What `mnistkit.azureml.connect` returns; None to connect when it is needed, to what ``config.json``
            names. `fetch` needs none, unless there is a ``version``.
        version: Of the dataset that `register` made; None for the Open Dataset itself.
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
            config: Without a workspace, where to look for its ``config.json``, as in `mnistkit.azureml.connect`.

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
        """Register the Open Dataset in the workspace, so that people find it there, and return it with its version.

        Args:
            name: The dataset's name there.
            create_new_version: Add a version to a dataset that has this name, if this one differs.
            description: Free text.

        Raises:
            ConflictError: A dataset has this name, and ``create_new_version`` is false.
            ServiceError: The workspace refused.
        """
        workspace = Connection.of(self.workspace).workspace
        register = evolve(self, version=None).dataset(workspace).register
        options: dict[str, Any] = {"description": description, "create_new_version": create_new_version}
        try:
            found = call(f"registering the dataset {name}", register, workspace, name, **options)
        except ServiceError as error:
            if "already a dataset" not in str(error):
                raise
            raise ConflictError(
                f"{workspace.name} has a dataset {name!r} already: use another name, or create_new_version=True."
            ) from error
        return evolve(self, workspace=workspace, name=name, version=found.version)

    def dataset(self, workspace: Any = None) -> Any:
        """Return the SDK's ``FileDataset``: registered, if there is a ``version``, or else the Open Dataset.

        Args:
            workspace: Where it is registered; None for ``workspace`` of this source.
        """
        silence_engine()
        if self.version is None:
            mnist = sdk("azureml.opendatasets").MNIST
            return call("looking up MNIST in the Open Datasets", mnist.get_file_dataset, enable_telemetry=False)
        where = Connection.of(self.workspace if workspace is None else workspace).workspace
        get = sdk("azureml.core").Dataset.get_by_name
        return call(f"looking up the dataset {self.name}", get, where, self.name, self.version)

    def _receive(self, folder: Path) -> None:
        try:
            call("downloading MNIST", self.dataset().download, str(folder), overwrite=True, seconds=_DOWNLOAD_SECONDS)
        except (ServiceError, NotFoundError) as error:
            raise DownloadError(
                f"{self.uri}: {error} Look at the network and HTTPS_PROXY, or use data='mnist': it has other mirrors."
            ) from error


def mount(
    workspace: Any, source: DataSource, *, mode: Literal["mount", "download"] = "mount", name: str = "mnist_data"
) -> Any:
    """Return a job's input: the job finds a source's files in a folder of its node.

    `OpenDatasetsMnist` is mounted as it is. Any other source is fetched here and uploaded to the workspace's default
    datastore, unless data of the same content was before.

    Args:
        workspace: What `mnistkit.azureml.connect` returns.
        source: Where the data comes from.
        mode: ``"mount"`` to read files as they are needed, ``"download"`` to copy them first.
        name: The input's name in the job.

    Returns:
        A ``DatasetConsumptionConfig`` of the SDK.

    Raises:
        UsageError: The mode is neither.
        DataError: The data can't be fetched, or its check failed.
        ServiceError: The workspace refused it.
    """
    if mode not in {"mount", "download"}:
        raise UsageError(f"mode={mode!r}: use 'mount' or 'download'.")
    dataset = source.dataset(workspace) if isinstance(source, OpenDatasetsMnist) else _uploaded(workspace, source)
    named = call("naming a dataset", dataset.as_named_input, name)
    return named.as_mount() if mode == "mount" else named.as_download()


def _uploaded(workspace: Any, source: DataSource) -> Any:
    """Return the SDK's ``FileDataset`` of a source's files in the workspace's default datastore."""
    store = call("looking up the default datastore", workspace.get_default_datastore)
    if not hasattr(store, "blob_service"):
        raise ServiceError(
            f"The default datastore of {workspace.name}, {store.name!r}, is no blob storage: make one the default."
        )
    place = upload_data(store.blob_service.get_container_client(store.container_name), source)
    from_files = sdk("azureml.core").Dataset.File.from_files
    return call("making a dataset", from_files, [(store, f"{place}/**")], validate=False)
