"""Comparing registered models with what was registered."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import frozen

from mnistkit.errors import IntegrityError, ModelNotFoundError, StorageError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import Assignment

__all__ = [
    "Problem",
    "SupportsInspect",
    "SupportsNumbers",
    "Verification",
    "inspect_version",
    "verify_models",
    "version_numbers",
]


@frozen
class Problem:
    """One way in which a version, or what points to it, isn't what was registered.

    Attributes:
        model: The version, as ``name:version``; the model's name alone if it isn't about one version.
        file: Which of its files, by relative POSIX path; empty if it isn't about one.
        what: What is wrong, and with the file's name and numbers where there are any.
    """

    model: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.model}: {self.file + ': ' if self.file else ''}{self.what}"


@frozen
class Verification:
    """The result of a check of registered models.

    Attributes:
        versions: The number of versions that were checked.
        size: The number of bytes that their files should have, together.
        problems: What is wrong; empty if all is as it was registered.
    """

    versions: int
    size: int
    problems: tuple[Problem, ...] = ()

    @classmethod
    def total(cls, parts: Iterable[Verification]) -> Verification:
        """Return the sum of several checks, with their problems in order."""
        found = tuple(parts)
        return cls(
            sum(part.versions for part in found),
            sum(part.size for part in found),
            tuple(problem for part in found for problem in part.problems),
        )


@runtime_checkable
class SupportsNumbers(Protocol):
    """A `ModelRegistry` that lists also the versions whose manifest it can't read."""

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the numbers of all versions that aren't deleted, newest first; empty if there are none."""


@runtime_checkable
class SupportsInspect(Protocol):
    """A `ModelRegistry` that reads its files where they are, and so finds every problem without a copy."""

    def inspect(self, name: str, version: int) -> Verification:
        """Return every problem of one version.

        Raises:
            ModelNotFoundError: There is no such version.
        """

    def inspected_names(self) -> tuple[str, ...]:
        """Return the models to verify: those of `ModelRegistry.names`, and those that these leave out as damaged."""

    def inspect_model(self, name: str) -> tuple[Problem, ...]:
        """Return the problems that belong to no version in `numbers`, such as versions that are missing.

        Problems of aliases aren't among them: `verify_models` finds these in every registry.
        """


def version_numbers(registry: ModelRegistry, name: str) -> tuple[int, ...]:
    """Return the numbers of all versions that aren't deleted, newest first.

    Those of `ModelRegistry.versions` unless the registry has `SupportsNumbers`.
    """
    if isinstance(registry, SupportsNumbers):
        return registry.numbers(name)
    return tuple(model.version for model in registry.versions(name))


def verify_models(registry: ModelRegistry, name: str | None = None, version: int | None = None) -> Verification:
    """Compare what a registry keeps with what was registered.

    Args:
        registry: Where the models are.
        name: The model; all of them if None.
        version: One version of it; all that aren't deleted if None.

    Returns:
        The number of versions that were checked, and each problem with its version and file. A version whose manifest
        can't be read is a problem, not an error. Without ``version``, so are versions that are missing, and aliases
        that can't be read or point to no version.

    Raises:
        ModelNotFoundError: There is no such model or version.
        UsageError: A version without a name.
    """
    if version is not None:
        if name is None:
            raise UsageError(f"version={version}: give the model's name, too.")
        return inspect_version(registry, name, version)
    if name is not None:
        found = Verification.total(_inspect_all(registry, name))
        if not found.versions and not found.problems:
            registry.get(name)  # raises the error that lists the models there are
        return found
    names = registry.inspected_names() if isinstance(registry, SupportsInspect) else registry.names()
    return Verification.total(part for each in names for part in _inspect_all(registry, each))


def inspect_version(registry: ModelRegistry, name: str, version: int) -> Verification:
    """Compare one version with what was registered.

    A registry without `SupportsInspect` downloads it for that, which finds its first problem.

    Raises:
        ModelNotFoundError: There is no such version.
    """
    if isinstance(registry, SupportsInspect):
        return registry.inspect(name, version)
    size = 0
    try:
        model = registry.get(name, version)
        size = sum(info.size for info in model.files.values())
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            registry.download(model, Path(folder) / "files")
    except IntegrityError as error:
        return Verification(1, size, (Problem(f"{name}:{version}", "", str(error)),))
    return Verification(1, size)


def _inspect_all(registry: ModelRegistry, name: str) -> Iterator[Verification]:
    try:
        numbers = version_numbers(registry, name)
        others = registry.inspect_model(name) if isinstance(registry, SupportsInspect) else ()
    except (IntegrityError, StorageError) as error:  # such as a folder of it that was replaced by a link
        yield Verification(0, 0, (Problem(name, "", str(error)),))
        return
    for number in reversed(numbers):
        with contextlib.suppress(ModelNotFoundError):  # deleted since
            yield inspect_version(registry, name, number)
    yield Verification(0, 0, (*others, *_alias_problems(registry, name)))


def _alias_problems(registry: ModelRegistry, name: str) -> Sequence[Problem]:
    try:
        lost = _lost(registry, name) and _lost(registry, name)  # it may have been reassigned between the two reads
    except IntegrityError as error:
        return (Problem(name, "", str(error)),)
    what = "is version {}, which isn't there. Restore that version, or assign the alias to another."
    return [Problem(name, "", f"{name}@{each.alias} {what.format(each.version)}") for each in lost]


def _lost(registry: ModelRegistry, name: str) -> list[Assignment]:
    """Return the present assignments to versions that aren't there."""
    assignments = [history[-1] for history in registry.aliases(name).values()]
    there = version_numbers(registry, name)
    return [assignment for assignment in assignments if assignment.version not in there]
