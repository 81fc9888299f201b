"""``mnistkit doctor``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from mnistkit.trainer import Trainer

Program = Callable[..., Any]


def test_all_is_well(mnistkit: Program, trained: Trainer) -> None:
    """In a working installation every check passes, and runs, models and versions are counted."""
    found = {each["check"]: each for each in mnistkit("doctor", "--json").json}
    assert all(each["ok"] for each in found.values())
    assert "scikit-learn" in found["versions"]["detail"]
    assert found["runs"]["detail"] == "1; running: none"
    assert found["models"]["detail"] == "sklearn_mnist (1)"
    assert "BAD" not in mnistkit("doctor").out


def test_nothing_is_created_in_home(mnistkit: Program, tmp_path: Path) -> None:
    """Looking at a home that isn't there yet doesn't make it."""
    assert "(not there yet)" in mnistkit("doctor").out
    assert not (tmp_path / "mnistkit-home").exists()


@pytest.mark.parametrize(("variable", "check"), [("MNISTKIT_HOME", "home"), ("MNISTKIT_CACHE", "cache")])
def test_a_folder_that_cannot_be_written_is_bad(
    mnistkit: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, check: str
) -> None:
    """A home or cache below a file is broken: the variable that moves it is named, and the exit code is 1."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / "file" / "below"))
    found = {each["check"]: each for each in mnistkit("doctor", "--json", code=1).json}
    assert not found[check]["ok"]
    assert variable in found[check]["detail"]


def test_settings_that_cannot_be_are_bad(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file or variable is reported with the rest, not instead of it."""
    Path("mnistkit.toml").write_text("bogus = 1\n", encoding="utf-8")
    monkeypatch.setenv("MNISTKIT_OFFLINE", "maybe")
    found = {each["check"]: each for each in mnistkit("doctor", "--json", code=1).json}
    assert "line 1: unknown key 'bogus'" in found["settings"]["detail"]
    assert "MNISTKIT_OFFLINE is 'maybe'" in found["network"]["detail"]
    assert found["versions"]["ok"]


def test_a_mirrors_password_stays_hidden(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror is shown without user, password and query."""
    monkeypatch.setenv("MNISTKIT_MIRROR", "https://me:hunter2@mirror.example/data?key=hunter2")
    out = mnistkit("doctor").out
    assert "https://mirror.example/data" in out
    assert "hunter2" not in out


def test_every_extra_is_looked_for(mnistkit: Program) -> None:
    """There is a line for each extra that can be installed."""
    checks = {finding["check"] for finding in mnistkit("doctor", "--json").json}
    extras = metadata.metadata("mnistkit").get_all("Provides-Extra") or []
    assert {f"extra {name}" for name in extras if name != "azure-v1"} <= checks


def test_a_missing_extra_is_named_but_no_failure(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the pip line for it is shown; the exit code stays 0."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "python -m pip install 'mnistkit[plot]'" in mnistkit("doctor").out
