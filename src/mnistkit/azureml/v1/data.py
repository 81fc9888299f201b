"""Data for jobs of a workspace: MNIST of Azure's Open Datasets, and any other source, brought to the node."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, field, frozen

from mnistkit import config
from mnistkit.azureml.v1._sdk import call, sdk
from mnistkit.azureml.v1.pins import MNIST, accepted, content, way_out
from mnistkit.azureml.v1.uploads import uploaded
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.data.source import DataSource, PinnedSource
from mnistkit.errors import (
    ChecksumError,
    ConflictError,
    DownloadError,
    NotFoundError,
    ServiceError,
    StorageError,
    UsageError,
)
from mnistkit.utils.files import FileInfo, ensure_folder, file_info, sha256_hex, write_atomically
from mnistkit.utils.serialization import to_json

__all__ = ["MNIST", "OpenDatasetsMnist", "mount"]

_SECONDS = 600.0
_ZEROS = bytes(1 << 20)
_NAME = "mnist_opendataset"
_URI = re.compile(rf"azureml:{_NAME}(?::([1-9][0-9]{{0,8}}))?")

_log = logging.getLogger(__name__)


@frozen
class OpenDatasetsMnist(PinnedSource):
    """MNIST as Azure's Open Datasets have it, verified: the tutorial's data.

    In jobs of a workspace it is mounted where they run; `fetch` brings it to this machine.

    Attributes:
        workspace: What `mnistkit.azureml.connect` returns; None to connect when it is needed, to what ``config.json``
            names. `fetch` needs none, unless there is a ``version``.
        version: Of the dataset that `register` made; None for the Open Dataset itself.
        name: What `register` called it.
        files: The size and sha256 of each file; MNIST's.
    """

    workspace: Any = field(default=None, eq=False, repr=False)
    version: int | None = field(default=None, kw_only=True)
    name: str = field(default=_NAME, kw_only=True)
    files: Mapping[str, FileInfo] = field(default=MNIST, converter=dict, kw_only=True, repr=False)

    @classmethod
    def from_uri(
        cls, uri: str, *, workspace: Any = None, config: str | os.PathLike[str] | None = None
    ) -> OpenDatasetsMnist:
        """The source that ``"azureml:mnist_opendataset"`` means, or ``"azureml:mnist_opendataset:3"``.

        Args:
            uri: One of these.
            workspace: As the attribute.
            config: Without a workspace, where to look for its ``config.json``, as in `mnistkit.azureml.connect`.

        Raises:
            UsageError: It is anything else.
        """
        match = _URI.fullmatch(uri)
        if not match:
            raise UsageError(f"{uri!r} is no dataset of a workspace: use 'azureml:{_NAME}', or 'azureml:{_NAME}:3'.")
        where = Connection(config=config) if workspace is None else workspace
        return cls(where, version=int(match[1]) if match[1] else None)

    @property
    def uri(self) -> str:
        """``"azureml:mnist_opendataset"``, with the version if there is one, and a digest of other ``files``."""
        other = "" if self.files == MNIST else f"?sha256={sha256_hex(to_json(self.files))[:16]}"
        return f"azureml:{self.name}{'' if self.version is None else f':{self.version}'}{other}"

    def fetch(self, into: Path) -> Path:
        """Fill ``into`` with the four files and a ``dataset.json``; see `DataSource.fetch`.

        Args:
            into: A folder that caches this dataset; created if need be.

        Returns:
            ``into``.

        Raises:
            DownloadError: The storage didn't deliver, or ``MNISTKIT_OFFLINE`` forbids to ask it.
            ChecksumError: It delivered other files than the pinned ones. Nothing was put into ``into``.
            MissingExtraError: The SDK isn't installed.
            StorageError: ``into`` can't be written.
        """
        into = ensure_folder(into.absolute(), "MNISTKIT_CACHE", writable=False)
        try:
            held = next((each for each in accepted(self.files) if not _lacking(into, each)), None)
            if held is None:
                held = self._downloaded(ensure_folder(into, "MNISTKIT_CACHE"))
            for name in self._strays(held):
                (into / name).unlink(missing_ok=True)
            manifest = to_json(held)
            if not _holds(into / MANIFEST, FileInfo(len(manifest), sha256_hex(manifest))):
                write_atomically(into / MANIFEST, manifest)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise _no_room(into, error) from error
        return into

    def expected(self, into: Path) -> DatasetManifest | None:
        """The pins, if the files in ``into`` have their sizes; see `PinnedSource.expected`."""
        for manifest in accepted(self.files):
            with contextlib.suppress(OSError):
                complete = all((into / name).stat().st_size == info.size for name, info in manifest.files.items())
                if complete and not any((into / name).exists() for name in self._strays(manifest)):
                    return manifest
        return None

    def digests(self) -> Mapping[str, str]:
        """The pinned sha256s; see `KnownContent`."""
        return {name: info.sha256 for name, info in accepted(self.files)[0].files.items()}

    def register(
        self, name: str = _NAME, *, create_new_version: bool = True, description: str = "MNIST of Azure's Open Datasets"
    ) -> OpenDatasetsMnist:
        """Register the Open Dataset in the workspace, so that people find it there, and return it with its version.

        Args:
            name: What to call it there.
            create_new_version: Whether a dataset that has this name gets another version, if this one differs.
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
        """The SDK's ``FileDataset``: registered, if there is a ``version``, or else the Open Dataset.

        Args:
            workspace: Where it is registered; None for ``workspace`` of this source.
        """
        for module in ("engineless_dataflow", "_azure_access_token_resolver"):
            sdk(f"azureml.dataprep.api.{module}").__dict__["print"] = _say_nothing  # they talk on standard output
        if self.version is None:
            mnist = sdk("azureml.opendatasets").MNIST
            return call("looking up MNIST in the Open Datasets", mnist.get_file_dataset, enable_telemetry=False)
        where = Connection.of(self.workspace if workspace is None else workspace).workspace
        get = sdk("azureml.core").Dataset.get_by_name
        return call(f"looking up the dataset {self.name}", get, where, self.name, self.version)

    def _strays(self, held: DatasetManifest) -> set[str]:
        """The files that may be in a folder, of another form of the data: readers could take them."""
        forms = {stem + end for stem in map(_stem, self.files) for end in ("", ".gz")}
        return forms - set(held.files)

    def _downloaded(self, into: Path) -> DatasetManifest:
        """Make the files in a folder what is pinned, or leave them alone; what they are."""
        if config.is_offline():
            raise DownloadError(
                f"{self.uri}: {', '.join(_lacking(into, accepted(self.files)[0]))} would have to be fetched, and "
                f"MNISTKIT_OFFLINE is set. Unset it, or copy {into} from a machine that has them."
            )
        partial = into / f".{uuid.uuid4().hex}.part"
        try:
            partial.mkdir()
            _make_sure_of_room(partial / "room", sum(info.size for info in self.files.values()))
            self._receive(partial)
            found = {path.name: path for path in sorted(partial.rglob("*")) if path.is_file()}
            for manifest in accepted(self.files):
                if all(_delivers(found, name, info) for name, info in manifest.files.items()):
                    for name in _lacking(into, manifest):
                        found[name].replace(into / name)
                    return manifest
            raise self._other(found)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _receive(self, folder: Path) -> None:
        try:
            call("downloading MNIST", self.dataset().download, str(folder), overwrite=True, seconds=_SECONDS)
        except (ServiceError, NotFoundError) as error:
            raise DownloadError(
                f"{self.uri}: {error} Look at the network and HTTPS_PROXY, or use data='mnist': it has other mirrors."
            ) from error

    def _other(self, found: Mapping[str, Path]) -> ChecksumError:
        """What is wrong with the files that came."""
        if (name := accepted(self.files)[0].name) != "mnist":
            return ChecksumError(f"{self.uri}: what came isn't {name}. Nothing was kept. {way_out()}")
        for name, info in self.files.items():
            if name not in found:
                return ChecksumError(f"{self.uri} lacks {name}: Azure delivered {', '.join(found) or 'no files'}.")
            got = file_info(found[name])
            if got != info:
                return ChecksumError(
                    f"{self.uri}: {name} isn't MNIST's: expected {info.size} bytes with sha256 {info.sha256}, got "
                    f"{got.size} bytes with sha256 {got.sha256}. Nothing was kept. {way_out()}"
                )
        return ChecksumError(f"{self.uri}: the files changed while they were looked at. Nothing was kept. Try again.")


