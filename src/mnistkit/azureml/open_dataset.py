"""MNIST of Azure's Open Datasets as a pinned source, without the transfer: that is each SDK's."""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from mnistkit import config
from mnistkit.azureml.pins import ADVICE, NAMES, accepted_manifests, check_pins, gzipped_content
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.data.source import DataSource
from mnistkit.errors import ChecksumError, DownloadError, StorageError, UsageError
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex, write_atomically
from mnistkit.utils.serialization import to_json

__all__ = ["DATASET_NAME", "PinnedOpenDataset", "parse_uri"]

DATASET_NAME = "mnist_opendataset"
"""The tutorial's name for the dataset in a workspace."""

_ZEROS = bytes(1 << 20)
_URI_PATTERN = re.compile(rf"azureml:{DATASET_NAME}(?::([1-9][0-9]{{0,8}}))?")


def parse_uri(uri: str) -> int | None:
    """Return the version in ``"azureml:mnist_opendataset:3"``; None for ``"azureml:mnist_opendataset"``.

    Raises:
        UsageError: It is anything else.
    """
    match = _URI_PATTERN.fullmatch(uri)
    if not match:
        raise UsageError(
            f"{uri!r} is no dataset of a workspace: use 'azureml:{DATASET_NAME}', or 'azureml:{DATASET_NAME}:3'."
        )
    return int(match[1]) if match[1] else None


def _checked(pins: DatasetManifest | None) -> DatasetManifest | None:
    if pins is not None:
        check_pins(pins)
    return pins


