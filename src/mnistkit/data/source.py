"""Data sources: where the four IDX files of a dataset come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # numpy comes with it
    from mnistkit.data.manifest import DatasetManifest

__all__ = ["DataSource", "SupportsDigests", "SupportsName", "SupportsPins", "SupportsSize"]


class DataSource(ABC):
    """A source of the four IDX files of a dataset.

    A source is a cheap value: making one does no I/O. The folder that `fetch` returns is what
    `mnistkit.data.Dataset.from_folder` reads, here or on a remote node: the four IDX files, plain or
    ``.gz``, at any depth, and optionally a ``dataset.json`` with name, version, class names and hashes.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def uri(self) -> str:
        """Return what identifies the data, without any I/O: ``"mnist"``, ``"digits"``, ``"idx:/data/mine"``.

        The same source gives the same text every time, in every process.
        """

    @abstractmethod
    def fetch(self, into: Path) -> Path:
        """Make the files available and return the folder that holds them.

        Idempotent: what is already in ``into`` is verified and kept, what is bad there is replaced. Safe to
        call from several processes at once with the same ``into``. After a failure nothing half-written is
        visible under a final name.

        Args:
            into: A folder that this source may fill; created if need be. A source whose data is already on
                this machine may leave it alone and return its own folder.

        Returns:
            An existing folder with the four IDX files.

        Raises:
            DownloadError: No place delivered the data; lists each one and why.
            ChecksumError: The data is there, but isn't what is pinned, and can't be replaced.
            DataFormatError: A file is missing, ambiguous or no IDX file of the right kind.
            NotFoundError: The place that the source names doesn't exist.
            StorageError: Something has to be written into ``into``, and can't be.
        """


@runtime_checkable
class SupportsPins(Protocol):
    """A `DataSource` with pinned files: a reader can verify them while reading, instead of reading them twice."""

    def expected(self, into: Path) -> DatasetManifest | None:
        """Return the expected size and sha256 of each file in ``into``, without reading the files.

        A reader that checks them verifies as much as `DataSource.fetch`.

        Args:
            into: The folder that `DataSource.fetch` fills.

        Returns:
            None if only `DataSource.fetch` can tell, for example when ``into`` is incomplete.
        """


@runtime_checkable
class SupportsSize(Protocol):
    """A `DataSource` that has its size without fetching, so that what is too large to ship is refused before that."""

    def size(self) -> int | None:
        """Return the bytes of the files that `DataSource.fetch` delivers; None if that isn't known."""


@runtime_checkable
class SupportsDigests(Protocol):
    """A `DataSource` that identifies its content without fetching it, so that runs on it can be compared and reused."""

    def digests(self) -> Mapping[str, str]:
        """Return the sha256 of each file that `DataSource.fetch` delivers, by name. Fetches nothing.

        Equal digests mean equal data, whatever the uri. Cheap: pinned values, or files of this machine read once.

        Raises:
            NotFoundError: The place that the source names doesn't exist.
            DataFormatError: A file there is missing or ambiguous.
            StorageError: A file there can't be read.
        """


@runtime_checkable
class SupportsName(Protocol):
    """A `DataSource` that names its dataset without fetching it, where the name differs from the uri."""

    @property
    def dataset_name(self) -> str:
        """Return the name that the fetched dataset has. Reads a manifest at most."""
