"""A model registry in a folder: no server, no database, no locks.

A version is written and flushed in a staging folder, then renamed to the next free number. That one step claims the
number and publishes the version: none is ever seen in part, and no two processes get the same.
`mnistkit.local.registry.layout` shows what lies where.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve

from mnistkit.errors import (
    IntegrityError,
    InvalidNameError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.jobs.provenance import current_user
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.aliases import append_assignment, read_histories
from mnistkit.local.registry.files import copy_in, copy_out, find_problems
from mnistkit.local.registry.layout import Layout, Numbers
from mnistkit.local.registry.signatures import put_signature, read_signatures
from mnistkit.registry.files import all_or_nothing, find_sources
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, read_version
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.signing import Signature
from mnistkit.registry.verification import Problem, Verification
from mnistkit.registry.version import Assignment, ModelVersion, check_alias
from mnistkit.utils.arguments import check_path, check_type
from mnistkit.utils.clock import utc_now
from mnistkit.utils.names import check_name
from mnistkit.utils.serialization import to_json

__all__ = ["FolderRegistry"]

_log = logging.getLogger(__name__)


class FolderRegistry(ModelRegistry):
    """Models in a folder that can be read without mnistkit and copied with any tool.

    Args:
        root: The folder; the first registration creates it.
    """

    __slots__ = ("_layout",)

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._layout = Layout(Path(root).expanduser().absolute())

    def register(self, name: str, files: Path, info: ModelInfo) -> ModelVersion:
        """Publish the files below a folder as the next version; see `ModelRegistry.register`."""
        self._check(name)
        check_path(files, "files")
        draft = Manifest.of(name, info, files={})
        sources = find_sources(Path(files))
        with self._layout.writing() as staging:
            stage = staging / uuid.uuid4().hex
            try:
                disk.create_folder(stage)
                manifest = evolve(draft, files=copy_in(sources, stage))
                data = manifest.to_bytes()
                disk.write_file(stage / MANIFEST, data)
                disk.sync(stage)  # for the names in it: a version must be whole before the rename makes it visible
                target = self._layout.publish(name, stage, data)
            except BaseException:
                with contextlib.suppress(OSError):
                    disk.remove(stage)
                raise
        return manifest.as_version(int(target.name), data, str(target))

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return one version, or the newest; see `ModelRegistry.get`."""
        return self._read(name, self._live(name, version))

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions, newest first; see `ModelRegistry.versions`."""
        numbers = self._numbers(name)
        folder = self._layout.path("models", name, "versions")
        found = []
        for number in sorted(numbers.live, reverse=True):
            try:
                if number in numbers.linked:
                    self._folder(name, number)
                found.append(_load(name, number, f"{folder}{os.sep}{number}"))
            except IntegrityError as error:
                _log.warning("Left out of the versions of %s: %s", name, error)
        return tuple(found)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the numbers that aren't deleted; see `mnistkit.registry.SupportsNumbers`."""
        return tuple(sorted(self._numbers(name).live, reverse=True))

    def names(self) -> tuple[str, ...]:
        """Return the models that have versions; see `ModelRegistry.names`."""
        found = []
        for name in self.inspected_names():
            try:
                if self._numbers(name).live:
                    found.append(name)
            except (IntegrityError, StorageError) as error:
                _log.warning("Left out of the models: %s: %s", name, error)
        return tuple(found)

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy a version's files, verified; see `ModelRegistry.download`."""
        current = self.get(model.name, model.version)
        if current.digest != model.digest:
            raise IntegrityError(
                f"{model.id} in {self._layout.root} isn't the version that you have: "
                f"the sha256 of its manifest is {current.digest}, expected {model.digest}."
            )
        with all_or_nothing(Path(into), model.id) as partial:
            self._copy(current, partial)
        return Path(into)

    def inspect(self, name: str, version: int) -> Verification:
        """Verify one version where it is, without a copy; see `mnistkit.registry.SupportsInspect`."""
        number = self._live(name, version)
        try:
            model = self._read(name, number)
            problems = tuple(find_problems(model, self._folder(name, number)))
        except IntegrityError as error:
            return Verification(1, 0, (Problem(f"{name}:{number}", MANIFEST, str(error)),))
        if problems:
            self._live(name, number)  # it may have been deleted in the meantime
        size = sum(info.size for info in model.files.values())
        return Verification(1, size, tuple(Problem(model.id, *problem) for problem in problems))

    def inspected_names(self) -> tuple[str, ...]:
        """Return every model that has a folder; see `mnistkit.registry.SupportsInspect`."""
        self._layout.check_format()
        return tuple(sorted(filter(_is_name, self._layout.folders("models"))))

    def inspect_model(self, name: str) -> tuple[Problem, ...]:
        """Find versions that were taken away by hand; see `mnistkit.registry.SupportsInspect`."""
        return tuple(
            self._gone(name, gap)
            for gap in self._missing_numbers(name)
            if not os.path.lexists(self._folder(name, gap[0]))  # it may have come while the names were read
        )

    def delete(self, name: str, version: int) -> None:
        """Delete a version's files permanently; see `ModelRegistry.delete`."""
        check_type(version, int, "version", "its number")
        numbers = self._numbers(name)
        if version not in numbers.taken and not any(version in gap for gap in self._layout.missing(name)):
            raise self._missing(name, version)
        aliases = [alias for alias, history in self.aliases(name).items() if history[-1].version == version]
        if aliases and version in numbers.live:
            raise UsageError(
                f"{name}@{aliases[0]} is version {version}: assign {aliases[0]!r} to another version first."
            )
        folder = self._layout.path("models", name, "versions", str(version))
        event = self._layout.path("models", name, "deleted", f"{version}.json")
        with self._layout.writing() as staging:
            disk.make_folder(event.parent)
            disk.put_if_absent(event, to_json({"deleted_at": utc_now().isoformat(), "by": current_user()}), staging)
            self._layout.settle(event.parent)  # a power failure may leave the files, never take the deletion back
            for entry in self._layout.entries("models", name, "versions", str(version)) - {MANIFEST}:
                disk.remove(folder / entry)

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Point an alias to a version; see `ModelRegistry.assign`."""
        check_alias(alias)
        self.get(name, version)
        assignment = Assignment(alias=alias, version=version, assigned_at=utc_now(), reason=reason, by=current_user())
        append_assignment(self._layout, name, assignment, seen)

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Return each alias with its history; see `ModelRegistry.aliases`."""
        self._check(name)
        return read_histories(self._layout, name)

    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        """Keep a signature; see `mnistkit.registry.SupportsSignatures`."""
        self.get(model.name, model.version)
        put_signature(self._layout, model, signature)

    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        """Return the signatures of a version; see `mnistkit.registry.SupportsSignatures`."""
        self._check(model.name)
        return read_signatures(self._layout, model)

    def _check(self, name: str) -> None:
        check_name(name, "model name")
        self._layout.check_format()

    def _numbers(self, name: str) -> Numbers:
        self._check(name)
        return self._layout.numbers(name)

    def _missing_numbers(self, name: str) -> tuple[range, ...]:
        self._check(name)
        return self._layout.missing(name)

    def _folder(self, name: str, number: int) -> Path:
        return self._layout.path("models", name, "versions", str(number))

    def _live(self, name: str, version: int | None) -> int:
        """Return the number of a version that is there: this one, or the newest if None."""
        self._check(name)
        number = max(self._layout.numbers(name).live, default=0) if version is None else version
        if not self._layout.is_live(name, number):
            raise self._missing(name, version)
        return number

    def _gone(self, name: str, gap: range) -> Problem:
        what = "is missing" if len(gap) == 1 else f"is missing, and so are all up to {gap[-1]}"
        return Problem(
            f"{name}:{gap[0]}",
            "",
            f"{what}: {self._folder(name, gap[0])} was removed by hand, or a copy of the registry "
            "was made without it. Restore it, or delete the version, which records that it is gone.",
        )

    def _missing(self, name: str, version: int | None) -> ModelNotFoundError:
        check_type(version, (int, type(None)), "version", "its number")
        numbers = self._layout.numbers(name)
        if not numbers.taken:
            known = ", ".join(self.names()) or "none yet"
            return ModelNotFoundError(f"No model {name!r} in {self._layout.root}. Its models: {known}.")
        known = ", ".join(map(str, sorted(numbers.live))) or "none"
        is_missing = any(version in gap for gap in self._layout.missing(name))
        fate = "was deleted" if version in numbers.deleted else "is missing" if is_missing else "has never existed"
        lost = "were deleted" if version is None else fate
        what = "All versions" if version is None else f"Version {version}"
        return ModelNotFoundError(f"{what} of model {name!r} {lost}. The versions there are: {known}.")

    def _read(self, name: str, number: int) -> ModelVersion:
        return _load(name, number, str(self._folder(name, number)))

    def _copy(self, model: ModelVersion, into: Path) -> None:
        try:
            copy_out(model, self._folder(model.name, model.version), into)
        except IntegrityError:
            self._live(model.name, model.version)  # it may have been deleted in the meantime
            raise


def _is_name(text: str) -> bool:
    try:
        check_name(text, "model name")
    except InvalidNameError:
        return False
    return True


def _load(name: str, number: int, folder: str) -> ModelVersion:
    """Read the version that a folder, no link, holds."""
    path = f"{folder}{os.sep}{MANIFEST}"
    source = f"{name}:{number}: {path}"
    try:
        data = disk.read_regular(path, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise IntegrityError(f"{source} can't be read: {error}. Restore it, or delete this version.") from error
    model = read_version(data, number, folder, source)
    if model.name != name:
        raise IntegrityError(f"{source} is that of {model.name!r}: the folder was moved here.")
    return model
