"""The habits of the house, read from the source: sizes, first lines of docstrings, names of constants."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import mnistkit

ROOT = Path(mnistkit.__file__).parent
TESTS = Path(__file__).parent

MAX_SHARE_ABOVE_300 = 0.05
UNITS = {"BYTES", "NS", "SECONDS"}
# fmt: off
VAGUE_WORDS = {
    "ABOUT", "AHEAD", "AROUND", "AT", "DEEPEST", "EARLY", "FEW", "FRESH", "GRACE", "INSIDE", "LARGE", "LARGEST",
    "LATE", "LIGHT", "LISTED", "LIT", "LONG", "LONGEST", "MANY", "MAX", "MIDDLE", "MIN", "MOST", "NARROW", "ONCE",
    "PATIENCE", "PAUSE", "SETTLED", "SHORT", "SHORTEST", "SHOWN", "SMALL", "STALE", "TINY", "TOP", "UNMET",
    "YOUNG",
}
# fmt: on


def modules() -> dict[str, Path]:
    """Each module's file, by its dotted name below mnistkit."""
    return {
        ".".join(part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__init__"): path
        for path in sorted(ROOT.rglob("*.py"))
    }


def lines(path: Path) -> int:
    """The number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def public_docstrings(node: ast.AST, name: str = "") -> Iterator[tuple[str, str]]:
    """Each public definition's name and docstring, the module's own first; what is within a private one is private."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield name, ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        inner = (
            getattr(child, "name", "")
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            else ""
        )
        if inner and (not inner.startswith("_") or inner.startswith("__")):
            yield from public_docstrings(child, f"{name}.{inner}".strip("."))


def private_numbers(tree: ast.Module) -> Iterator[str]:
    """The names of private constants of a module whose value is an arithmetic expression of numbers."""
    for statement in tree.body:
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
            continue
        if not all(
            isinstance(n, (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)) or _is_number(n)
            for n in ast.walk(statement.value)
        ):
            continue
        for target in [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets:
            if isinstance(target, ast.Name) and re.fullmatch(r"_[A-Z][A-Z0-9_]*", target.id):
                yield target.id


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


def test_modules_are_small() -> None:
    """No module is above 400 lines, few are above 300, and half have at most 150."""
    sizes = {module: lines(path) for module, path in modules().items()}
    assert {module for module, size in sizes.items() if size > 400} == set()
    assert sum(size > 300 for size in sizes.values()) <= MAX_SHARE_ABOVE_300 * len(sizes)
    assert median(sizes.values()) <= 150


def test_test_files_are_small() -> None:
    """No test file is above 500 lines."""
    assert [path.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py") if lines(path) > 500] == []


def test_contracts_are_suites_alone() -> None:
    """A file ``test_contract.py`` holds subclasses of suites, with fixtures and hooks, and no test of its own."""
    found = sorted(TESTS.rglob("test_contract.py"))
    assert len(found) >= 3
    for path in found:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if getattr(node, "name", "").startswith("test_")], path
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                assert [base.id for base in node.bases if isinstance(base, ast.Name) and base.id.endswith("Suite")], (
                    path
                )


def test_docstrings_begin_with_what_is_done() -> None:
    """The first line of a public docstring says what is returned or done: it doesn't begin with a question word."""
    assert [
        f"{module}: {name}: {text.splitlines()[0]}"
        for module, path in modules().items()
        for name, text in public_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if re.match(r"(What|How|Whether|Who|Where|Why)\b", text)
    ] == []


def test_constants_have_a_noun_or_a_unit() -> None:
    """A private number is named by what it counts or measures, not by an adjective or by a unit alone."""
    assert [
        f"{module}.{name}"
        for module, path in modules().items()
        for name in private_numbers(ast.parse(path.read_text(encoding="utf-8")))
        if (words := set(name.strip("_").split("_"))) <= VAGUE_WORDS or words <= UNITS
    ] == []
