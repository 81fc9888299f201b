"""What a program changes on the disk, operation by operation: to count, to stop, to refuse, and to write down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import define, field, frozen


@frozen
class Operation:
    """One change below the watched folder; paths are relative to it.

    Attributes:
        kind: ``create``, ``write``, ``fsync``, ``mkdir``, ``rename``, ``link``, ``unlink`` or ``rmdir``.
        path: What it is done to.
        target: The new name, of ``rename`` and ``link``.
        data: What is written.
    """

    kind: str
    path: str
    target: str = ""
    data: bytes = b""


class Stopped(BaseException):
    """The program is dead: this isn't caught, and nothing that runs because of it changes the disk."""


@define
class Stop:
    """Before operation ``at`` the program stops: neither that nor any later one is done."""

    at: int
    count: int = 0

    def __call__(self, operation: Operation) -> None:
        """Count, or stop."""
        if self.count >= self.at:
            raise Stopped(operation)
        self.count += 1


@define
class Refuse:
    """The system refuses operation ``at``, and all later ones if ``lasting``."""

    at: int
    code: int
    lasting: bool
    count: int = 0
    refused: Operation | None = None

    def __call__(self, operation: Operation) -> None:
        """Count, or refuse."""
        self.count += 1
        if self.count - 1 == self.at or (self.lasting and self.count > self.at):
            self.refused = self.refused or operation
            raise OSError(self.code, os.strerror(self.code), operation.path)


@define
class Log:
    """Writes down every operation."""

    operations: list[Operation] = field(factory=list)

    def __call__(self, operation: Operation) -> None:
        """Write it down."""
        self.operations.append(operation)


@contextlib.contextmanager
def watching(base: Path, before: Callable[[Operation], None]) -> Iterator[None]:
    """Call ``before`` with each operation below ``base`` that this program is about to do with the functions of `os`.

    Python 3.10's pathlib keeps functions of its own: it needs a later one.
    """
    watch = _Watch(base.resolve(), before)
    originals = {name: getattr(os, name) for name in _Watch.NAMES}
    for name, original in originals.items():
        setattr(os, name, getattr(watch, name)(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


@define
class _Watch:
    base: Path
    before: Callable[[Operation], None]
    open_files: dict[int, str] = field(factory=dict)

    NAMES = ("open", "close", "write", "fsync", "mkdir", "rename", "link", "unlink", "rmdir")

    def open(self, original: Any) -> Any:
        def replacement(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            name = self._name(path, dir_fd)
            if name is not None and flags & os.O_CREAT:
                self.before(Operation("create", name))
            descriptor: int = original(path, flags, mode, dir_fd=dir_fd)
            if name is not None:
                self.open_files[descriptor] = name
            return descriptor

        return replacement

    def close(self, original: Any) -> Any:
        def replacement(descriptor: int) -> None:
            self.open_files.pop(descriptor, None)
            original(descriptor)

        return replacement

    def write(self, original: Any) -> Any:
        def replacement(descriptor: int, data: Any) -> int:
            if descriptor in self.open_files:
                self.before(Operation("write", self.open_files[descriptor], data=bytes(data)))
            written: int = original(descriptor, data)
            return written

        return replacement

    def fsync(self, original: Any) -> Any:
        def replacement(descriptor: int) -> None:
            if descriptor in self.open_files:
                self.before(Operation("fsync", self.open_files[descriptor]))
            original(descriptor)

        return replacement

    def mkdir(self, original: Any) -> Any:
        return self._one("mkdir", original)

    def unlink(self, original: Any) -> Any:
        return self._one("unlink", original)

    def rmdir(self, original: Any) -> Any:
        return self._one("rmdir", original)

    def rename(self, original: Any) -> Any:
        return self._two("rename", original)

    def link(self, original: Any) -> Any:
        return self._two("link", original)

    def _one(self, kind: str, original: Any) -> Any:
        def replacement(path: Any, *args: Any, dir_fd: int | None = None) -> None:
            name = self._name(path, dir_fd)
            if name is not None:
                self.before(Operation(kind, name))
            original(path, *args, dir_fd=dir_fd)

        return replacement

    def _two(self, kind: str, original: Any) -> Any:
        def replacement(source: Any, target: Any, **keywords: Any) -> None:
            name, other = self._name(source, None), self._name(target, None)
            if name is not None and other is not None:
                self.before(Operation(kind, name, other))
            original(source, target, **keywords)

        return replacement

    def _name(self, path: Any, dir_fd: int | None) -> str | None:
        """The path relative to the base; None if it isn't below."""
        if isinstance(path, int):
            return self.open_files.get(path)
        if dir_fd is not None:
            return f"{self.open_files[dir_fd]}/{os.fspath(path)}" if dir_fd in self.open_files else None
        full = Path(os.path.normpath(self.base / path))
        return full.relative_to(self.base).as_posix() if full.is_relative_to(self.base) else None
