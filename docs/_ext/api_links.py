"""Lets docstrings name things as people do: `Run` links to ``mnistkit.runs.Run``, `best_run` to the function."""  # noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

_BEFORE_NAPOLEON = 400


def setup(app: Sphinx) -> dict[str, Any]:
    """Take part where a name wasn't found, and where docstrings are read."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep_prose, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-signature", leave_factories_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement) -> nodes.Node | None:
    """A link to what is documented under that name; text for what exists and isn't documented; None for the rest."""
    if node.get("refdomain") != "py":
        return None
    objects = env.get_domain("py").objects
    name = node["reftarget"].removeprefix("mnistkit.")
    owner, _, member = name.rpartition(".")  # an attribute is described with its class, a constant with its module
    found = _named(objects, name, node)
    if found is None:
        holder = _named(objects, owner, node) if owner else node.get("py:module")
        found = holder if holder in objects and hasattr(_import(holder), member) else None
    if found is None:
        return contnode if _import(f"mnistkit.{name}") else None
    entry = objects[found]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found)


def keep_prose(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep what stands before a colon in ``Returns:`` and in a property's first line: prose, as types are annotated."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = f": {lines[0]}"  # no type, then all of the line
    for section in ("Returns:", "Yields:"):
        if section in lines:
            at = lines.index(section)
            if at + 1 < len(lines):
                lines[at : at + 2] = [f":returns: {lines[at + 1].strip()}"]


def leave_factories_out(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write ``...`` for a default that attrs makes anew each time: its ``NOTHING`` says less."""
    return signature and signature.replace("=NOTHING", "=..."), returns


def _named(objects: Mapping[str, ObjectEntry], name: str, node: pending_xref) -> str | None:
    """The full name that is meant: the nearest, or the only one, or the only one that isn't a member of a class."""
    for owner in (node.get("py:class"), node.get("py:module"), "mnistkit"):
        if owner and f"{owner}.{name}" in objects:
            return f"{owner}.{name}"
    found = [full for full in objects if full.endswith(f".{name}") and not objects[full].aliased]
    if len(found) > 1:
        found = [full for full in found if objects[full].objtype not in {"attribute", "method", "property"}]
    return found[0] if len(found) == 1 else None


def _import(full: str) -> Any:
    """The object of that name, a module or something in one; None if there is none."""
    parts = full.split(".")
    for n in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(lambda value, part: getattr(value, part, None), parts[n:], module)
    return None
