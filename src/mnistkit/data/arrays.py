"""Arrays of the program as a data source: written once, as IDX files under the hash of their content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from mnistkit.data.dataset import Dataset
from mnistkit.data.manifest import MANIFEST, read_manifest
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, NotFoundError, StorageError, UsageError
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex, write_atomically
from mnistkit.utils.serialization import to_json

__all__ = ["ArraySource", "Data", "source_of"]

Data = str | DataSource | Dataset | tuple[Any, ...]
"""What a trainer takes as data: a uri, a source, a dataset, or arrays: ``(X, y)``, ``(X_train, y_train, X_test,
y_test)`` or ``((X_train, y_train), (X_test, y_test))``."""

_N_ARRAYS = (2, 4)


@frozen
class ArraySource(DataSource):
    """A dataset of this program's memory. `fetch` writes it, so that runs in other processes and places can read it.

    Attributes:
        digest: The sha256 of the dataset's ``dataset.json``, which has those of its files.
        dataset: The dataset; None for one that an earlier program wrote into the cache.
    """

    digest: str
    dataset: Dataset | None = field(default=None, eq=False, repr=False)

    @classmethod
    def of(cls, dataset: Dataset) -> ArraySource:
        """Return the source of a dataset."""
        return cls(sha256_hex(to_json(dataset.manifest())), dataset)

    @classmethod
    def from_uri(cls, uri: str) -> ArraySource:
        """Return the source of a dataset that an earlier program wrote into the cache.

        Raises:
            UsageError: ``uri`` isn't ``array:`` and a sha256.
        """
        digest = uri.removeprefix("array:")
        if len(digest) != len(sha256_hex(b"")) or not digest.isalnum():
            raise UsageError(f"{uri!r:.100} isn't 'array:' and a sha256: give the arrays themselves, in Python.")
        return cls(digest)

    @property
    def uri(self) -> str:
        """Return ``"array:"`` and the `digest`."""
        return f"array:{self.digest}"

    @property
    def dataset_name(self) -> str:
        """Return the dataset's name; ``"arrays"`` for one of an earlier program."""
        return "arrays" if self.dataset is None else self.dataset.name

    def fetch(self, into: Path) -> Path:
        """Write the four IDX files and ``dataset.json`` into ``into``, as far as they aren't there and verified.

        Idempotent, and safe in several processes at once.

        Raises:
            NotFoundError: The arrays were those of an earlier program, and aren't in the cache any more.
            StorageError: ``into`` can't be written.
        """
        if self.dataset is None:
            return self._kept(into)
        ensure_folder(into, "MNISTKIT_CACHE")
        files = _files(self.dataset)
        for name, data in files.items():
            path = into / name
            if not path.is_file() or file_info(path) != FileInfo(len(data), sha256_hex(data)):
                _place(path, data)
        return into

    def size(self) -> int | None:
        """Return the bytes of the images and labels; see `SupportsSize`."""
        if self.dataset is None:
            return None
        splits = (self.dataset.train, self.dataset.test)
        return sum(array.nbytes for split in splits for array in (split.images, split.labels))

    def digests(self) -> Mapping[str, str]:
        """Return the sha256 of each file; see `SupportsDigests`."""
        if self.dataset is None:
            raise NotFoundError(_gone(self.uri))
        return {name: sha256_hex(data) for name, data in _files(self.dataset).items()}

    def _kept(self, into: Path) -> Path:
        if not (into / MANIFEST).is_file():
            raise NotFoundError(_gone(self.uri))
        for name, info in read_manifest(into).files.items():
            if not (into / name).is_file() or file_info(into / name) != info:
                raise ChecksumError(f"{into / name} isn't what was written: delete {into}, and give the arrays again.")
        return into


def _place(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StorageError(
            f"Can't write {path}: {error.strerror or error}. Make it writable, or set MNISTKIT_CACHE "
            "to a folder that is."
        ) from error


def _files(dataset: Dataset) -> dict[str, bytes]:
    """Return the content of each file by name, the manifest last."""
    return {**dataset.files(), MANIFEST: to_json(dataset.manifest())}


def source_of(data: Any) -> DataSource:
    """Return the source of a dataset or of arrays, as `Data` has them; a source as it is.

    Raises:
        UsageError: It is something else.
        DataFormatError: The arrays aren't images and labels; see `Dataset.from_arrays`.
    """
    if isinstance(data, DataSource):
        return data
    if isinstance(data, Dataset):
        return ArraySource.of(data)
    if isinstance(data, (tuple, list)):
        pairs = [each for each in data if isinstance(each, tuple) and len(each) == 2]  # noqa: PLR2004 - (X, y)
        if len(data) == len(pairs) == 2:  # noqa: PLR2004 - train and test, as keras and `Dataset.arrays` have them
            data = (*data[0], *data[1])
        if len(data) in _N_ARRAYS:
            return ArraySource.of(Dataset.from_arrays(*data))
    raise UsageError(
        f"data is a {type(data).__name__}{f' of {len(data)}' if isinstance(data, (tuple, list)) else ''}: give a uri "
        "such as 'mnist', a Dataset, (X, y), (X_train, y_train, X_test, y_test), ((X_train, y_train), (X_test, "
        "y_test)), or a data source."
    )


def _gone(uri: str) -> str:
    return f"{uri} was made of arrays of an earlier program, and isn't in the cache: give the arrays again."
