"""``mnistkit runs tag`` and ``mnistkit runs note``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mnistkit.trainer import Trainer

Program = Callable[..., Any]


def test_tags_are_set_and_removed(mnistkit: Program, trained: Trainer) -> None:
    """Tags are set by key, one that is there is replaced, and all are printed; --remove removes."""
    (run,) = trained.runs()
    assert mnistkit("runs", "tag", "latest", "purpose=demo", "note=a=b").out == "purpose=demo\nnote=a=b\n"
    assert mnistkit("runs", "tag", run.id, "--remove", "purpose", "--json").json == {
        "id": run.id,
        "tags": {"note": "a=b"},
    }
    assert "note=a=b" in mnistkit("runs", "show", "latest").out


def test_notes_are_added_and_replaced(mnistkit: Program, trained: Trainer) -> None:
    """A note comes below the earlier ones, or in their place; it is in what 'runs show' prints."""
    mnistkit("runs", "note", "latest", "one")
    assert mnistkit("runs", "note", "latest", "two").out == "one\ntwo\n"
    shown = mnistkit("runs", "show", "latest").out.splitlines()
    assert any(line.split() == ["Note:", "one"] for line in shown)
    (run,) = mnistkit("runs", "list", "--json").json
    assert run["note"] == "one\ntwo"
    assert mnistkit("runs", "note", "latest", "--replace", "three", "--json").json["note"] == "three"
    assert mnistkit("runs", "note", "latest", "--replace", "").out == ""
    assert trained.runs()[0].record.note == ""


def test_what_can_not_be_set_is_refused(mnistkit: Program, trained: Trainer) -> None:
    """A tag without a value, an unknown key to remove, an empty note and an unknown run change nothing."""
    assert "KEY=VALUE" in mnistkit("runs", "tag", "latest", "demo", code=2).err
    assert "Nothing to set" in mnistkit("runs", "tag", "latest", code=2).err
    assert "it has purpose" in mnistkit("runs", "tag", "latest", "--remove", "porpoise", code=2).err
    assert "empty" in mnistkit("runs", "note", "latest", " ", code=2).err
    assert "no run 'nothing'" in mnistkit("runs", "tag", "nothing", "a=b", code=1).err
    assert trained.runs()[0].record.tags == {"purpose": "test"}
