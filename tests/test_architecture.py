"""The rooms of the house: who may import whom, read from the source. Every import counts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mnistkit

ROOT = Path(mnistkit.__file__).parent

LAYERS = (  # from the bottom; a room imports from lower layers only
    {"errors"},
    {"utils"},
    {"config"},
    {"jobs"},
    {"data"},
    {"estimators"},
    {"models"},
    {"registry"},
    {"runs"},
    {"interfaces"},
    {"plugins"},
    {"evaluation"},
    {"training"},
    {"tracking"},
    {"local", "azureml", "dask", "mlflow", "emulator"},
    {"serving"},
    {"sweeps", "testing"},
    {"plots"},
    {"reports"},
    {"trainer"},
    {"ui"},
    {"cli"},
    {"__main__"},
)
PROVIDERS = {"local", "azureml", "dask", "mlflow", "emulator"}
SDKS = {
    "azureml": "azureml.v1._sdk",
    "azure": "azureml.v2._sdk",
    "msrest": "azureml.v1._sdk",
    "mlflow": "mlflow._sdk",
    "dask": "dask._sdk",
    "distributed": "dask._sdk",
    "optuna": "sweeps.optimization",
    "pyarrow": "data.importing.parquet",
    "jinja2": "reports.page",
    "onnx": "registry.onnx_converters",
    "onnxruntime": "registry.export",
    "skl2onnx": "registry.onnx_converters",
    "flask": "serving.app",
    "werkzeug": "serving.app",
    "waitress": "serving.http_server",
}
"""By third-party package, the one module that imports it."""

APPS = {"flask": "ui.app", "werkzeug": "ui.app"}
"""The one other module of a package that isn't a vendor's: each of the two applications has routes of its own."""

KNOWN: set[tuple[str, str]] = set()
"""Imports that are still to be removed."""


@cache
def modules() -> dict[str, tuple[Path, ...]]:
    """Each module's dotted name below mnistkit, and its files: a room's door is its ``__init__``, source and stub."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted([*ROOT.rglob("*.py"), *ROOT.rglob("*.pyi")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = (*found.get(name, ()), path)
    return found


def room(module: str) -> str:
    """The top-level room that a module belongs to."""
    return module.split(".", maxsplit=1)[0]


def imports(paths: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Each import as the module that it names and the name that it takes; those for type checkers count as well."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.module, alias.name) for alias in node.names)


@cache
def graph() -> dict[str, set[str]]:
    """Which modules of this package each module imports."""
    known = modules()
    edges: dict[str, set[str]] = {}
    for module, paths in known.items():
        targets = set()
        for source, name in imports(paths):
            full = f"{source}.{name}".removesuffix(".")
            if not full.startswith(
                "mnistkit."
            ):  # import mnistkit alone loads nothing: it is the package's folder and version
                continue
            inside, door = full.removeprefix("mnistkit."), source.removeprefix("mnistkit").removeprefix(".")
            targets.add(inside if inside in known else door)
        edges[module] = targets - {module}
    return edges


def level(name: str) -> int:
    """How high up a room is."""
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    pytest.fail(f"room {name!r} isn't in the plan: add it to LAYERS and to docs/explanation/architecture.md")


INSIDE = sorted(module for module in modules() if module)


@pytest.mark.parametrize("module", INSIDE)
def test_imports_point_down(module: str) -> None:
    """A module imports from its own room or from lower layers; nothing below the package imports its door."""
    here = room(module)
    for target in graph()[module]:
        there = room(target)
        if there == here or (module, target) in KNOWN:
            continue
        assert target, f"{module} imports mnistkit itself: import from the module"
        assert level(there) < level(here), f"{module} imports {target}: imports point down, from {here} to lower rooms"


def test_the_trainer_and_the_plugins_import_no_provider() -> None:
    """The facade takes objects, and the plugin table holds strings: neither imports a provider."""
    for module, targets in graph().items():
        if room(module) in {"trainer", "plugins"}:
            assert not {room(target) for target in targets} & PROVIDERS, module


def test_the_emulator_stands_alone() -> None:
    """The emulator imports the errors alone, and only the command line and the pytest plugin import it.

    Azure's SDK is imported by what runs in the process of a job, never by the emulator.
    """
    for module, targets in graph().items():
        if room(module) == "emulator":
            assert {room(target) for target in targets} <= {"emulator", "errors"}, module
            sdk = {name.partition(".")[0] for name, _ in imports(modules()[module])} & {"azureml", "azure", "msrest"}
            assert not sdk or module.startswith("emulator.jobs.wrapper"), f"{module} imports {sdk}"
        elif "emulator" in {room(target) for target in targets}:
            assert module in {"cli.emulator", "testing.plugin"}, module


def test_one_module_knows_each_sdk() -> None:
    """A vendor's packages are imported by one module alone."""
    for module, paths in modules().items():
        for name, _ in imports(paths):
            owner = SDKS.get(name.partition(".")[0])
            other = APPS.get(name.partition(".")[0])
            if owner and not module.startswith(("emulator.jobs.wrapper", "emulator.v2.mlflow_scoring", "azureml.node")):
                assert module in {owner, other}, f"{module} imports {name}: only {owner} does"


def test_no_import_cycles() -> None:
    """No module reaches itself through its imports, late ones and those for type checkers included."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name in done:
            return
        for other in sorted(graph().get(name, ())):
            if (name, other) not in KNOWN:
                visit(other, (*above, name))
        done.add(name)

    for name in INSIDE:
        visit(name, ())


def test_the_root_is_small() -> None:
    """The package's root has at most 29 rooms and modules: 24, and serving, tracking, local pages, Dask and MLflow."""
    entries = sorted(path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    assert len(entries) <= 29, entries


def test_relative_imports_and_prints_are_absent() -> None:
    """Imports are absolute, and only the command line and the console context print."""
    for module, paths in modules().items():
        trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        assert not [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level], module
        if room(module) == "cli" or module == "runs.context":
            continue
        assert not [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "print"], f"{module} prints"
