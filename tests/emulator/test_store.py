"""The tables that the workspace's state is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.store import Store, Table


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """A table with nothing in it."""
    with closing(Store(tmp_path)) as store:
        yield store.table("things")


def test_kept(tmp_path: Path) -> None:
    """What was set is there for whoever opens the folder next, in the order in which it came."""
    with closing(Store(tmp_path)) as store:
        table = store.table("things")
        for key in ("b", "a", "c"):
            table[key] = {"name": key}
        table["b"] = {"name": "changed"}
        del table["a"]
    with closing(Store(tmp_path)) as store:
        assert list(store.table("things").items()) == [("b", {"name": "changed"}), ("c", {"name": "c"})]


def test_copies(table: Table) -> None:
    """What is looked up is a copy; a change counts in `change`, and not if that raises."""
    table["a"] = {"n": 1}
    table["a"]["n"] = 2
    next(iter(table.values()))["n"] = 3
    assert table["a"] == {"n": 1}
    with table.change("a") as value:
        value["n"] = 4
    with pytest.raises(ZeroDivisionError), table.change("a") as value:
        value["n"] = 1 / 0
    assert table["a"] == {"n": 4}


def test_going_through_what_changes(table: Table) -> None:
    """Values and items can be gone through while others are deleted and added."""
    for number in range(3):
        table[str(number)] = {"n": number}
    for look in (table.values, table.items):
        seen = 0
        for _ in look():
            seen += 1
            table.pop("2", None)
            table[f"new {seen}"] = {}
        assert seen >= 3
        table["2"] = {}
