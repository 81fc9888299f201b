"""Fetching a dataset through the cache of the user."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mnistkit.config import cache_folder
from mnistkit.data.source import DataSource, SupportsName, SupportsPins
from mnistkit.errors import DataError, NotFoundError

if TYPE_CHECKING:  # loads numpy, which a list of runs doesn't need
    from mnistkit.data.dataset import Dataset
    from mnistkit.data.manifest import DatasetManifest

__all__ = ["DataFolder", "dataset_folder", "dataset_name", "fetch_dataset", "fetch_folder", "read_dataset"]


@frozen
class DataFolder:
    """A dataset's files, fetched.

    Attributes:
        path: The folder that holds them.
        uri: Where they came from.
        owned: Whether the folder is in the user's cache, where decoded copies may be kept.
    """

    path: str
    uri: str
    owned: bool


def dataset_folder(source: DataSource) -> Path:
    """The folder in the user's cache that ``source`` may fill. Not created.

    Raises:
        StorageError: The cache can't be written.
    """
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in source.uri)
    return cache_folder() / "datasets" / name[:64].strip(".")


def dataset_name(source: DataSource) -> str:
    """Return the name of a source's dataset, without fetching it; its uri if it names none."""
    return source.dataset_name if isinstance(source, SupportsName) else source.uri


def fetch_dataset(source: DataSource) -> Dataset:
    """Fetch what ``source`` stands for through the user's cache, and read it.

    The first read of a ``.gz`` in the cache keeps what it holds beside it; later ones map that into memory, verified.

    Raises:
        DataError: It can't be had, or isn't what it should be.
        NotFoundError: The place that the source names doesn't exist.
        StorageError: The cache can't be written.
    """
    from mnistkit.data.dataset import Dataset

    if isinstance(source, SupportsPins):
        cache = dataset_folder(source)
        manifest = source.expected(cache)
        with suppress(DataError, NotFoundError):  # what is bad or missing is fetched again
            if manifest:
                return Dataset.from_folder(cache, uri=source.uri, owned=True, manifest=manifest)
    return read_dataset(fetch_folder(source))


def fetch_folder(source: DataSource) -> DataFolder:
    """Fetch what ``source`` stands for through the user's cache; raises as `fetch_dataset`."""
    cache = dataset_folder(source)
    folder = source.fetch(cache).absolute()
    return DataFolder(str(folder), source.uri, folder == cache.absolute())


def read_dataset(folder: DataFolder, manifest: DatasetManifest | None = None) -> Dataset:
    """Read what was fetched, by a manifest that counts in the place of its own; raises as `fetch_dataset`."""
    from mnistkit.data.dataset import Dataset

    return Dataset.from_folder(Path(folder.path), uri=folder.uri, owned=folder.owned, manifest=manifest)
