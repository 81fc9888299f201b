"""The documentation is complete, and says what it promises, as far as a program can tell."""

from __future__ import annotations

import builtins
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from mnistkit import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ERROR_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<also>[^|]*)\| (?P<cause>[^|]*)\| (?P<out>[^|]*)\|$", re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^\$ .*[^\\]$", re.MULTILINE)


def read(page: str) -> str:
    """The text of a page below docs."""
    return (DOCS / page).read_text(encoding="utf-8")


def script(path: str) -> Any:
    """A script below docs, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, DOCS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_reader_of_the_tutorial_types_ten_commands() -> None:
    """The tutorial, installing included, takes at most ten commands."""
    commands = COMMAND.findall(read("tutorial.md"))
    assert 5 <= len(commands) <= 10, commands


def test_every_error_has_a_cause_and_a_way_out() -> None:
    """The page on errors has one row for each class of the tree, with its builtin parents, a cause and a way out."""
    rows = {row["name"]: row for row in ERROR_ROW.finditer(read("reference/errors.md"))}
    assert rows.keys() == set(errors.__all__) - {"MnistkitError"}
    for name, row in rows.items():
        others = {base.__name__ for base in getattr(errors, name).__bases__ if hasattr(builtins, base.__name__)}
        assert others <= set(re.findall(r"`(\w+)`", row["also"])), name
        if row["cause"].strip().startswith("parent of"):
            continue
        assert row["cause"].strip(), name
        assert row["out"].strip(), name


def test_every_variable_is_described() -> None:
    """The page on environment variables names every MNISTKIT_ variable of the source."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"\bMNISTKIT_[A-Z]+(?:_[A-Z]+)*\b", source))
    assert len(used) > 5
    assert used <= set(re.findall(r"\bMNISTKIT_[A-Z_]+\b", read("reference/environment.md")))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    """What a page outside of the site links to, or shows, is there."""
    targets = [match["target"] for match in LINK.finditer((ROOT / page).read_text(encoding="utf-8"))]
    missing = [target for target in targets if not target.startswith("http") and not (ROOT / target).exists()]
    assert not missing


def test_the_logo_is_drawn_by_its_script() -> None:
    """The logo in the repository is what the script makes of the embedded digits."""
    assert script("images/make_logo.py").logo() == read("_static/logo.svg")
