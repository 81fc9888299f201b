"""The doors of the rooms: what `__init__` offers, its stub, ``__all__``, ``dir`` and the API reference agree."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import mnistkit

ROOT = Path(mnistkit.__file__).parent
REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

PRIVATE = {"__main__", "cli", "utils"}
"""Rooms that offer nothing to import."""

ELSEWHERE = {"errors": "errors.md", "interfaces": "api/interfaces.md"}
"""Rooms whose page isn't written from the door: a table of the errors, and links to what other rooms document."""

INNER = {"azureml.v2"}
"""Doors inside a room: a vendor's second SDK."""

ROOMS = sorted(
    {
        path.stem
        for path in ROOT.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in PRIVATE | {"__init__"}
    }
    | INNER
)


def folder(room: str) -> Path:
    """The folder of a room, or of a door inside one."""
    return ROOT.joinpath(*room.split("."))


LAZY = ["", *(room for room in ROOMS if (folder(room) / "__init__.pyi").exists())]
AUTODOC = re.compile(r"^\.\. auto\w+:: (?P<name>\S+)\n(?P<options>(?:   :.*\n)*)", re.MULTILINE)
ROLE = re.compile(r"\{py:\w+\}`~?(?P<name>mnistkit\.[\w.]+)`")


def table(room: str) -> set[tuple[str, str]]:
    """The (module, name) pairs that a door hands to ``lazy_loader.attach``."""
    tree = ast.parse((folder(room) / "__init__.py").read_text(encoding="utf-8"))
    (given,) = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "submod_attrs"]
    door = f"mnistkit.{room}".removesuffix(".")
    return {(f"{door}.{module}", name) for module, names in ast.literal_eval(given).items() for name in names}


def stub(room: str) -> tuple[set[tuple[str, str]], list[str]]:
    """The (module, name) pairs that the stub re-exports, and its ``__all__``."""
    imported: set[tuple[str, str]] = set()
    offered: list[str] = []
    for node in ast.parse((folder(room) / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            assert all(alias.asname == alias.name for alias in node.names), f"{room}: a stub re-exports with 'as'"
            imported |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign):
            offered = ast.literal_eval(node.value)
    return imported, offered


def door(room: str) -> object:
    """The imported room; the package itself is the room without a name."""
    return importlib.import_module(f"mnistkit.{room}".removesuffix("."))


@pytest.mark.parametrize("room", LAZY)
def test_a_door_and_its_stub_agree(room: str) -> None:
    """A room's table, its stub and both ``__all__`` name the same things, from the same modules."""
    imported, offered = stub(room)
    assert imported == table(room)
    own = {"__version__"} if not room else set()
    assert set(offered) == {name for _, name in imported} | own
    assert len(offered) == len(set(offered))
    assert sorted(door(room).__all__) == sorted(offered)  # type: ignore[attr-defined]


@pytest.mark.parametrize("room", LAZY)
def test_a_door_lists_public_names_only(room: str) -> None:
    """``dir`` of a room lists ``__all__`` and nothing else."""
    assert sorted(dir(door(room))) == sorted(door(room).__all__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("room", "module", "name"), [(room, *pair) for room in LAZY for pair in sorted(table(room))])
def test_a_door_leads_to_the_name(room: str, module: str, name: str) -> None:
    """Each name of a door is that of its module."""
    if module.startswith("mnistkit.azureml.v1"):
        pytest.importorskip("azureml.core", reason="the extra 'azure-v1' isn't installed")
    if module.startswith("mnistkit.dask"):
        pytest.importorskip("distributed", reason="the extra 'dask' isn't installed")
    if module.startswith("mnistkit.testing"):
        pytest.importorskip("pytest")
    assert getattr(door(room), name) is getattr(importlib.import_module(module), name)


def test_every_room_has_a_page() -> None:
    """The reference has one page for each room that offers something, in its list of pages, and no other page."""
    pages = {path.stem for path in (REFERENCE / "api").glob("*.md")}
    assert pages == set(ROOMS) - {"errors"}
    listed = re.findall(r"^api/([\w.]+)$", (REFERENCE / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ELSEWHERE])
def test_a_page_documents_the_door(room: str) -> None:
    """A room's page documents the members of its door, all of them, and no module behind it."""
    found = AUTODOC.findall((REFERENCE / "api" / f"{room}.md").read_text(encoding="utf-8"))
    assert [name for name, _ in found] == [f"mnistkit.{room}"]
    options = found[0][1]
    assert "   :members:\n" in options, "all members, not some"
    assert ("   :imported-members:\n" in options) == folder(room).is_dir()
    excluded = re.findall(r"   :exclude-members: (.*)\n", options)
    assert not {name.strip() for names in excluded for name in names.split(",")} & set(door(room).__all__)  # type: ignore[attr-defined]


def test_the_interfaces_are_linked() -> None:
    """The page of the interfaces links each of them where it is documented."""
    from mnistkit import interfaces

    links = ROLE.findall((REFERENCE / "api" / "interfaces.md").read_text(encoding="utf-8"))
    assert sorted(link.rpartition(".")[2] for link in links) == sorted(interfaces.__all__)


def test_the_package_s_names_are_linked() -> None:
    """The first page of the reference links each name of the package to the room that documents it."""
    links = ROLE.findall((REFERENCE / "api.md").read_text(encoding="utf-8"))
    assert sorted(link.rpartition(".")[2] for link in links) == sorted(set(mnistkit.__all__) - {"__version__"})
    for link in links:
        room, _, name = link.removeprefix("mnistkit.").rpartition(".")
        assert name in door(room).__all__, link  # type: ignore[attr-defined]


def imports_of(text: str, *, page: bool) -> list[tuple[str, str]]:
    """The (module, name) pairs that a script, or the Python blocks of a page, import of mnistkit."""
    code = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if page else [text]
    nodes = [node for block in code for node in ast.walk(ast.parse(block))]
    return [
        (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mnistkit"
        for alias in node.names
    ]


PROJECT = Path(__file__).parents[1]

SHOWN = [
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").glob("*.md")),
    *sorted((PROJECT / "docs" / "howto").glob("*.md")),
    *sorted((PROJECT / "docs" / "explanation").glob("*.md")),
    *sorted((PROJECT / "examples").glob("**/*.py")),
]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_what_users_see_imports_from_doors(path: Path) -> None:
    """README, docs and examples import public names from the package or a room, never from a module inside one."""
    for module, name in set(imports_of(path.read_text(encoding="utf-8"), page=path.suffix == ".md")):
        room = module.removeprefix("mnistkit").removeprefix(".")
        assert room in {"", *ROOMS}, f"from {module} import {name}"
        assert name in door(room).__all__ or f"{room}.{name}".strip(".") in ROOMS, f"from {module} import {name}"  # type: ignore[attr-defined]
