"""A packaged model: a folder that holds one version with all that serves it, as a registry of that version."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.registry.files import all_or_nothing
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.manifest import check_listed
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import Assignment, ModelVersion
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.model import ServedModel, load_served
from mnistkit.serving.schema import score_rows
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_name
from mnistkit.utils.regular import open_regular
from mnistkit.utils.serialization import read_json

__all__ = ["MODEL_FOLDER", "VERSION_FILE", "PackageRegistry", "PackagedModel"]

MODEL_FOLDER: Final = "model"
"""The folder of the model's files within a package."""

VERSION_FILE: Final = "version.json"
"""The file with the registered version, beside the model's folder."""

_CHUNK_BYTES = 1 << 20


class PackageRegistry(ModelRegistry):
    """The one version of a package, read-only; its files are verified whenever they are read.

    Args:
        folder: What `mnistkit.serving.package_model` wrote.
    """

    __slots__ = ("_folder", "_version")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            version: ModelVersion = read_json(folder / VERSION_FILE, ModelVersion, follow=True)
        except OSError as error:
            raise ModelNotFoundError(
                f"{folder} is no package: {error}. Make one with 'mnistkit models package'."
            ) from error
        check_name(version.name, "model name")
        check_listed(version.files, str(folder / VERSION_FILE))
        self._version = evolve(version, location=str(folder / MODEL_FOLDER))

    def register(self, name: str, files: Path, info: ModelInfo) -> ModelVersion:
        """Raise UsageError: a package never changes."""
        raise self._unchangeable()

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return the version of the package."""
        if name != self._version.name or version not in {None, self._version.version}:
            raise ModelNotFoundError(f"This package holds {self._version.id} alone, not {name}:{version or 'newest'}.")
        return self._version

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return the version of the package."""
        return (self._version,) if name == self._version.name else ()

    def names(self) -> tuple[str, ...]:
        """Return the model's name."""
        return (self._version.name,)

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy the files, each compared with what was registered."""
        with all_or_nothing(into, model.id) as partial:
            for file, info in self.get(model.name, model.version).files.items():
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                self._copy(file, info, partial / file)
        return into

    def delete(self, name: str, version: int) -> None:
        """Raise UsageError: a package never changes."""
        raise self._unchangeable()

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Raise UsageError: a package never changes."""
        raise self._unchangeable()

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Return none."""
        return {}

    def _copy(self, file: str, info: FileInfo, target: Path) -> None:
        path = self._folder / MODEL_FOLDER / file
        try:
            source = open_regular(path, within=self._folder)
        except OSError as error:
            raise IntegrityError(
                f"{self._version.id}: {path} can't be read: {error}. Make the package again."
            ) from error
        digest = hashlib.sha256()
        with source, target.open("xb") as copy:
            # A file of another size is another file: don't read it, it could be of any size.
            is_same = os.fstat(source.fileno()).st_size == info.size
            while is_same and (chunk := source.read(_CHUNK_BYTES)):
                digest.update(chunk)
                copy.write(chunk)
        if not is_same or digest.hexdigest() != info.sha256:
            raise IntegrityError(f"{self._version.id}: {path} isn't what was registered. Make the package again.")

    def _unchangeable(self) -> UsageError:
        return UsageError(f"The package in {self._folder} never changes: register in a registry, and package that.")


class PackagedModel:
    """The model of a package, as a scoring script uses it.

    Attributes:
        served: The model, loaded, verified and compared with its recorded predictions.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        """Load the model of a package.

        Args:
            folder: What `mnistkit.serving.package_model` wrote.
            **options: As `mnistkit.load_model` takes them.

        Raises:
            ModelError: It can't be loaded, isn't trusted, or predicts something else than recorded.
        """
        registry = PackageRegistry(folder)
        (name,) = registry.names()
        self.served: ServedModel = load_served(registry, registry.get(name), **options)

    def score(self, body: str | bytes) -> list[Any]:
        """Return the labels for a request such as ``{"data": [[784 numbers], ...]}``.

        Raises:
            UsageError: The request holds something else.
        """
        data = body.encode() if isinstance(body, str) else body
        return self.served.labels(score_rows(data, self.served, ServerLimits()))
