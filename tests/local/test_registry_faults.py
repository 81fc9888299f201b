"""The folder registry when it is stopped, refused or cut off at any single operation on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field

from mnistkit.errors import StorageError
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.layout import Layout
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.version import Assignment
from support.crash_states import crash_states, write_tree
from support.disk_operations import Log, Operation, Refuse, Stop, Stopped, watching

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or sys.version_info < (3, 11), reason="operations are watched through os and its pathlib"
)


@define
class Caller:
    """Somebody who uses a registry, and remembers what was acknowledged."""

    base: Path
    source: Path
    versions: set[int] = field(factory=set)
    deleted: set[int] = field(factory=set)
    assigned: int = 0

    @property
    def registry(self) -> FolderRegistry:
        """A new object over the same folder: as after a restart."""
        return FolderRegistry(self.base / "home")

    def register(self) -> None:
        """Register one more version."""
        self.versions.add(self.registry.register("digits", self.source, format="files").version)

    def assign(self) -> None:
        """Assign version 2."""
        self.registry.assign("digits", "champion", 2, reason=str(self.assigned + 1))
        self.assigned += 1

    def delete(self) -> None:
        """Delete version 1."""
        self.registry.delete("digits", 1)
        self.deleted.add(1)

    def wrongs(self, maybe_deleted: frozenset[int] = frozenset()) -> list[str]:
        """What isn't as it must be; afterwards one more version is registered."""
        found: list[str] = []
        registry = self.registry
        try:
            verification = registry.verify()
            numbers = set(registry.numbers("digits"))
            history: tuple[Assignment, ...] = registry.aliases("digits").get("champion", ())
            if verification.problems:
                found += map(str, verification.problems)
            if lost := self.versions - self.deleted - numbers - maybe_deleted:
                found.append(f"acknowledged, and not listed: {lost}")
            if back := self.deleted & numbers:
                found.append(f"deleted, and listed: {back}")
            if len(history) < self.assigned:
                found.append(f"{self.assigned} assignments acknowledged, {len(history)} kept")
            if history and history[-1].version not in numbers:
                found.append("the alias points to nothing")
            found += _strange_files(self.base)
            taken = max(numbers | self.deleted | maybe_deleted | {0})
            new = registry.register("digits", self.source, format="files")
            if new.version != taken + 1 or new not in registry.versions("digits"):
                found.append(f"the next number is {new.version} after {taken}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the registry isn't usable
            found.append(f"{type(error).__name__}: {error}")
        return found


def _strange_files(base: Path) -> list[str]:
    """Files outside of staging that belong to no version, no alias and no deletion."""
    names = (path.relative_to(base / "home").as_posix() for path in (base / "home").rglob("*") if path.is_file())
    known = ("format.json", ".staging/", "models/digits/versions/", "models/digits/deleted/", "models/digits/aliases/")
    return [f"left behind: {name}" for name in names if not name.startswith(known) or "part" in name]


ACTIONS: dict[str, Callable[[Caller], None]] = {
    "first": Caller.register,
    "register": Caller.register,
    "assign": Caller.assign,
    "delete": Caller.delete,
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is flushed is written down; no test here needs to wait for the real disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files, small and not alike."""
    (tmp_path / "source" / "extra").mkdir(parents=True)
    (tmp_path / "source" / "model.skops").write_bytes(bytes(range(1, 200)))
    (tmp_path / "source" / "extra" / "labels.txt").write_bytes(b"0\n1\n")
    return tmp_path / "source"


@pytest.fixture
def callers(tmp_path: Path, source: Path) -> Callable[[str], Iterator[Caller]]:
    """For an action: callers without end, each with a registry of its own in the same state."""
    template = Caller(tmp_path / "template", source)
    template.base.mkdir()
    template.register()
    template.register()
    template.assign()

    def endless(action: str) -> Iterator[Caller]:
        number = 0
        while True:
            base = tmp_path / f"{action}-{number}"
            number += 1
            if action == "first":
                base.mkdir()
                yield Caller(base, source)
            else:
                shutil.copytree(template.base, base)
                yield Caller(base, source, set(template.versions), set(), template.assigned)
            shutil.rmtree(base)

    return endless


def _stop_everywhere(action: str, callers: Iterator[Caller]) -> Iterator[tuple[int, list[str]]]:
    """Stop before each operation in turn, until none is left; what was wrong afterwards."""
    for at, caller in enumerate(callers):
        try:
            with watching(caller.base, Stop(at)):
                ACTIONS[action](caller)
        except Stopped:
            yield at, caller.wrongs(frozenset({1} if action == "delete" else ()))
        else:
            assert caller.wrongs() == []
            return


@pytest.mark.parametrize("action", ACTIONS)
def test_stopped_after_any_operation(action: str, callers: Callable[[str], Iterator[Caller]]) -> None:
    """A program that ends after any single operation leaves whole versions, and a registry that goes on."""
    outcomes = dict(_stop_everywhere(action, callers(action)))
    assert {at: wrongs for at, wrongs in outcomes.items() if wrongs} == {}
    assert len(outcomes) > 8


def _publish_in_place(stage: Path, target: Path) -> None:
    disk.create_folder(target)
    for name, path in disk.walk_regular(stage):
        disk.make_folder((target / name).parent)
        disk.copy_file(path, target / name)


def test_stopping_finds_a_hasty_publication(
    callers: Callable[[str], Iterator[Caller]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were versions written where they are listed, stopping would find versions in part."""
    monkeypatch.setattr(disk, "rename", _publish_in_place)
    assert any(wrongs for _, wrongs in _stop_everywhere("register", callers("register")))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=["full", "broken", "forbidden"])
@pytest.mark.parametrize("action", ACTIONS)
def test_refused_at_any_operation(
    action: str, code: int, lasting: bool, callers: Callable[[str], Iterator[Caller]]
) -> None:
    """An operation that the system refuses is a `StorageError` or does no harm; later it all works."""
    wrong: dict[Operation, object] = {}
    for at, caller in enumerate(callers(action)):
        before = set(caller.registry.numbers("digits"))
        refuse = Refuse(at, code, lasting)
        raised: Exception | None = None
        with watching(caller.base, refuse):
            try:
                ACTIONS[action](caller)
            except Exception as error:  # noqa: BLE001 - looked at below
                raised = error
        if refuse.refused is None:
            break
        if raised is not None and not isinstance(raised, StorageError):
            wrong[refuse.refused] = repr(raised)
        added = set(caller.registry.numbers("digits")) - before
        if action in {"first", "register"} and raised is not None and bool(added) != ("is registered" in str(raised)):
            wrong[refuse.refused] = f"{added} added, and this said: {raised}"
        if wrongs := caller.wrongs(frozenset({1} if action == "delete" else ())):
            wrong[refuse.refused] = wrongs
    assert wrong == {}
    assert at > 8


def test_refusals_find_a_registration_that_hides_them(
    callers: Callable[[str], Iterator[Caller]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a refused write passed over, refusing would find a version that can't be used."""
    monkeypatch.setattr(disk, "_write", _write_what_fits)
    found = []
    for at, caller in zip(range(40), callers("register"), strict=False):
        with watching(caller.base, Refuse(at, errno.ENOSPC, False)):
            try:
                caller.register()
            except StorageError:
                continue
        found += caller.wrongs()
    assert found


def _write_what_fits(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, data)


# --- power failures -------------------------------------------------------------------------------------------------


def _record(base: Path, source: Path, made: str = "") -> tuple[list[Operation], list[tuple[int, Caller]]]:
    """Two registrations, an assignment and a deletion: every operation, and what was acknowledged after which.

    Somebody else may have ``made`` a folder just before, and flushed nothing but the root.
    """
    base.mkdir()
    caller, log = Caller(base, source), Log()
    if made:
        with watching(base, log):
            disk.make_folder(base / "home" / "models" / "digits" / made)
        log.operations[:] = [each for each in log.operations if each.kind == "mkdir" or each.path == "."]
    acknowledged = [(0, Caller(base, source))]
    with watching(base, log):
        for action in (Caller.register, Caller.register, Caller.assign, Caller.delete):
            action(caller)
            known = Caller(base, source, set(caller.versions), set(caller.deleted), caller.assigned)
            acknowledged.append((len(log.operations), known))
    return log.operations, acknowledged


def _bad_states(
    operations: list[Operation], acknowledged: list[tuple[int, Caller]], folder: Path, *, first: bool = False
) -> tuple[int, list[str]]:
    """How many states there are, and what is wrong in them; only the ``first`` wrong one if that is enough."""
    folder.mkdir()
    count, wrong = 0, []
    for k, tree in crash_states(operations):
        known = next(caller for at, caller in reversed(acknowledged) if at <= k)
        count += 1
        caller = Caller(folder / str(count), known.source, known.versions, known.deleted, known.assigned)
        write_tree(tree, caller.base)
        is_deleting = known.assigned > 0
        if wrongs := caller.wrongs(frozenset({1} if is_deleting else ())):
            wrong.append(f"after {k} operations: {'; '.join(wrongs)}")
            if first:
                break
        shutil.rmtree(caller.base)
    return count, wrong


def test_power_failure_at_any_moment(tmp_path: Path, source: Path) -> None:
    """Whatever reached the disk of what wasn't flushed: all that is listed is whole, what was confirmed is there."""
    operations, acknowledged = _record(tmp_path / "base", source)
    count, wrong = _bad_states(operations, acknowledged, tmp_path / "states")
    assert wrong == []
    assert count > 100


def _label(path: str) -> str:
    """A path without what is random in it."""
    parts = ["<id>" + part[32:] if len(part) >= 32 else part for part in path.split("/")]
    return "/".join(parts)


FLUSHED = (
    ".",
    "home",
    "home/.staging",
    "home/.staging/<id>",
    "home/.staging/<id>.json",
    "home/.staging/<id>/extra",
    "home/.staging/<id>/extra/labels.txt",
    "home/.staging/<id>/manifest.json",
    "home/.staging/<id>/model.skops",
    "home/models",
    "home/models/digits",
    "home/models/digits/aliases",
    "home/models/digits/aliases/champion",
    "home/models/digits/deleted",
    "home/models/digits/versions",
)


def test_what_is_flushed(tmp_path: Path, source: Path) -> None:
    """These files and folders are flushed, and no others."""
    operations, _ = _record(tmp_path / "base", source)
    assert {_label(each.path) for each in operations if each.kind == "fsync"} == set(FLUSHED)


@pytest.mark.parametrize("path", FLUSHED)
def test_each_flush_is_needed(path: str, tmp_path: Path, source: Path) -> None:
    """Without the flushes of any one of them a power failure could do harm, and the states show it."""
    operations, acknowledged = _record(tmp_path / "base", source)
    kept = [each.kind != "fsync" or _label(each.path) != path for each in operations]
    at = [sum(kept[:number]) for number, _ in acknowledged]
    fewer = [each for each, keep in zip(operations, kept, strict=True) if keep]
    moved = [(number, caller) for number, (_, caller) in zip(at, acknowledged, strict=True)]
    _, wrong = _bad_states(fewer, moved, tmp_path / "states", first=True)
    assert wrong


@pytest.mark.parametrize(
    ("made", "is_sound"), [("versions", True), ("aliases/champion", True), ("deleted", True), ("versions", False)]
)
def test_power_failure_after_others_began(
    made: str, is_sound: bool, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that somebody else made and didn't flush are flushed by whoever relies on them."""
    if not is_sound:
        monkeypatch.setattr(Layout, "settle", lambda _, folder: disk.sync(folder))
    operations, acknowledged = _record(tmp_path / "base", source, made)
    _, wrong = _bad_states(operations, acknowledged, tmp_path / "states", first=not is_sound)
    assert (wrong == []) is is_sound
