"""The manifest of a dataset: ``dataset.json`` beside its IDX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from mnistkit.errors import StorageError
from mnistkit.utils.documents import MAX_RECORD_BYTES
from mnistkit.utils.files import FileInfo, write_atomically
from mnistkit.utils.regular import read_regular
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["MANIFEST", "DatasetManifest", "FileInfo", "find_manifest", "read_manifest"]

MANIFEST = "dataset.json"


@frozen(kw_only=True)
class DatasetManifest:
    """The content of ``dataset.json``, which describes the IDX files beside it.

    Attributes:
        name: For people.
        version: Of the data.
        class_names: One per label, label 0 first.
        inverted: The images are light on dark because those on a light ground were inverted; None if unknown.
        centred: Each image is one digit, cropped, scaled and placed by its centre of mass as MNIST's were; None if
            unknown.
        files: The IDX files by path relative to the folder. Unless it is empty, no other file is read,
            and each one is verified.
    """

    name: str
    version: str = "1"
    class_names: tuple[str, ...] = ()
    inverted: bool | None = None
    centred: bool | None = None
    files: Mapping[str, FileInfo] = field(factory=dict)

    def write(self, folder: Path) -> None:
        """Write it as ``dataset.json`` into ``folder``, atomically."""
        write_atomically(folder / MANIFEST, to_json(self))


def read_manifest(folder: Path) -> DatasetManifest:
    """Return the manifest of a folder; one of the folder's name alone if it has none.

    Raises:
        StorageError: It can't be read.
        DataFormatError: It can't be understood.
    """
    manifest, _ = find_manifest(folder)
    return manifest or DatasetManifest(name=folder.resolve().name or "dataset")


def find_manifest(folder: Path) -> tuple[DatasetManifest | None, bytes]:
    """Return the manifest of a folder with the bytes that it was read from; None and no bytes if it has none.

    Raises:
        StorageError: It can't be read, is no regular file, or is larger than 16 MiB.
        DataFormatError: It can't be understood.
    """
    path = folder / MANIFEST
    try:
        data = read_regular(path, MAX_RECORD_BYTES, follow=True)
    except FileNotFoundError:
        return None, b""
    except OSError as error:
        raise StorageError(f"Can't read {path}: {error.strerror or error}. Make it readable, or remove it.") from error
    return from_json(data, DatasetManifest, path), data
