"""The folders of the folder registry, and how names and numbers are claimed in them.

::

    root/format.json                                {"layout": 1}
    root/.staging/<uuid>/                           versions that aren't published yet
    root/models/<name>/versions/<N>/manifest.json   and the files beside it
    root/models/<name>/aliases/<alias>/<seq>.json   one assignment each; the highest holds
    root/models/<name>/deleted/<N>.json             the number stays taken, the files are gone
    root/models/<name>/signatures/<N>/<key>.json    one signature by each key
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from mnistkit.errors import DataFormatError, IntegrityError, InvalidNameError, MnistkitError, StorageError
from mnistkit.local.registry import durable as disk
from mnistkit.registry.manifest import MANIFEST
from mnistkit.utils.documents import parse_json

__all__ = ["Layout", "Numbers"]

_FORMAT = {"layout": 1}
_MAX_FORMAT_BYTES = 1 << 16
_STALE_SECONDS = 24 * 3600.0
_NUMBER_PATTERN = re.compile(r"[1-9][0-9]{0,8}")
_MAX_NUMBER = 999_999_999  # the highest that the pattern lists


@frozen
class Numbers:
    """The version numbers of one model.

    Attributes:
        taken: Numbers with a folder or a deletion.
        deleted: Numbers whose files are gone.
        linked: Numbers whose folder is a symbolic link; mnistkit never creates one.
    """

    taken: frozenset[int]
    deleted: frozenset[int]
    linked: frozenset[int]

    @property
    def live(self) -> frozenset[int]:
        """Return the numbers that have files."""
        return self.taken - self.deleted


@frozen
class Layout:
    """The folders of one registry. Reading creates nothing; symbolic links below the root are never followed.

    Attributes:
        root: The folder that holds it all; may be missing.
    """

    root: Path

    def path(self, *parts: str) -> Path:
        """Return ``root/part/part``.

        Raises:
            IntegrityError: One of the parts is a symbolic link.
        """
        path = self.root
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise IntegrityError(f"{path} is a symbolic link, which a registry never follows. Remove the link.")
        return path

    def entries(self, *parts: str) -> frozenset[str]:
        """Return the names in the folder ``root/part/part``; none if it isn't there.

        Raises:
            IntegrityError: One of the parts is a symbolic link, or it isn't a folder.
            StorageError: It can't be listed.
        """
        return frozenset(entry.name for entry in self._scan(*parts))

    def folders(self, *parts: str) -> frozenset[str]:
        """Return the names of the folders in ``root/part/part``, and of links in their place; see `entries`."""
        return frozenset(e.name for e in self._scan(*parts) if e.is_symlink() or e.is_dir())

    def numbers(self, name: str) -> Numbers:
        """Return the version numbers of a model."""
        deleted = _numbers(entry.removesuffix(".json") for entry in self.entries("models", name, "deleted"))
        versions = self._scan("models", name, "versions")
        linked = _numbers(entry.name for entry in versions if entry.is_symlink())
        return Numbers(deleted | _numbers(entry.name for entry in versions), deleted, linked)

    def missing(self, name: str) -> tuple[range, ...]:
        """Return the numbers that were given out, and have neither a folder nor a deletion.

        Numbers are given out without gaps, and only those are named by aliases and signatures.
        """
        known = [0, *sorted(self.numbers(name).taken)]
        highest = max(known[-1], self._highest_named(name))
        if highest > known[-1]:
            known.append(highest + 1)
        return tuple(range(below + 1, above) for below, above in itertools.pairwise(known) if above - below > 1)

    def is_live(self, name: str, number: int) -> bool:
        """Return True if there is such a version, and it isn't deleted."""
        if type(number) is not int or not 1 <= number <= _MAX_NUMBER:  # others can't be listed
            return False
        version, event = self._version(name, number)
        return os.path.lexists(version) and not os.path.lexists(event)

    def sequence(self, name: str, alias: str) -> list[int]:
        """Return the numbers of an alias's assignments, in order."""
        entries = self.entries("models", name, "aliases", alias)
        return sorted(_numbers(entry.removesuffix(".json").lstrip("0") for entry in entries))

    def check_format(self) -> None:
        """Refuse a layout of another release; a missing ``format.json`` is taken for a new registry.

        Raises:
            StorageError: This release doesn't support the layout.
        """
        path = self.path("format.json")
        try:
            layout = parse_json(disk.read_regular(path, _MAX_FORMAT_BYTES), path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, DataFormatError) as error:
            raise StorageError(f"Can't read {path}: {error}. It should hold {json.dumps(_FORMAT)}.") from error
        if layout != _FORMAT:
            raise StorageError(
                f"{path} holds {layout!r:.80}, expected {_FORMAT}: upgrade mnistkit, or set MNISTKIT_HOME."
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the staging folder, created if need be; what a crash left in it more than a day ago is removed.

        Raises:
            StorageError: From an OSError inside.
        """
        try:
            staging = self.path(".staging")
            disk.make_folder(staging)
            if not (self.root / "format.json").exists():
                disk.put_if_absent(self.root / "format.json", json.dumps(_FORMAT).encode() + b"\n", staging)
            _sweep(staging)
            yield staging
        except MnistkitError:
            raise
        except OSError as error:
            raise StorageError(
                f"Can't write the model registry in {self.root}: {error}. "
                "Make room or make it writable, or set MNISTKIT_HOME to a folder that is."
            ) from error

    def claim(self, *parts: str, what: str) -> Path:
        """Create the folder ``root/part/part``, whose last part is a name that a user chose; idempotent.

        The folder is listed once more after it was created: of two processes that claim names which differ only in
        case, at least one sees the other's, whatever the order of their steps.

        Raises:
            InvalidNameError: It differs only in case from another; some systems can't tell these apart.
        """
        path = self.path(*parts)
        is_new = not path.exists()
        if is_new:
            self._refuse_twins(parts, what)
            disk.make_folder(path)
        try:
            self._refuse_twins(parts, what)
        except InvalidNameError:
            if is_new:
                with contextlib.suppress(OSError):
                    disk.remove_empty(path)
            raise
        return path

    def publish(self, name: str, stage: Path, manifest: bytes) -> Path:
        """Rename a complete, flushed folder in staging to the model's next free number, and return the new path.

        Args:
            name: The model.
            stage: The folder in staging.
            manifest: The content of its manifest, which no other has.

        Raises:
            StorageError: It is published, but the disk didn't confirm that it keeps it.
            OSError: It isn't published.
        """
        self.claim("models", name, what="model name")
        versions = self.path("models", name, "versions")
        disk.make_folder(versions)
        number = self._free(name)
        while number <= _MAX_NUMBER and not _renamed(stage, versions / str(number), manifest):
            number += 1
        if number > _MAX_NUMBER:
            raise StorageError(f"{name} has no version number left below {number}: use another name. Nothing changed.")
        target = versions / str(number)
        # The version's own files and folder were flushed in staging. Without these two flushes a power failure could
        # take back the rename, after `register` returned: one is for the new name and every folder above it that a
        # process may have created and not flushed yet, the other is for the old name to be gone.
        try:
            self.settle(versions)
            disk.sync(stage.parent)
        except OSError as error:
            raise StorageError(
                f"{name}:{target.name} is registered in {self.root}, but the disk didn't confirm that: {error}. "
                "It may be gone after a power failure: check the disk, then check that the version is there."
            ) from error
        return target

    def settle(self, folder: Path) -> None:
        """Flush a folder and those above it, up to the root.

        A name survives a power failure once its folder is flushed. The folders above may be new as well, made by
        another process that was interrupted before its own flush: so every call flushes all of them.
        """
        for each in (folder, *folder.parents):
            disk.sync(each)
            if each == self.root:
                return

    def _free(self, name: str) -> int:
        """Return the number after the highest that was given out.

        Most file systems count a folder's subfolders. That count is the highest number, if that is there and the
        next isn't, as numbers have no gaps. Else, as after a folder was removed by hand, the names are read.

        A copy that was made while the registry was written may lack the newest versions, and have aliases that name
        them. Such a number stays taken: an alias must never come to mean another version.
        """
        named = self._highest_named(name)
        highest = self.path("models", name, "versions").stat().st_nlink - 2
        is_there = highest > 0 and self._version(name, highest)[0].exists()
        if is_there and not any(map(os.path.lexists, self._version(name, highest + 1))):
            return max(highest, named) + 1
        return max({named, *self.numbers(name).taken}) + 1

    def _version(self, name: str, number: int) -> tuple[Path, Path]:
        """Return the folder of a version, and the path of its deletion."""
        model = self.path("models", name)
        return model / "versions" / str(number), model / "deleted" / f"{number}.json"

    def _highest_named(self, name: str) -> int:
        """Return the highest version that an assignment or a signature names; 0 if there is none.

        Files that can't be read are left out: the alias itself raises the error for these, and points to nothing.
        """
        found = _numbers(self.entries("models", name, "signatures"))
        for alias in self.entries("models", name, "aliases"):
            try:
                numbers = self.sequence(name, alias)
            except IntegrityError:  # a file or a link in place of its folder
                continue
            for number in numbers:
                path = self.path("models", name, "aliases", alias) / f"{number:012d}.json"
                with contextlib.suppress(OSError, DataFormatError, KeyError, TypeError):
                    found |= _numbers([str(parse_json(disk.read_regular(path), path)["version"])])
        return max(found, default=0)

    def _refuse_twins(self, parts: tuple[str, ...], what: str) -> None:
        name = parts[-1]
        twin = next((e for e in self.entries(*parts[:-1]) if e != name and e.lower() == name.lower()), None)
        if twin is not None:
            raise InvalidNameError(
                f"The {what} {name!r} differs only in case from {twin!r}: use that, or another name."
            )

    def _scan(self, *parts: str) -> list[os.DirEntry[str]]:
        path = self.path(*parts)
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError) as error:
            # Else a folder above it isn't there, or it was made just now, when another process needed it.
            if os.path.lexists(path) and not (path.is_dir() and not path.is_symlink()):
                raise IntegrityError(f"{path} isn't a folder, as it should be. Restore it from a copy.") from error
            return []
        except OSError as error:
            raise StorageError(f"Can't list {path}: {error}. Make it readable, or set MNISTKIT_HOME.") from error


def _renamed(stage: Path, target: Path, manifest: bytes) -> bool:
    """Return True if ``stage`` is now ``target``, False if another process took that number."""
    try:
        disk.rename(stage, target)
    except OSError:
        if _holds(target, manifest):  # a network file system may do it and report that it failed
            return True
        if not os.path.lexists(target):
            raise
        return False
    return True


def _numbers(texts: Iterable[str]) -> frozenset[int]:
    return frozenset(int(text) for text in texts if _NUMBER_PATTERN.fullmatch(text))


def _holds(version: Path, manifest: bytes) -> bool:
    try:
        return disk.read_regular(version / MANIFEST) == manifest
    except OSError:
        return False


def _sweep(staging: Path) -> None:
    """Remove what was left more than a day ago: a registration takes seconds."""
    for entry in staging.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - entry.lstat().st_mtime > _STALE_SECONDS:
                disk.remove(entry)
