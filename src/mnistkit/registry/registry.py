"""The interface of model registries, and of those that register a run's files where they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mnistkit.registry.info import ModelInfo
from mnistkit.registry.version import Assignment, ModelVersion

__all__ = ["ModelRegistry", "SupportsRunFiles"]


class ModelRegistry(ABC):
    """Numbered, immutable model versions with files, metrics, tags and aliases.

    Versions of a name are 1, 2, 3 and so on, without gaps, however many register at the same time; the number of a
    deleted version is never used again. Once `register` has returned a version, nothing loses it, and nothing changes
    it. Order is the version number, never a clock. Reading creates nothing: a registry that isn't there yet is an
    empty one. Every method may be called from any thread and process. Every method that takes a name raises
    `mnistkit.errors.InvalidNameError` if it breaks `mnistkit.utils.names.NAME_RULE`.
    """

    __slots__ = ()

    @abstractmethod
    def register(self, name: str, files: Path, info: ModelInfo) -> ModelVersion:
        """Publish the files below a folder as the next version of ``name``: entirely, or not at all.

        Args:
            name: The model; names that differ only in case from each other can't live in one registry.
            files: A folder; its files are copied, with their relative paths. It stays as it is.
            info: What to keep with them. It comes back as it was given, in the fields of the version.

        Raises:
            InvalidNameError: The name, or one of the files' names, breaks the rule.
            UsageError: The folder holds no file, or anything but regular files and folders.
            StorageError: The registry can't be written. Nothing was registered, unless the message says that it was
                and that the disk didn't confirm it.
        """

    @abstractmethod
    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return one version; the newest that isn't deleted if ``version`` is None.

        Raises:
            ModelNotFoundError: There is no such model or version; lists the ones there are.
            IntegrityError: What is kept of that version can't be read.
        """

    @abstractmethod
    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions that aren't deleted, newest first; empty if there are none.

        One that can't be read is left out, with a warning in the log: `get` raises what is wrong with it.
        """

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the models that have at least one version, sorted."""

    @abstractmethod
    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy a version's files into the folder ``into``, verified against the manifest, and return that folder.

        The folder is created if need be; files in it that have the name of one of the version's are replaced.

        Raises:
            ModelNotFoundError: There is no such version.
            IntegrityError: A file is missing, added or altered, or what is kept of the version has another digest
                than ``model``. Nothing was put into ``into``.
            StorageError: ``into`` can't be written.
        """

    @abstractmethod
    def delete(self, name: str, version: int) -> None:
        """Delete a version's files; its number is never used again. Idempotent.

        Raises:
            ModelNotFoundError: No such version has ever existed.
            UsageError: An alias points to it; names the alias. Nothing was deleted.
        """

    @abstractmethod
    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Point an alias to a version. The earlier assignments are kept as its history; each call adds one.

        Args:
            name: The model.
            alias: Such as ``"champion"``.
            version: Which of its versions.
            reason: Why, for the history.
            seen: The alias's history that this was decided on, as `aliases` gave it; ``()`` if there was none. Of
                several assignments that were decided on the same history one succeeds (compare-and-set).

        Raises:
            InvalidNameError: The alias breaks the rule, or is ``latest``, which means the newest version.
            ModelNotFoundError: There is no such version.
            ConflictError: The history isn't what was ``seen``. Nothing was assigned.
        """

    @abstractmethod
    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Return each alias of ``name`` with its assignments, oldest first: the last one holds now.

        Empty if there is no such model.
        """


@runtime_checkable
class SupportsRunFiles(Protocol):
    """A `ModelRegistry` in the place where runs keep their files: it registers these without a copy of them."""

    def has_run(self, run_id: str) -> bool:
        """Return True if the run lives there."""

    def register_from_run(
        self, name: str, files: Sequence[str], info: ModelInfo, *, copies: Path | None = None
    ) -> ModelVersion:
        """Publish files of the run ``info.run_id`` as the next version, otherwise as `ModelRegistry.register` does.

        Args:
            name: The model.
            files: Some of the run's files, the model first; the version has them by their own names.
            info: What to keep with them; names the run.
            copies: A folder with verified copies of the files, by their own names, to read their sizes and sha256
                from; None to read them where they are.

        Raises:
            RunNotFoundError: There is no such run.
            NotFoundError: The run has no such file; lists the ones it has.
            UsageError: ``info`` names no run, or two of the files have the same name.
        """
