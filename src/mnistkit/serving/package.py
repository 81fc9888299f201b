"""A packaged model: a folder that holds one version with all that serves it, as a registry of that version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.registry.files import all_or_nothing
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import Assignment, ModelVersion
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.model import ServedModel, load_served
from mnistkit.serving.schema import score_rows
from mnistkit.utils.files import FileInfo, sha256_hex
from mnistkit.utils.serialization import from_json

__all__ = ["MODEL_FOLDER", "VERSION_FILE", "PackageRegistry", "PackagedModel"]

MODEL_FOLDER: Final = "model"
"""The folder of the model's files within a package."""

VERSION_FILE: Final = "version.json"
"""What was registered, beside the model's folder."""


class PackageRegistry(ModelRegistry):
    """The one version of a package, read-only; its files are verified whenever they are read.

    Args:
        folder: What `mnistkit.serving.package_model` wrote.
    """

    __slots__ = ("_folder", "_version")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            data = (folder / VERSION_FILE).read_bytes()
        except OSError as error:
            raise ModelNotFoundError(
                f"{folder} is no package: {error}. Make one with 'mnistkit models package'."
            ) from error
        version: ModelVersion = from_json(data, ModelVersion, folder / VERSION_FILE)
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
                data = self._read(file, info)
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                (partial / file).write_bytes(data)
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

    def _read(self, file: str, info: FileInfo) -> bytes:
        path = self._folder / MODEL_FOLDER / file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise IntegrityError(
                f"{self._version.id}: {path} can't be read: {error}. Make the package again."
            ) from error
        if FileInfo(len(data), sha256_hex(data)) != info:
            raise IntegrityError(f"{self._version.id}: {path} isn't what was registered. Make the package again.")
        return data

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
