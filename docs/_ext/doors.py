"""Documents constants with the door of their room: autodoc finds their docstrings only where they are assigned."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import mnistkit


def setup(app: Sphinx) -> dict[str, Any]:
    """Read the doors before Sphinx reads the pages."""
    app.connect("builder-inited", add_docstrings_of_constants)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_docstrings_of_constants(_app: Sphinx) -> None:
    """Add, to what autodoc keeps about each door, the docstrings of constants from the modules that the stub names."""
    root = Path(mnistkit.__file__).parent
    for stub in root.rglob("__init__.pyi"):
        door = ".".join(("mnistkit", *stub.parent.relative_to(root).parts))
        docs = _docstrings_of_constants(door)
        for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = _docstrings_of_constants(node.module)
                names = {("", alias.name) for alias in node.names}
                docs.update({name: found[name] for name in names & found.keys()})


def _docstrings_of_constants(module: str) -> dict[tuple[str, str], list[str]]:
    """Return Sphinx's own cache of a module: lines by (class, name)."""
    analyzer = ModuleAnalyzer.for_module(module)
    analyzer.analyze()
    return analyzer.attr_docs
