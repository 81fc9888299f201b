"""The copy of a script and its folder that a run keeps."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from mnistkit.errors import DataFormatError, RunFailedError
from mnistkit.jobs.job import ScriptJob
from mnistkit.jobs.source_code import IGNORED, MAX_BYTES
from mnistkit.utils.documents import read_text
from mnistkit.utils.folders import regular_files

__all__ = ["CODE", "copy_source", "read_sources", "snapshot", "write_sources"]

CODE = "code"
"""The folder of a run that holds the copy of the script's folder."""


_MAX_SOURCE_FILES = 200
_MAX_SOURCE_BYTES = 256 << 10
_IGNORED = shutil.ignore_patterns(*IGNORED)


def write_sources(sources: Mapping[str, bytes], run_folder: Path) -> None:
    """Write source files into the run, by their names relative to its copy of the source."""
    for name, source in sources.items():
        path = run_folder / CODE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)


def snapshot(job: ScriptJob, run_folder: Path) -> None:
    """Copy the script's folder into the run, so that later edits don't change what ran.

    Version control, caches, virtual environments and earlier outputs are left out; so are links, pipes and devices.

    Raises:
        RunFailedError: The folder is larger than 300 MiB.
    """
    store = run_folder.parent.resolve()
    copy_source(job, run_folder / CODE, lambda path: path.resolve() == store)


def copy_source(job: ScriptJob, into: Path, is_excluded: Callable[[Path], bool]) -> None:
    """Copy the script's folder without what isn't source: see `snapshot`.

    Args:
        job: Names the folder.
        into: Where its content is copied; may exist.
        is_excluded: Returns True for a file or folder to leave out besides.

    Raises:
        RunFailedError: The folder is larger than 300 MiB.
    """
    source = Path(job.source_directory)
    total = 0

    def ignored(folder: str, names: list[str]) -> set[str]:
        paths = {name: Path(folder, name) for name in names}
        odd = {n for n, p in paths.items() if p.is_symlink() or not (p.is_file() or p.is_dir()) or is_excluded(p)}
        return {*_IGNORED(folder, names), *odd}

    def copy(origin: str, target: str) -> str:
        nonlocal total
        total += Path(origin).stat().st_size
        if total > MAX_BYTES:
            raise RunFailedError(
                f"{source} holds more than {MAX_BYTES >> 20} MiB: keep data out of the script's folder, "
                "and pass it as the job's data."
            )
        return str(shutil.copy2(origin, target))

    shutil.copytree(source, into, ignore=ignored, copy_function=copy, dirs_exist_ok=True)


def read_sources(run_folder: Path) -> dict[str, str]:
    """Return the text of each source file that a run keeps, by its path: at most 200 files of at most 256 KiB.

    What isn't text is left out, and so is what a job has put in the place of a file.
    """
    found: dict[str, str] = {}
    for name, _ in regular_files(run_folder / CODE):
        if len(found) == _MAX_SOURCE_FILES:
            break
        with contextlib.suppress(OSError, DataFormatError):
            found[name] = read_text(run_folder / CODE / name, max_bytes=_MAX_SOURCE_BYTES)
    return found