def mount(
    workspace: Any, source: DataSource, *, mode: Literal["mount", "download"] = "mount", name: str = "mnist_data"
) -> Any:
    """What the SDK takes as a job's input, so that the job finds a source's files in a folder of its node.

    `OpenDatasetsMnist` is mounted as it is. Any other source is fetched here and uploaded to the workspace's default
    datastore, unless data of the same content was before.

    Args:
        workspace: What `mnistkit.azureml.connect` returns.
        source: Where the data comes from.
        mode: ``"mount"`` to read files as they are needed, ``"download"`` to copy them first.
        name: What the job calls it.

    Returns:
        A ``DatasetConsumptionConfig`` of the SDK.

    Raises:
        UsageError: The mode is neither.
        DataError: The data can't be had, or isn't what it should be.
        ServiceError: The workspace can't take it.
    """
    if mode not in {"mount", "download"}:
        raise UsageError(f"mode={mode!r}: use 'mount' or 'download'.")
    dataset = source.dataset(workspace) if isinstance(source, OpenDatasetsMnist) else uploaded(workspace, source)
    named = call("naming a dataset", dataset.as_named_input, name)
    return named.as_mount() if mode == "mount" else named.as_download()


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for the print of the SDK's engine."""


def _stem(name: str) -> str:
    return name.removesuffix(".gz")


def _lacking(folder: Path, manifest: DatasetManifest) -> list[str]:
    """The files that a folder doesn't hold as they should be."""
    return [name for name, info in manifest.files.items() if not _holds(folder / name, info)]


def _delivers(found: dict[str, Path], name: str, expected: FileInfo) -> bool:
    """Whether a file came, or a ``.gz`` that holds it, which is then put beside."""
    if name not in found and f"{name}.gz" in found:
        packed = found[f"{name}.gz"]
        data = content(packed, expected)
        if data is not None:
            found[name] = packed.with_name(name)
            found[name].write_bytes(data)
    return name in found and file_info(found[name]) == expected


def _holds(path: Path, expected: FileInfo) -> bool:
    try:
        return path.stat().st_size == expected.size and file_info(path) == expected
    except FileNotFoundError:
        return False


def _make_sure_of_room(path: Path, size: int) -> None:
    """Fill as much of the disk as is needed, and free it: the SDK's engine goes on trying where there is no room."""
    with path.open("wb") as stream:
        for start in range(0, size, len(_ZEROS)):
            stream.write(_ZEROS[: size - start])
    path.unlink()


def _no_room(folder: Path, error: BaseException) -> StorageError:
    return StorageError(
        f"Can't keep data in {folder}: {error}. Make room or make it writable, or set MNISTKIT_CACHE to another folder."
    )
