"""Numbered, immutable model versions with files, metrics, tags and aliases."""

from __future__ import annotations

import contextlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.registry.verification import Problem, Verification
from mnistkit.registry.version import Assignment, ModelVersion

__all__ = ["ModelRegistry", "RegistersRuns"]


class ModelRegistry(ABC):
    """Numbered, immutable model versions with files, metrics, tags and aliases.

    Versions of a name are 1, 2, 3 and so on, without gaps, whoever registers at the same time; the number of
    a deleted version is never used again. Once `register` has returned a version, nothing loses it, and nothing
    changes it. Order is the version number, never a clock. Looking creates nothing: a registry that isn't there yet
    is an empty one. Every method may be called from any thread and process. Every method that takes a name raises
    `mnistkit.errors.InvalidNameError` if it breaks `mnistkit.utils.NAME_RULE`.
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
            format: How the files are to be loaded: one of `mnistkit.registry.FORMATS`.
            metrics: Finite numbers by name. NaN and infinity are refused: leave them out.
            tags: Free text by key.
            description: Free text.
            run_id: The run that made it.

        Raises:
            InvalidNameError: The name, or one of the files' names, breaks the rule.
            UsageError: The format is unknown, a metric isn't a finite number, or the folder holds no file, or holds
                anything but regular files and folders.
            StorageError: The registry can't be written. Nothing was registered, unless the message says that it was
                and that the disk didn't confirm it.
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
            InvalidNameError: The alias breaks the rule.
            ModelNotFoundError: There is no such version.
            ConflictError: The history isn't what was ``seen``. Nothing was assigned.
        """

    @abstractmethod
    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Each alias of ``name`` with its assignments, oldest first: the last one holds now.

        Empty if there is no such model.
        """

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of all versions that aren't deleted, newest first; empty if there are none.

        Those of `versions`, unless a registry overrides this: it should, if it knows of versions that it can't read.
        """
        return tuple(model.version for model in self.versions(name))

    def verify(self, name: str | None = None, version: int | None = None) -> Verification:
        """Compare what is kept with what was registered.

        Args:
            name: The model; all of them if None.
            version: One version of it; all that aren't deleted if None.

        Returns:
            How much was checked, and each problem with its version and file. A version whose manifest can't be read
            is a problem, no error. Without ``version``, so are aliases that can't be read, or lead nowhere.

        Raises:
            ModelNotFoundError: There is no such model or version.
            UsageError: A version without a name.
        """
        if version is not None:
            if name is None:
                raise UsageError(f"verify(version={version}): name the model, too.")
            return self.inspect(name, version)
        if name is not None and not self.numbers(name):
            self.get(name)  # says what there is
        return Verification.total(self._inspect_all(self.names() if name is None else (name,)))

    def inspect(self, name: str, version: int) -> Verification:
        """Verify one version: here by downloading it, which finds its first problem.

        A registry that reaches its files at once overrides this, and finds all.

        Raises:
            ModelNotFoundError: There is no such version.
        """
        size = 0
        try:
            model = self.get(name, version)
            size = sum(info.size for info in model.files.values())
            with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
                self.download(model, Path(folder) / "files")
        except IntegrityError as error:
            return Verification(1, size, (Problem(f"{name}:{version}", "", str(error)),))
        return Verification(1, size)

    def inspect_model(self, name: str) -> Verification:
        """Verify what belongs to no single version: here that each alias can be read, and points to a version.

        A registry that can tell more overrides this.
        """
        try:
            lost = self._lost(name) and self._lost(name)  # an alias may have been moved between the two looks at it
        except IntegrityError as error:
            return Verification(0, 0, (Problem(name, "", str(error)),))
        what = "is version {}, which isn't there. Restore that version, or assign the alias to another."
        return Verification(
            0, 0, tuple(Problem(name, "", f"{name}@{each.alias} {what.format(each.version)}") for each in lost)
        )

    def _lost(self, name: str) -> list[Assignment]:
        """The present assignments to versions that aren't there."""
        assignments = [history[-1] for history in self.aliases(name).values()]
        there = self.numbers(name)
        return [assignment for assignment in assignments if assignment.version not in there]

    def _inspect_all(self, names: Sequence[str]) -> Iterator[Verification]:
        for name in names:
            for number in reversed(self.numbers(name)):
                with contextlib.suppress(ModelNotFoundError):  # deleted since
                    yield self.inspect(name, number)
            yield self.inspect_model(name)


@runtime_checkable
class RegistersRuns(Protocol):
    """A `ModelRegistry` in the place where runs keep their files: it registers these without a copy of them."""

    def has_run(self, run_id: str) -> bool:
        """Whether the run lives there."""

    def register_from_run(
        self,
        name: str,
        run_id: str,
        files: Sequence[str],
        *,
        format: str | None = None,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        copies: Path | None = None,
    ) -> ModelVersion:
        """Publish files of a run as the next version of ``name``, otherwise as `ModelRegistry.register` does.

        Args:
            name: The model.
            run_id: The run.
            files: Some of its files, the model first; the version has them by their own names.
            format: One of `mnistkit.registry.FORMATS`; None to tell from the first file.
            metrics: Finite numbers by name.
            tags: Free text by key.
            description: Free text.
            copies: A folder with verified copies of the files, by their own names, from which to tell what they are;
                None to read them where they are.

        Raises:
            RunNotFoundError: There is no such run.
            NotFoundError: The run has no such file; lists the ones it has.
        """
