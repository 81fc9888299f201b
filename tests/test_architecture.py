"""The rooms of the house: who may import whom, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mnistkit

ROOT = Path(mnistkit.__file__).parent

LAYERS = (
    {"errors"},
    {"emulator"},  # stands alone
    {"names", "progress", "redaction", "files", "idx", "decoded", "text", "markup", "png"},
    {"settings", "codec", "spec", "config"},
    {
        "fingerprint",
        "sources",
        "dataset",
        "jobs",
        "provenance",
        "models",
        "verification",
        "runs",
        "context",
        "timeline",
        "views",
        "watching",
    },
    {"interfaces"},
    {"archives", "probe", "signing", "model_files", "manifest", "pictures"},
    {"estimators", "catalog", "promotion", "pruning"},
    {"linear", "folding", "persistence", "export"},
    {"evaluation", "calibration", "comparison", "robustness", "training", "reuse"},
    {"local", "web", "azureml"},
    {"plugins"},
    {"sweeps", "results", "plots", "report"},  # a sweep offers its report, which draws it
    {"trainer"},
    {"cli", "testing", "worker"},
    {"__main__"},
)
PROVIDERS = {"local", "web", "azureml"}


def modules() -> Iterator[tuple[str, Path]]:
    """Each module's dotted name below mnistkit, and its file."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def room(module: str) -> str:
    """The top-level room that a module belongs to."""
    return module.split(".", maxsplit=1)[0]


def imports(path: Path) -> Iterator[str]:
    """What a file imports, absolute; imports for type checkers alone don't count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def level(name: str) -> int:
    """How high up a room is."""
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    pytest.fail(f"room {name!r} isn't in the plan: add it to LAYERS and to docs/explanation/architecture.md")


INSIDE = [(module, path) for module, path in modules() if module]


@pytest.mark.parametrize(("module", "path"), INSIDE, ids=[module for module, _ in INSIDE])
def test_imports_point_down(module: str, path: Path) -> None:
    """A module imports from its own room or layer, or from lower ones; no provider imports another."""
    here = room(module)
    for name in imports(path):
        if not name.startswith("mnistkit."):
            continue
        there = room(name.removeprefix("mnistkit."))
        if there == here:
            continue
        if here in PROVIDERS and there in PROVIDERS:
            pytest.fail(f"{module} imports {name}: providers never import each other")
        if level(there) > level(here):
            pytest.fail(f"{module} imports {name}: imports point down, from {here} to lower rooms only")


def test_the_trainer_knows_no_provider() -> None:
    """The facade is given objects, and the plugin table holds strings: neither imports a provider."""
    for module, path in modules():
        if module in {"trainer", "plugins"}:
            assert not {room(name.removeprefix("mnistkit.")) for name in imports(path)} & PROVIDERS


def test_the_emulator_stands_alone() -> None:
    """The emulator imports the errors alone, and only the command line and the pytest plugin import it.

    Azure's SDK is imported by what runs in the job's own process, never by the emulator.
    """
    for module, path in modules():
        mine = [name for name in imports(path) if name.startswith("mnistkit.")]
        rooms = {room(name.removeprefix("mnistkit.")) for name in mine}
        if room(module) == "emulator":
            assert rooms <= {"emulator", "errors"}, module
            sdk = [name for name in imports(path) if name.partition(".")[0] in {"azureml", "azure", "msrest"}]
            assert not sdk or module.startswith("emulator.jobs.wrapper"), f"{module} imports {sdk}"
        elif "emulator" in rooms:
            assert module in {"cli.emulator", "testing.plugin"}, module


def test_no_import_cycles() -> None:
    """No module reaches itself through its imports."""
    names = {f"mnistkit.{module}" for module, _ in INSIDE}
    graph = {
        f"mnistkit.{module}": {
            candidate for name in imports(path) for candidate in (name, name.rpartition(".")[0]) if candidate in names
        }
        - {f"mnistkit.{module}"}
        for module, path in INSIDE
        if path.name != "__init__.py"
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name in done:
            return
        for other in graph.get(name, ()):
            visit(other, (*above, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_relative_imports_and_prints_are_absent() -> None:
    """Imports are absolute, and only the command line and the console context talk."""
    for module, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level], module
        if room(module) == "cli" or module == "context":
            continue
        prints = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "print"]
        assert not prints, f"{module} prints"
