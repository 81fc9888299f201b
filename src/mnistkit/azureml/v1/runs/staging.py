"""What travels to the node: the script's folder or the training's, the job as JSON, and mnistkit's own source."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mnistkit
from mnistkit.azureml.node.job import JOB_FILE, JOB_FOLDER, LIBRARY_FILE
from mnistkit.errors import RunFailedError, UsageError
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import DATA_FOLDER, Job, ScriptJob
from mnistkit.jobs.source_code import IGNORED, MAX_BYTES
from mnistkit.utils.serialization import to_json

__all__ = ["ENTRY", "needs_data", "stage"]

ENTRY: Mapping[str, str] = {"training": "train.py", "script": f"{JOB_FOLDER}/run.py"}
"""What the node starts, by kind of job: relative to the staged folder."""

_START = '''\
"""Starts the job that mnistkit submitted: see mnistkit.azureml.node.job in the archive beside job.json."""
import sys
from pathlib import Path

folder = next(each for each in Path(__file__).resolve().parents if (each / "{folder}").is_dir()) / "{folder}"
sys.path.insert(0, str(folder / "{library}"))

from mnistkit.azureml.node.job import main  # noqa: E402

main(folder)
'''
_LEFT_OUT = ("mnistkit/emulator", "mnistkit/testing", "mnistkit/cli", "mnistkit/web")
_AS_OF = (1980, 1, 1, 0, 0, 0)  # equal sources make equal archives, which are uploaded once


def needs_data(job: Job) -> bool:
    """Whether the job reads the data that it is submitted with."""
    return not isinstance(job, ScriptJob) or any(DATA_FOLDER in argument for argument in job.arguments)


def stage(job: Job, uri: str, into: Path) -> str:
    """Put into an empty folder what the node needs, as it is now; later edits don't reach it.

    Args:
        job: What is to run.
        uri: Of its data.
        into: The folder to submit; created.

    Returns:
        What to start, relative to the folder.

    Raises:
        RunFailedError: The script's folder is larger than 300 MiB.
        UsageError: The script's folder has something of the name of what mnistkit sends along.
    """
    if isinstance(job, ScriptJob):
        _copy(Path(job.source_directory), into)
        _include(into / ".amlignore", into / ".gitignore")
    folder = into / JOB_FOLDER
    folder.mkdir(parents=True)
    (folder / JOB_FILE).write_text(json.dumps(_spec(job, uri), indent=2) + "\n", encoding="utf-8")
    (folder / LIBRARY_FILE).write_bytes(_library())
    entry = into / ENTRY[job.kind]
    entry.write_text(_START.format(folder=JOB_FOLDER, library=LIBRARY_FILE), encoding="utf-8")
    return ENTRY[job.kind]


def _spec(job: Job, uri: str) -> dict[str, Any]:
    """The job for `mnistkit.azureml.node.job`, which can't read our values: it needs Python alone."""
    return {
        "kind": job.kind,
        "name": job.entry_script if isinstance(job, ScriptJob) else "The training process",
        "entry": job.entry_script if isinstance(job, ScriptJob) else "",
        "arguments": list(job.arguments) if isinstance(job, ScriptJob) else [],
        "data_placeholder": DATA_FOLDER,
        "timeout": job.timeout,
        "retries": job.retries,
        "retry_on": list(job.retry_on),
        "tags": dict(job.tags),
        "libraries": [name for name in library_versions() if name != "python"],
        "uri": uri,
        "job": "" if isinstance(job, ScriptJob) else to_json(job).decode(),
    }


def _copy(source: Path, into: Path) -> None:
    """Copy a script's folder without links, caches, environments and earlier outputs."""
    total = 0
    ignore = shutil.ignore_patterns(*IGNORED)

    def ignored(folder: str, names: list[str]) -> set[str]:
        paths = {name: Path(folder, name) for name in names}
        odd = {n for n, p in paths.items() if p.is_symlink() or not (p.is_file() or p.is_dir()) or _is_run(p)}
        return {*ignore(folder, names), *odd}

    def copy(origin: str, target: str) -> str:
        nonlocal total
        total += Path(origin).stat().st_size
        if total > MAX_BYTES:
            raise RunFailedError(
                f"{source} holds more than {MAX_BYTES >> 20} MiB: keep data out of the script's folder, "
                "and pass it as the job's data."
            )
        return str(shutil.copy2(origin, target))

    if (source / JOB_FOLDER).exists():
        raise UsageError(f"{source} holds {JOB_FOLDER!r}, the name of what mnistkit sends along: rename it.")
    shutil.copytree(source, into, ignore=ignored, copy_function=copy, dirs_exist_ok=True)


def _is_run(path: Path) -> bool:
    return (path / "job.json").exists() and (path / "record.json").exists()


def _include(*ignore_files: Path) -> None:
    """See that what the folder's own rules leave out, the SDK obeys the first file there is, isn't what we send."""
    rules = next((file.read_text(encoding="utf-8") for file in ignore_files if file.is_file()), None)
    if rules is not None:
        ignore_files[0].write_text(f"{rules.rstrip()}\n!/{JOB_FOLDER}/\n!/{JOB_FOLDER}/**\n", encoding="utf-8")


@cache
def _library() -> bytes:
    """The source of mnistkit as a zip archive that Python imports from, with its version."""
    root, stream = Path(mnistkit.__file__).parent, io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root.parent).as_posix()
            if not name.startswith(_LEFT_OUT):
                archive.writestr(zipfile.ZipInfo(name, _AS_OF), path.read_bytes(), zipfile.ZIP_DEFLATED)
        version = metadata.version("mnistkit")
        about = f"Metadata-Version: 2.1\nName: mnistkit\nVersion: {version}\n"
        archive.writestr(zipfile.ZipInfo(f"mnistkit-{version}.dist-info/METADATA", _AS_OF), about)
    return stream.getvalue()
