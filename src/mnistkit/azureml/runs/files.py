"""Downloads of files of runs, verified by the node's list of sizes and sha256s."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mnistkit.azureml.node.layout import MANIFEST_FILE
from mnistkit.azureml.runs.history import History
from mnistkit.azureml.runs.records import Result
from mnistkit.errors import DownloadError, NotFoundError, ServiceError
from mnistkit.utils.documents import MAX_LINES_BYTES
from mnistkit.utils.files import FileInfo, ensure_folder, file_info
from mnistkit.utils.serialization import read_json

__all__ = ["fetch_file"]

_MAX_TRIES = 3


def fetch_file(history: History, run_id: str, file: str, files: Sequence[str], into: Path) -> Path:
    """Copy a file of a run into a folder, whole and as the run wrote it, or not at all.

    Args:
        history: Of the workspace.
        run_id: The run.
        file: Its name in the run.
        files: All files of the run.
        into: The folder; created if need be.

    Raises:
        NotFoundError: The run has no such file.
        DownloadError: What arrived isn't what the run wrote.
        StorageError: The folder can't be written.
    """
    if file not in files:
        raise NotFoundError(f"Run {run_id} has no file {file!r}; it has {', '.join(files) or 'none'}.")
    into = ensure_folder(into, "the folder to download into")
    expected = _expected(history, run_id).get(file)
    with tempfile.TemporaryDirectory(dir=into, prefix=".mnistkit-") as folder:
        part = Path(folder, "file")
        _download(history, run_id, file, part, expected.sha256 if expected else None)
        target = into / PurePosixPath(file).name
        part.replace(target)
    return target


def _expected(history: History, run_id: str) -> dict[str, FileInfo]:
    """Return the node's list of outputs; empty for a run that was killed before it wrote one."""
    result = Result.of(history.get(run_id).properties, f"run {run_id}")
    if result is None or result.manifest is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        part = Path(folder, "manifest.json")
        _download(history, run_id, MANIFEST_FILE, part, result.manifest)
        listed = read_json(part, dict[str, tuple[int, str]], max_bytes=MAX_LINES_BYTES)
        return {name: FileInfo(size, sha256) for name, (size, sha256) in listed.items()}


def _download(history: History, run_id: str, file: str, part: Path, sha256: str | None) -> None:
    problem: Exception | None = None
    got = ""
    for _ in range(_MAX_TRIES):
        try:
            history.download(run_id, file, part)
        except ServiceError as error:
            problem, got = error, str(error)
            continue
        info = file_info(part)
        if sha256 in {None, info.sha256}:
            return
        problem, got = None, f"{info.size} bytes with sha256 {info.sha256[:12]}..."
    wanted = f"sha256 {sha256[:12]}..." if sha256 else "the file"
    raise DownloadError(
        f"Azure ML delivered {file} of run {run_id} {_MAX_TRIES} times, last as {got} in place of {wanted}. "
        "Try again later."
    ) from problem
