"""Where the folder registry keeps what, and the steps by which names and numbers are claimed.

::

    root/format.json                                {"layout": 1}
    root/.staging/<uuid>/                           what isn't published yet
    root/models/<name>/versions/<N>/manifest.json   and the files beside it
    root/models/<name>/aliases/<alias>/<seq>.json   one assignment each; the highest holds
    root/models/<name>/deleted/<N>.json             the number stays taken, the files are gone
    root/models/<name>/signatures/<N>/<key>.json    who vouches for a version
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

from mnistkit.errors import IntegrityError, InvalidNameError, MnistkitError, StorageError
from mnistkit.local.registry import durable as disk
from mnistkit.registry.manifest import MANIFEST

__all__ = ["Layout", "Numbers"]

_FORMAT = {"layout": 1}
_STALE = 24 * 3600.0
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@frozen
class Numbers:
    """The version numbers of one model.

    Attributes:
        taken: All that were ever given out.
        deleted: Those whose files are gone.
        linked: Those whose folder is a symbolic link, which nobody made but a hand.
    """

    taken: frozenset[int]
    deleted: frozenset[int]
    linked: frozenset[int]

    @property
    def live(self) -> frozenset[int]:
        """Those that can be had."""
        return self.taken - self.deleted

    @property
    def missing(self) -> tuple[range, ...]:
        """Those below the highest that are neither there nor deleted: numbers are given out without gaps."""
        known = [0, *sorted(self.taken)]
        return tuple(range(below + 1, above) for below, above in itertools.pairwise(known) if above - below > 1)


@frozen
class Layout:
    """The folders of one registry. Looking creates nothing; symbolic links below the root are never followed.

    Attributes:
        root: The folder that holds it all; may be missing.
    """

    root: Path

    def path(self, *parts: str) -> Path:
        """``root/part/part``.

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
        """What the folder ``root/part/part`` holds; nothing if it isn't there.

        Raises:
            IntegrityError: One of the parts is a symbolic link.
            StorageError: It can't be listed.
        """
        path = self.path(*parts)
        try:
            with os.scandir(path) as entries:
                return frozenset(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            raise StorageError(f"Can't list {path}: {error}. Make it readable, or set MNISTKIT_HOME.") from error

    def numbers(self, name: str) -> Numbers:
        """The version numbers of a model."""
        deleted = _numbers(entry.removesuffix(".json") for entry in self.entries("models", name, "deleted"))
        taken = deleted | _numbers(self.entries("models", name, "versions"))
        return Numbers(taken, deleted, _numbers(self._links("models", name, "versions")))

    def is_live(self, name: str, number: int) -> bool:
        """Whether there is such a version, and it isn't deleted."""
        if type(number) is not int or number < 1:
            return False
        version, event = self._version(name, number)
        return os.path.lexists(version) and not os.path.lexists(event)

    def sequence(self, name: str, alias: str) -> list[int]:
        """The numbers of an alias's assignments, in order."""
        entries = self.entries("models", name, "aliases", alias)
        return sorted(_numbers(entry.removesuffix(".json").lstrip("0") for entry in entries))

    def check_format(self) -> None:
        """Make sure that this release knows the layout; a missing ``format.json`` is taken for a new registry.

        Raises:
            StorageError: It doesn't.
        """
        path = self.path("format.json")
        try:
            layout = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:
            raise StorageError(f"Can't read {path}: {error}. It should hold {json.dumps(_FORMAT)}.") from error
        if layout != _FORMAT:
            raise StorageError(f"{path} holds {layout}, expected {_FORMAT}: upgrade mnistkit, or set MNISTKIT_HOME.")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the staging folder, created if need be, with what crashes left in it a day ago swept.

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
        """Create the folder ``root/part/part``, whose last part is a name that people chose; idempotent.

        Everyone looks once more after creating: of two who claim names that differ only in case at least one sees
        the other.

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
        """Rename a complete, flushed folder in staging to the model's next free number; returns where it is.

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
        target = versions / str(self._free(name))
        while not _renamed(stage, target, manifest):
            target = versions / str(int(target.name) + 1)
        try:
            self.settle(versions)
            disk.sync(stage.parent)
        except OSError as error:
            raise StorageError(
                f"{name}:{target.name} is registered in {self.root}, but the disk refused to confirm that: {error}. "
                "It may be gone after a power failure: check the disk, then look whether it is there."
            ) from error
        return target

    def settle(self, folder: Path) -> None:
        """Flush a folder and those above it, up to the root: others may have made these and not be done with it."""
        for each in (folder, *folder.parents):
            disk.sync(each)
            if each == self.root:
                return

    def _free(self, name: str) -> int:
        """A number that nobody has, and nobody had: the one after the highest.

        Most file systems count a folder's subfolders. That count is the highest number, if that is there and the
        next isn't, as numbers have no gaps. Else, as if somebody took a folder away by hand, the names are read.
        """
        highest = self.path("models", name, "versions").stat().st_nlink - 2
        is_there = highest > 0 and self._version(name, highest)[0].exists()
        if is_there and not any(map(os.path.lexists, self._version(name, highest + 1))):
            return highest + 1
        return max(self.numbers(name).taken, default=0) + 1

    def _version(self, name: str, number: int) -> tuple[Path, Path]:
        """The folder of a version, and the file that says that it is deleted."""
        model = self.path("models", name)
        return model / "versions" / str(number), model / "deleted" / f"{number}.json"

    def _refuse_twins(self, parts: tuple[str, ...], what: str) -> None:
        name = parts[-1]
        twin = next((e for e in self.entries(*parts[:-1]) if e != name and e.lower() == name.lower()), None)
        if twin is not None:
            raise InvalidNameError(
                f"The {what} {name!r} differs only in case from {twin!r}: use that, or another name."
            )

    def _links(self, *parts: str) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(self.path(*parts)) as entries:
            yield from (entry.name for entry in entries if entry.is_symlink())


def _renamed(stage: Path, target: Path, manifest: bytes) -> bool:
    """Whether ``stage`` is now ``target``; if not, someone else took that number."""
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
    return frozenset(int(text) for text in texts if _NUMBER.fullmatch(text))


def _holds(version: Path, manifest: bytes) -> bool:
    try:
        return disk.read_regular(version / MANIFEST) == manifest
    except OSError:
        return False


def _sweep(staging: Path) -> None:
    """Remove what was left more than a day ago; whoever works in staging is done within seconds."""
    for entry in staging.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - entry.lstat().st_mtime > _STALE:
                disk.remove(entry)
