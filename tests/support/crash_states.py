"""What may be on the disk after a power failure: a model of a file system that keeps no promise but those of fsync.

The content of a file is sure once that file was flushed: before, it may be missing, cut off, or zeros. An entry of
a folder, added or removed, is sure once the folder was flushed; until then each one by itself may or may not be there,
in any combination. A renamed folder is sure to be at its new place only when both folders were flushed; until then it
may be at either, at both, or at none. What lies directly in ``.staging`` is always taken as done: nobody reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import define, field

from support.disk_operations import Operation

Tree = dict[str, "bytes | None"]
"""What is there by relative path: the content of a file, None for a folder."""

_STAGING = ".staging"


@define(eq=False)
class _Node:
    """A file or a folder, whatever its names are."""

    is_folder: bool
    entries: dict[str, _Node] = field(factory=dict)
    data: bytes = b""
    is_flushed: bool = True


@define(eq=False)
class _Change:
    """A change of a folder's entries that isn't sure yet: to a node, or to nothing."""

    folder: _Node
    name: str
    node: _Node | None
    source: _Node | None = None  # of a rename: the folder that it leaves
    source_name: str = ""
    flushed: set[int] = field(factory=set)

    @property
    def outcomes(self) -> Iterable[tuple[bool, bool]]:
        """Whether the new entry is there, and whether the old one of a rename is gone, in all combinations."""
        if self.source is None:
            return ((False, False), (True, False))
        return ((False, False), (True, True), (True, False), (False, True))


def crash_states(operations: Sequence[Operation]) -> Iterator[tuple[int, Tree]]:
    """Yield ``(k, tree)`` for all that may be on the disk if the power fails after the first ``k`` operations.

    Each tree comes once for a ``k``; the disk was empty before.
    """
    for k in range(len(operations) + 1):
        seen = set()
        for tree in _Disk.after(operations[:k]).states():
            key = frozenset(tree.items())
            if key not in seen:
                seen.add(key)
                yield k, tree


def write_tree(tree: Tree, base: Path) -> None:
    """Make a real folder of it."""
    base.mkdir()
    for path, data in sorted(tree.items()):
        if data is None:
            (base / path).mkdir(parents=True, exist_ok=True)
        else:
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).write_bytes(data)


@define
class _Disk:
    root: _Node = field(factory=lambda: _Node(True))
    files: list[_Node] = field(factory=list)
    changes: list[_Change] = field(factory=list)
    pending: list[_Change] = field(factory=list)

    @classmethod
    def after(cls, operations: Iterable[Operation]) -> _Disk:
        disk = cls()
        for operation in operations:
            getattr(disk, f"_{operation.kind}")(operation)
        return disk

    def states(self) -> Iterator[Tree]:
        """Every combination of what isn't sure."""
        dirty = [node for node in self.files if not node.is_flushed]
        for outcomes in itertools.product(*(change.outcomes for change in self.pending)):
            entries = self._entries(outcomes)
            for contents in itertools.product(*(_contents(node.data) for node in dirty)):
                data = dict(zip(map(id, dirty), contents, strict=True))
                yield dict(_walk(self.root, "", entries, data))

    def _entries(self, outcomes: Iterable[tuple[bool, bool]]) -> dict[int, dict[str, _Node]]:
        """The entries of each folder: those that are sure, changed by what reached the disk, in order."""
        chosen = dict(zip(map(id, self.pending), outcomes, strict=True))
        entries: dict[int, dict[str, _Node]] = {}
        for change in self.changes:
            is_added, is_gone = chosen.get(id(change), (True, True))
            if change.source is not None and is_gone:
                entries.setdefault(id(change.source), {}).pop(change.source_name, None)
            if is_added and change.node is not None:
                entries.setdefault(id(change.folder), {})[change.name] = change.node
            elif is_added:
                entries.setdefault(id(change.folder), {}).pop(change.name, None)
        return entries

    def _change(self, change: _Change) -> None:
        self.changes.append(change)
        if change.source is not None:
            change.source.entries.pop(change.source_name)
        if change.node is None:
            change.folder.entries.pop(change.name)
        else:
            change.folder.entries[change.name] = change.node
        if change.source is not None or change.folder is not self._staging():
            self.pending.append(change)

    def _staging(self) -> _Node | None:
        home = next(iter(self.root.entries.values()), None)
        return home.entries.get(_STAGING) if home else None

    def _find(self, path: str) -> _Node:
        node = self.root
        for part in path.split("/"):
            node = node.entries[part] if part != "." else node
        return node

    def _place(self, path: str) -> tuple[_Node, str]:
        folder, _, name = path.rpartition("/")
        return self._find(folder or "."), name

    def _mkdir(self, operation: Operation) -> None:
        self._change(_Change(*self._place(operation.path), _Node(True)))

    def _create(self, operation: Operation) -> None:
        self.files.append(_Node(False))
        self._change(_Change(*self._place(operation.path), self.files[-1]))

    def _write(self, operation: Operation) -> None:
        node = self._find(operation.path)
        node.data += operation.data
        node.is_flushed = False

    def _link(self, operation: Operation) -> None:
        self._change(_Change(*self._place(operation.target), self._find(operation.path)))

    def _unlink(self, operation: Operation) -> None:
        self._change(_Change(*self._place(operation.path), None))

    _rmdir = _unlink

    def _rename(self, operation: Operation) -> None:
        node = self._find(operation.path)
        self._change(_Change(*self._place(operation.target), node, *self._place(operation.path)))

    def _fsync(self, operation: Operation) -> None:
        node = self._find(operation.path)
        node.is_flushed = True
        for change in self.pending:
            change.flushed.add(id(node))
        self.pending = [
            change
            for change in self.pending
            if not {id(change.folder), id(change.source or change.folder)} <= change.flushed
        ]


def _contents(data: bytes) -> tuple[bytes, ...]:
    """What a file that wasn't flushed may hold."""
    return tuple({b"", data[: len(data) // 2], bytes(len(data)), data})


def _walk(
    folder: _Node, prefix: str, entries: dict[int, dict[str, _Node]], data: dict[int, bytes]
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in entries.get(id(folder), {}).items():
        path = f"{prefix}{name}"
        yield path, None if node.is_folder else data.get(id(node), node.data)
        yield from _walk(node, f"{path}/", entries, data)
