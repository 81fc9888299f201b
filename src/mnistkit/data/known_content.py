"""What a data source may offer besides, so that runs on it can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

__all__ = ["KnownContent"]


@runtime_checkable
class KnownContent(Protocol):
    """A `DataSource` that says what its data is without fetching it: then runs on it can be compared, and reused."""

    @property
    def uri(self) -> str:
        """As `DataSource.uri`."""

    def digests(self) -> Mapping[str, str]:
        """What identifies the content that `DataSource.fetch` delivers, by file: sha256s. Fetches nothing.

        Equal digests mean equal data, whatever the uri. Cheap: pinned values, or files of this machine read once.

        Raises:
            NotFoundError: The place that the source names doesn't exist.
            DataFormatError: A file there is missing or ambiguous.
            StorageError: A file there can't be read.
        """