@frozen
class PinnedOpenDataset(DataSource):
    """MNIST as Azure's Open Datasets have it, verified by its pins.

    Attributes:
        workspace: Where it is registered.
        version: Of the registered dataset; None for the Open Dataset itself.
        name: Of the registered dataset.
        pins: The only sizes and sha256s to accept; None for those that ``MNISTKIT_OPEN_DATASETS_PINS`` names, else
            MNIST's.
    """

    workspace: Any = field(default=None, eq=False, repr=False)
    version: int | None = field(default=None, kw_only=True)
    name: str = field(default=DATASET_NAME, kw_only=True)
    pins: DatasetManifest | None = field(default=None, converter=_checked, kw_only=True, repr=False)

    @property
    def uri(self) -> str:
        """``"azureml:mnist_opendataset"``, with the version if there is one, and a digest of ``pins``."""
        other = "" if self.pins is None else f"?sha256={sha256_hex(to_json(self.pins))[:16]}"
        return f"azureml:{self.name}{'' if self.version is None else f':{self.version}'}{other}"

    @property
    def dataset_name(self) -> str:
        """Return the name that its pins give the dataset: ``"mnist"``."""
        return self.accepted()[0].name

    def fetch(self, into: Path) -> Path:
        """Fill ``into`` with the four files and a ``dataset.json``; see `DataSource.fetch`.

        Args:
            into: A folder that caches this dataset; created if need be.

        Returns:
            ``into``.

        Raises:
            DownloadError: The storage didn't deliver, or ``MNISTKIT_OFFLINE`` forbids the network.
            ChecksumError: It delivered other files than the pinned ones. Nothing was put into ``into``.
            MissingExtraError: The SDK isn't installed.
            StorageError: ``into`` can't be written.
        """
        into = ensure_folder(into.absolute(), "MNISTKIT_CACHE", writable=False)
        try:
            held = next((each for each in self.accepted() if not _lacking(into, each)), None)
            if held is None:
                held = self._download(ensure_folder(into, "MNISTKIT_CACHE"))
            for name in _other_forms(held):
                (into / name).unlink(missing_ok=True)
            manifest = to_json(held)
            if not _holds(into / MANIFEST, FileInfo(len(manifest), sha256_hex(manifest))):
                write_atomically(into / MANIFEST, manifest)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"Can't keep data in {into}: {error}. Make room or make it writable, or set MNISTKIT_CACHE to another "
                "folder."
            ) from error
        return into

    def accepted(self) -> tuple[DatasetManifest, ...]:
        """Return the manifests of which one must fit the data, the likeliest first."""
        return accepted_manifests(self.pins)

    def expected(self, into: Path) -> DatasetManifest | None:
        """Return the pins, if the files in ``into`` have their sizes; see `SupportsPins.expected`."""
        for manifest in self.accepted():
            with contextlib.suppress(OSError):
                complete = all((into / name).stat().st_size == info.size for name, info in manifest.files.items())
                if complete and not any((into / name).exists() for name in _other_forms(manifest)):
                    return manifest
        return None

    def digests(self) -> Mapping[str, str]:
        """Return the pinned sha256s; see `SupportsDigests`."""
        return {name: info.sha256 for name, info in self.accepted()[0].files.items()}

    @abstractmethod
    def _receive(self, folder: Path) -> None:
        """Copy the dataset's files into an empty folder, at any depth, unverified.

        Raises:
            DownloadError: The storage didn't deliver.
        """

    def _download(self, into: Path) -> DatasetManifest:
        """Replace the files in a folder that differ from the pins, or none; return the manifest that fits."""
        if config.is_offline():
            raise DownloadError(
                f"{self.uri}: {', '.join(_lacking(into, self.accepted()[0]))} would have to be fetched, and "
                f"MNISTKIT_OFFLINE is set. Unset it, or copy {into} from a machine that has them."
            )
        partial = into / f".{uuid.uuid4().hex}.part"
        try:
            partial.mkdir()
            _reserve(partial / "room", sum(info.size for info in self.accepted()[0].files.values()))
            self._receive(partial)
            found = {path.name: path for path in sorted(partial.rglob("*")) if path.is_file()}
            for manifest in self.accepted():
                if all(_delivers(found, name, info) for name, info in manifest.files.items()):
                    for name in _lacking(into, manifest):
                        found[name].replace(into / name)
                    return manifest
            raise self._mismatch(found)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _mismatch(self, found: Mapping[str, Path]) -> ChecksumError:
        """Return the error that names the file that isn't as pinned."""
        pinned = self.accepted()[0]
        name = "MNIST" if pinned.name == "mnist" else pinned.name
        for file, info in pinned.files.items():
            path = found.get(file) or found.get(f"{file}.gz")
            if path is None:
                return ChecksumError(f"{self.uri} lacks {file}: Azure delivered {', '.join(found) or 'no files'}.")
            got = file_info(path)
            if got != info and (path.name == file or gzipped_content(path, info) is None):
                return ChecksumError(
                    f"{self.uri}: {path.name} isn't {name}'s: expected {info.size} bytes with sha256 {info.sha256}"
                    f"{'' if path.name == file else ' in it'}, got {got.size} bytes with sha256 {got.sha256}. "
                    f"Nothing was kept. {ADVICE}"
                )
        return ChecksumError(f"{self.uri}: the files changed while they were compared. Nothing was kept. Try again.")


def _other_forms(manifest: DatasetManifest) -> frozenset[str]:
    """Return the files of another form of the data: a reader could take them in place of the pinned ones."""
    return NAMES - set(manifest.files)


def _lacking(folder: Path, manifest: DatasetManifest) -> list[str]:
    """Return the files that a folder doesn't hold as they should be."""
    return [name for name, info in manifest.files.items() if not _holds(folder / name, info)]


def _delivers(found: dict[str, Path], name: str, expected: FileInfo) -> bool:
    """Return True if a file came, or a ``.gz`` that holds it, which is then inflated beside it."""
    if name not in found and f"{name}.gz" in found:
        packed = found[f"{name}.gz"]
        data = gzipped_content(packed, expected)
        if data is not None:
            found[name] = packed.with_name(name)
            found[name].write_bytes(data)
    return name in found and file_info(found[name]) == expected


def _holds(path: Path, expected: FileInfo) -> bool:
    try:
        return path.stat().st_size == expected.size and file_info(path) == expected
    except FileNotFoundError:
        return False


def _reserve(path: Path, size: int) -> None:
    """Fill as much of the disk as is needed, and free it: the v1 SDK's engine retries without end on a full disk."""
    with path.open("wb") as stream:
        for start in range(0, size, len(_ZEROS)):
            stream.write(_ZEROS[: size - start])
    path.unlink()
