"""The tables that the workspace's state is kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.store import Store


def test_kept(tmp_path: Path) -> None:
    """What was set is there for whoever opens the folder next, in the order in which it came."""
    store = Store(tmp_path)
    table = store.table("things")
    for key in ("b", "a", "c"):
        table[key] = {"name": key}
    table["b"] = {"name": "changed"}
    del table["a"]
    store.close()
    again = Store(tmp_path).table("things")
    assert list(again.items()) == [("b", {"name": "changed"}), ("c", {"name": "c"})]


def test_copies(tmp_path: Path) -> None:
    """What is looked up is a copy; a change counts in `change`, and not if that raises."""
    table = Store(tmp_path).table("things")
    table["a"] = {"n": 1}
    table["a"]["n"] = 2
    next(iter(table.values()))["n"] = 3
    assert table["a"] == {"n": 1}
    with table.change("a") as value:
        value["n"] = 4
    with pytest.raises(ZeroDivisionError), table.change("a") as value:
        value["n"] = 1 / 0
    assert table["a"] == {"n": 4}


def test_going_through_what_changes(tmp_path: Path) -> None:
    """Values and items can be gone through while others are deleted and added."""
    table = Store(tmp_path).table("things")
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
