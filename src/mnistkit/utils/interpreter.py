"""Start this interpreter so that nothing of the working directory is imported.

Imports nothing but the standard library, since nodes without mnistkit's dependencies use it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["library_path", "module_command", "search_path"]

# Python before 3.11 lacks -P. With -c, the first entry of sys.path is "" for the working directory, and nothing but
# built-in modules has been imported after it was put there.
_RUN_MODULE = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str, unbuffered: bool = False) -> list[str]:
    """Return the command that runs a module, without the working directory in its ``sys.path``.

    Args:
        module: Such as ``"pip"``.
        arguments: Its arguments.
        unbuffered: Whether what it prints is written at once.
    """
    options = ["-u"] * unbuffered
    if sys.version_info >= (3, 11):
        return [sys.executable, *options, "-P", "-m", module, *arguments]
    return [sys.executable, *options, "-c", _RUN_MODULE, module, *arguments]


def search_path() -> list[str]:
    """Return ``sys.path`` as absolute paths, for processes that import what this one can."""
    return [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is the working directory


def library_path() -> list[str]:
    """Return `search_path` without the working directory and the folder of the program that runs.

    For processes that import nothing of the user's. The folder that holds mnistkit itself stays.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = {os.path.abspath(""), *([os.path.dirname(os.path.abspath(program))] if program else [])}  # noqa: PTH100, PTH120 - as Python makes sys.path
    folders.discard(str(Path(__file__).absolute().parents[2]))
    return [entry for entry in search_path() if entry not in folders]
