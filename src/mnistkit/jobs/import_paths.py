"""Objects by their import paths, and back."""

from __future__ import annotations

import importlib
from typing import Any

from mnistkit.errors import SpecError

__all__ = ["import_path", "imported", "lookup"]


def lookup(path: str) -> object:
    """Return the object at an import path such as ``"numpy.log1p"``; None if it can't be imported here."""
    module, _, name = path.rpartition(".")
    while module:
        try:
            value: object = importlib.import_module(module)
        except ImportError:
            module, _, head = module.rpartition(".")
            name = f"{head}.{name}"
            continue
        for part in name.split("."):
            value = getattr(value, part, None)
        return value
    return None


def import_path(value: Any, where: str) -> str:
    """Return the shortest public path under which ``value`` can be imported.

    Args:
        value: A class or a function.
        where: What it is, for messages.

    Raises:
        SpecError: It can't be imported by another process.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None) or value.__name__
    if not module and hasattr(value, "__name__"):
        module = "numpy"  # ufuncs have no __module__
    parts = (module or "").split(".")
    public = [part for part in parts if not part.startswith("_")] if len(parts) > 1 else parts
    for candidate in (".".join(public[:n]) for n in range(1, len(public) + 1)):
        if candidate != "__main__" and lookup(f"{candidate}.{name}") is value:
            return f"{candidate}.{name}"
    if module and module != "__main__" and lookup(f"{module}.{name}") is value:
        return f"{module}.{name}"
    raise SpecError(
        f"{where}: {name} is defined in {module or 'no module'}, from which another process can't import it. "
        "Define it at the top level of a module (a .py file) and import it from there."
    )


def imported(path: str, where: str) -> Any:
    """Return the object at an import path.

    Raises:
        SpecError: It can't be imported here; ``where`` is named.
    """
    value = lookup(path) if isinstance(path, str) else None
    if value is None:
        raise SpecError(f"{where}: {path!r:.120} can't be imported here. Is its package installed, and its name right?")
    return value
