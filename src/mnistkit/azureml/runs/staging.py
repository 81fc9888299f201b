"""The folder that is sent to the node: the script's own, the job as JSON, and mnistkit's source."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mnistkit
from mnistkit.azureml.node.layout import CODE_FOLDER, JOB_FILE, JOB_FOLDER, LIBRARY_FILE
from mnistkit.data.manifest import DatasetManifest
from mnistkit.errors import UsageError
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import DATA_FOLDER, Job, ScriptJob, TrainingJob
from mnistkit.jobs.source_code import module_sources
from mnistkit.runs.folder.snapshot import copy_source
from mnistkit.utils.serialization import to_json

__all__ = ["ENTRY", "needs_data", "stage"]

ENTRY: Mapping[str, str] = {"training": "train.py", "script": f"{JOB_FOLDER}/run.py"}
"""The file that the node starts, by kind of job, relative to the staged folder."""

_START = '''\
"""Starts the job that mnistkit submitted: see {module} in the archive beside job.json."""
import sys
from pathlib import Path

folder = next(each for each in Path(__file__).resolve().parents if (each / "{folder}").is_dir()) / "{folder}"
sys.path.insert(0, str(folder / "{library}"))

from {module} import main  # noqa: E402

main(folder)
'''
_LEFT_OUT = ("mnistkit/emulator", "mnistkit/testing", "mnistkit/cli")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # equal sources make equal archives, which are uploaded once


def needs_data(job: Job) -> bool:
    """Return True if the job reads the data that it is submitted with."""
    return not isinstance(job, ScriptJob) or any(DATA_FOLDER in argument for argument in job.arguments)


def stage(job: Job, uri: str, into: Path, *, module: str, pins: Sequence[DatasetManifest] = ()) -> str:
    """Write a folder with all that the node needs, as it is now: later edits don't reach it.

    Args:
        job: What is to run.
        uri: Of its data.
        into: The folder to submit; created.
        module: The module of the SDK whose ``main`` runs the job on the node.
        pins: Manifests of which one must fit the data that is mounted on the node; none for data with a manifest.

    Returns:
        The file to start, relative to the folder.

    Raises:
        RunFailedError: The script's folder is larger than 300 MiB.
        UsageError: The script's folder has an entry with the name of the folder that mnistkit adds.
    """
    if isinstance(job, ScriptJob):
        _copy(job, into)
        _include(into / ".amlignore", into / ".gitignore")
    folder = into / JOB_FOLDER
    folder.mkdir(parents=True)
    if isinstance(job, TrainingJob):
        for name, source in module_sources(job.model.import_paths).items():
            path = folder / CODE_FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source)
    (folder / JOB_FILE).write_text(json.dumps(_spec(job, uri, pins), indent=2) + "\n", encoding="utf-8")
    (folder / LIBRARY_FILE).write_bytes(_library())
    entry = into / ENTRY[job.kind]
    entry.write_text(_START.format(folder=JOB_FOLDER, library=LIBRARY_FILE, module=module), encoding="utf-8")
    return ENTRY[job.kind]


def _spec(job: Job, uri: str, pins: Sequence[DatasetManifest]) -> dict[str, Any]:
    """Return the job for `mnistkit.azureml.node.job`, which can't read our values: it needs Python alone."""
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
        "pins": [to_json(each).decode() for each in pins],
        "job": "" if isinstance(job, ScriptJob) else to_json(job).decode(),
    }


def _copy(job: ScriptJob, into: Path) -> None:
    """Copy a script's folder without links, caches, environments, earlier outputs and runs."""
    source = job.source_directory
    if (Path(source) / JOB_FOLDER).exists():
        raise UsageError(f"{source} holds {JOB_FOLDER!r}, the name of the folder that mnistkit adds: rename it.")
    copy_source(job, into, _is_run)


def _is_run(path: Path) -> bool:
    return (path / "job.json").exists() and (path / "record.json").exists()


def _include(*ignore_files: Path) -> None:
    """Except our own files from the folder's ignore rules, of which the SDKs read the first file alone."""
    rules = next((file.read_text(encoding="utf-8") for file in ignore_files if file.is_file()), None)
    if rules is not None:
        ignore_files[0].write_text(f"{rules.rstrip()}\n!/{JOB_FOLDER}/\n!/{JOB_FOLDER}/**\n", encoding="utf-8")


@cache
def _library() -> bytes:
    """Return the source of mnistkit as a zip archive that Python imports from, with its version."""
    root, stream = Path(mnistkit.__file__).parent, io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root.parent).as_posix()
            if not name.startswith(_LEFT_OUT):
                archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
        version = metadata.version("mnistkit")
        about = f"Metadata-Version: 2.1\nName: mnistkit\nVersion: {version}\n"
        archive.writestr(zipfile.ZipInfo(f"mnistkit-{version}.dist-info/METADATA", _ZIP_TIME), about)
    return stream.getvalue()
