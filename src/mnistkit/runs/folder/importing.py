"""Run folders of runs that ran elsewhere: finished records, kept to be read."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from mnistkit.errors import StorageError, UsageError
from mnistkit.jobs.job import Job
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.status import RECORD, Status
from mnistkit.runs.lines import add_points
from mnistkit.runs.record import RunRecord
from mnistkit.utils.files import ensure_folder
from mnistkit.utils.names import check_file, check_name
from mnistkit.utils.serialization import to_json

__all__ = ["keep_record"]


def keep_record(root: Path, record: RunRecord, files: Mapping[str, Path]) -> bool:
    """Write the folder of a finished run of elsewhere, all of it or nothing; return False if there is one already.

    Args:
        root: The folder that holds the run folders.
        record: The run. Its ``files`` and ``url`` don't count: they are the folder's.
        files: Copied, by their names in the run: ``outputs/...`` and ``logs/...``.

    Raises:
        InvalidNameError: Its id, or a file's name, can't be one here.
        UsageError: It hasn't finished.
        StorageError: The folder can't be written.
    """
    folder = root / check_name(record.id, "run id")
    if not record.state.is_terminal:
        raise UsageError(f"Run {record.id} is {record.state}: only finished runs are kept.")
    if folder.exists():
        return False
    ensure_folder(root, "MNISTKIT_HOME")
    status = Status(
        data=record.data,
        transitions=record.transitions,
        owner=Owner.elsewhere(),
        error=record.error,
        traceback=record.traceback,
        attempts=record.attempts,
        versions=dict(record.versions),
        provenance=record.provenance,
    )
    staged = root / f".{record.id}.{secrets.token_hex(4)}"
    try:
        for part in ("logs", "outputs"):
            (staged / part).mkdir(parents=True)
        for name, path in files.items():
            target = staged / check_file(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target, follow_symlinks=False)
        add_points(staged, record.points)
        (staged / "job.json").write_bytes(to_json(record.job, Job))
        (staged / RECORD).write_bytes(to_json(status))
        staged.rename(folder)
    except OSError as error:
        if folder.exists():  # another process was first
            return False
        raise StorageError(f"Can't keep run {record.id} in {root}: {error.strerror or error}. Make room.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return True
