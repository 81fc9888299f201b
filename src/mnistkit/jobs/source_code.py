"""The user's own code: the files of a script's folder, the modules of an estimator, the running program."""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

from attrs import frozen

from mnistkit.errors import SpecError, UsageError
from mnistkit.jobs.import_paths import lookup
from mnistkit.jobs.signatures import DEFAULTS
from mnistkit.utils.files import sha256_of
from mnistkit.utils.redaction import redacted_source

__all__ = ["IGNORED", "MAX_BYTES", "Program", "module_digests", "module_sources", "program_sources", "script_digests"]

_PARSE_TRIES = 20

IGNORED: Final = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "*.pyc",
    ".mnistkit",
    ".venv",
    "venv",
    ".tox",
    ".ipynb_checkpoints",
    "outputs",
    "logs",
)
"""The files and folders in a script's folder that don't travel with it."""

MAX_BYTES: Final = 300 * 2**20
"""The maximum size of a script's folder, in bytes."""

_VERSIONED_PACKAGES = {"sklearn", "mnistkit", "numpy", "scipy", "joblib"}
_INSTALL_FOLDERS = {"site-packages", "dist-packages"}
_loaded: dict[str, tuple[ModuleSpec | None, str]] = {}


@frozen
class Program:
    """The source of the running program.

    Attributes:
        name: The file name of its script; ``"notebook"``, or ``"interactive"`` where there is no source at all.
        files: Source by file name: the script, or a notebook's cells so far, and the user's modules imported there.
    """

    name: str
    files: Mapping[str, bytes]


def program_sources() -> Program:
    """Return the source of the running program; what looks like a secret in a notebook's cells is masked."""
    main = sys.modules.get("__main__")
    path = Path(getattr(main, "__file__", None) or "")
    if cells := _cells():
        name, files = "notebook", {"notebook.py": cells}
    elif path.suffix == ".py" and path.is_file() and not _INSTALL_FOLDERS & set(path.parts):
        name, files = path.name, {path.name: path.read_bytes()}
    else:
        return Program(path.name or "interactive", {})
    (source,) = files.values()
    return Program(name, files | _sources(_names_in(source, getattr(main, "__package__", None) or "")))


def module_sources(import_paths: Iterable[str]) -> dict[str, bytes]:
    """Return the user's modules of importable classes and functions, and those imported there, by file.

    Args:
        import_paths: Such as ``"my_models.Voting"``; what can't be imported is left out.
    """
    values = [(path, lookup(path)) for path in import_paths if path not in DEFAULTS]
    names = [getattr(value, "__module__", None) or path.rpartition(".")[0] for path, value in values if value]
    return _sources([parent for name in names for parent in _with_parents(name)])


def _sources(names: Iterable[str]) -> dict[str, bytes]:
    """Return the source of those of these imported modules that are the user's, and of those imported there."""
    files: dict[str, bytes] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        module, path = sys.modules.get(name), _own_file(name)
        if module is None or path is None or path.suffix != ".py" or _INSTALL_FOLDERS & set(path.parts):
            continue
        if (file := _file_name(module, path)) not in files:
            files[file] = path.read_bytes()
            pending += _names_in(files[file], module.__package__ or "")
    return files


def _names_in(source: bytes, package: str) -> list[str]:
    """Return the names that a source imports; none if it can't be parsed, as cells needn't be one program."""
    try:
        return list(_imported_names(source, package))
    except SyntaxError:
        return []


