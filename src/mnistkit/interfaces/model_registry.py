"""Numbered, immutable model versions with files, metrics, tags and aliases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from mnistkit.models import Assignment, ModelVersion

__all__ = ["ModelRegistry"]


class ModelRegistry(ABC):
    """Numbered, immutable model versions with files, metrics, tags and aliases.

    Versions of a name are 1, 2, 3 and so on, without gaps, whoever registers at the same time; the number of
    a deleted version is never used again. Once `register` has returned a version, nothing loses it, and nothing
    changes it. Order is the version number, never a clock. Looking creates nothing: a registry that isn't there yet
    is an empty one. Every method may be called from any thread and process. Every method that takes a name raises
    `mnistkit.errors.InvalidNameError` if it breaks `mnistkit.names.NAME_RULE`.
    """

    __slots__ = ()

    @abstractmethod
    def register(
        self,
        name: str,
        files: Path,
        *,
        format: str,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        run_id: str | None = None,
    ) -> ModelVersion:
        """Publish the files below a folder as the next version of ``name``: entirely, or not at all.

        Args:
            name: The model; names that differ only in case from each other can't live in one registry.
            files: A folder; its files are copied, with their relative paths. It stays as it is.
            format: How the files are to be loaded: one of `mnistkit.models.FORMATS`.
            metrics: Finite numbers by name. NaN and infinity are refused: leave them out.
            tags: Free text by key.
            description: Free text.
            run_id: The run that made it.

        Raises:
            InvalidNameError: The name, or one of the files' names, breaks the rule.
            UsageError: The format is unknown, a metric isn't a finite number, or the folder holds no file, or holds
                anything but regular files and folders.
            StorageError: The registry can't be written. Nothing was registered.
        """

    @abstractmethod
    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """One version; the newest that isn't deleted if ``version`` is None.

        Raises:
            ModelNotFoundError: There is no such model or version; lists the ones there are.
            IntegrityError: What is kept of that version can't be read.
        """

    @abstractmethod
    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions that aren't deleted, newest first; empty if there are none.

        One that can't be read is left out, with a warning in the log: `get` says what is wrong with it.
        """

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The models that have at least one version, sorted."""

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
        """Forget a version's files; its number is never used again. Idempotent.

        Raises:
            ModelNotFoundError: There never was such a version.
            UsageError: An alias points to it; names the alias. Nothing was deleted.
        """

    @abstractmethod
    def assign(self, name: str, alias: str, version: int, *, reason: str = "") -> None:
        """Point an alias to a version. The earlier assignments are kept as its history; each call adds one.

        Raises:
            InvalidNameError: The alias breaks the rule.
            ModelNotFoundError: There is no such version.
        """

    @abstractmethod
    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Each alias of ``name`` with its assignments, oldest first: the last one holds now.

        Empty if there is no such model.
        """