def script_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that travels with a script, by relative POSIX path.

    That leaves out what `IGNORED` matches, links, and folders of runs.

    Raises:
        UsageError: The folder holds more than `MAX_BYTES`.
        OSError: A file can't be read.
    """
    digests, total = {}, 0
    for file, path in _script_files(folder, ""):
        total += path.stat().st_size
        if total > MAX_BYTES:
            raise UsageError(f"{folder} holds more than {MAX_BYTES >> 20} MiB: keep data out of the script's folder.")
        digests[file] = sha256_of(path)
    return digests


def module_digests(import_path: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the source files and packages of an importable class or function.

    Args:
        import_path: Such as ``"my_models.Voting"``.

    Returns:
        The sha256 of its module's source file, and of those of the user's modules that are imported there, by
        file; and the versions of installed packages, by name. Python's own modules and those of scikit-learn and
        mnistkit are left out.

    Raises:
        SpecError: It can't be imported, or a file has changed since it was: either version could run.
    """
    if import_path in DEFAULTS:  # mnistkit's, so left out: nothing need be imported to see that
        return {}, {}
    value = lookup(import_path)
    if value is None:
        raise SpecError(f"{import_path!r} can't be imported here. Is its package installed, and its name right?")
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    _collect(getattr(value, "__module__", None) or import_path.rpartition(".")[0], files, versions)
    return files, versions


def _script_files(folder: Path, below: str) -> Iterator[tuple[str, Path]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_symlink() or any(fnmatch.fnmatch(entry.name, pattern) for pattern in IGNORED):
            continue
        name, path = f"{below}{entry.name}", Path(entry.path)
        if entry.is_file():
            yield name, path
        elif entry.is_dir() and not ((path / "job.json").exists() and (path / "record.json").exists()):  # a run
            yield from _script_files(path, f"{name}/")


def _collect(name: str, files: dict[str, str], versions: dict[str, str]) -> None:
    """Add the module's file and, if it is the user's, those of what it imports; or its package's version."""
    module, path = sys.modules.get(name), _own_file(name)
    if module is None or path is None:
        return
    if _INSTALL_FOLDERS & set(path.parts):
        top = name.partition(".")[0]
        versions[top] = _version(top)
        return
    file = _file_name(module, path)
    if file in files:
        return
    files[file] = _digest(module, path)
    for imported in _imports(module, path):
        _collect(imported, files, versions)


def _own_file(name: str) -> Path | None:
    """Return the source file of a module that is neither Python's own nor of the packages whose versions are kept."""
    top = name.partition(".")[0]
    path = Path(getattr(sys.modules.get(name), "__file__", None) or "")
    is_other = top in _VERSIONED_PACKAGES or top in sys.stdlib_module_names or not path.is_file()
    return None if is_other else path


def _file_name(module: ModuleType, path: Path) -> str:
    return f"{module.__name__.replace('.', '/')}{'/__init__' if hasattr(module, '__path__') else ''}{path.suffix}"


def _cells() -> bytes:
    """Return the cells that were run in this notebook or IPython so far, as one source; empty elsewhere."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_shell() if get_shell is not None else None
    if shell is None:
        return b""
    cells = [f"# In [{n}]\n{cell}\n" for n, cell in enumerate(shell.user_ns.get("In", ())) if cell]
    return redacted_source("\n".join(cells)).encode(errors="backslashreplace")


def _digest(module: ModuleType, path: Path) -> str:
    digest = sha256_of(path)
    spec, loaded = _loaded.get(module.__name__, (None, ""))
    if spec is None or spec is not module.__spec__:  # seen for the first time, or reloaded since
        _loaded[module.__name__] = (module.__spec__, digest)
    elif loaded != digest:
        raise SpecError(f"{path} has changed since {module.__name__} was imported: restart Python, or reload it.")
    return digest


def _imports(module: ModuleType, path: Path) -> Iterator[str]:
    """Yield the absolute names that a module imports, and its parent packages, whose ``__init__`` runs first."""
    if path.suffix == ".py":
        yield from _imported_names(path.read_bytes(), module.__package__ or "")


def _imported_names(source: bytes, package: str) -> Iterator[str]:
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from _with_parents(name)
    yield from _with_parents(package)


def _parsed(source: bytes) -> ast.Module:
    """Return the tree of a source, also while other threads parse.

    CPython up to 3.11.7 and 3.12.1 counts the depth of all threads' trees together, and raises SystemError if they mix:
    https://github.com/python/cpython/issues/106905.
    """
    for _ in range(_PARSE_TRIES):
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _version(top: str) -> str:
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(top), "__version__", "unknown"))
