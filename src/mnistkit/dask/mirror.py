"""Copies of what nodes reported of runs on a cluster: small files beside the run folders, in ``runs/.dask/<run id>/``.

A run folder changes once more after it was sent: when the run's end is collected. What nodes report before that goes
here, so that several clients of one home may write it at any time: a late one never overwrites an end.

::

    runs/.dask/<id>/task.json                    the task and the scheduler that has it
                    job.json record.json ...     the run as a node last reported it
                    log-<node>                   where the log of a node's start begins in the run's own log
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import attrs
from attrs import frozen

from mnistkit.errors import DataFormatError, RunNotFoundError
from mnistkit.runs.annotations import annotated_tags, read_annotations
from mnistkit.runs.context import METRICS_FILE, TAGS_FILE
from mnistkit.runs.folder.packing import unpack
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.documents import read_text
from mnistkit.utils.files import write_atomically
from mnistkit.utils.folders import regular_files
from mnistkit.utils.serialization import read_json, to_json

__all__ = ["Mirror", "TaskInfo"]

_FOLDER = ".dask"
_TASK = "task.json"
_REPORTED = frozenset({"record.json", METRICS_FILE, TAGS_FILE})


@frozen(kw_only=True)
class TaskInfo:
    """The task that carries out some runs.

    Attributes:
        key: Of the task.
        runs: All its runs, in order.
        scheduler: The id of the scheduler, which changes when that is started again.
        address: Of the scheduler.
        is_detached: Whether it outlives the program that submitted it.
    """

    key: str
    runs: tuple[str, ...]
    scheduler: str
    address: str
    is_detached: bool


class Mirror:
    """The files of one home."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._root = runs / _FOLDER
        self._store = RunStore(self._root)

    def add(self, info: TaskInfo) -> None:
        """Note the task of runs that are about to be sent."""
        for run_id in info.runs:
            folder = self._root / run_id
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._runs / run_id / "job.json", folder / "job.json")
            write_atomically(folder / _TASK, to_json(info))

    def task(self, run_id: str) -> TaskInfo | None:
        """Return the task of a run; None if it wasn't sent, or has been collected."""
        try:
            info: TaskInfo = read_json(self._root / run_id / _TASK, TaskInfo)
        except (OSError, DataFormatError):
            return None
        return info

    def drop(self, run_id: str) -> None:
        """Remove what was kept of a run: all at once for other clients, whose work on it then comes to nothing."""
        removed = self._root / f".{run_id}-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):  # another client has removed it
            (self._root / run_id).rename(removed)
        shutil.rmtree(removed, ignore_errors=True)

    def update(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Keep what a node reported of a run."""
        folder = self._root / run_id
        if (folder / _TASK).exists():
            for name in _REPORTED & files.keys():
                write_atomically(folder / name, files[name])

    def record_file(self, run_id: str) -> Path:
        """Return the file of the record that a node last reported."""
        return self._root / run_id / "record.json"

    def reported(self, run_id: str) -> RunRecord | None:
        """Return the record that a node last reported; None if none did."""
        try:
            return self._store.read(run_id)
        except (RunNotFoundError, DataFormatError, OSError):
            return None

    def merged(self, record: RunRecord) -> RunRecord:
        """Return an unfinished run's record as nodes reported it. Its end counts once it has been collected."""
        seen = None if record.state.is_terminal else self.reported(record.id)
        if seen is None:
            return record
        added, _ = read_annotations(self._runs / record.id)  # of this machine alone
        transitions = tuple(t for t in seen.transitions if not t.state.is_terminal)
        if record.state is RunState.CANCEL_REQUESTED:
            transitions = (*transitions, record.transitions[-1])
        return attrs.evolve(
            record,
            transitions=transitions,
            points=seen.points,
            tags=annotated_tags(seen.tags, added),
            attempts=seen.attempts,
            versions=seen.versions,
            host=seen.host,
        )

    def log_position(self, run_id: str, node: str) -> int:
        """Return how much of a node's log is in the run's own, and note where that begins if it is new."""
        return self._log_size(run_id) - self._log_base(run_id, node)

    def add_log(self, run_id: str, node: str, position: int, data: bytes) -> None:
        """Write a piece of a node's log to its place: writing it again changes nothing.

        Raises:
            FileNotFoundError: The run has been collected.
        """
        path = self._runs / run_id / "logs" / "std_log.txt"
        start = self._log_base(run_id, node) + position
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as stream:
            stream.seek(start)
            stream.write(data)

    def collect(self, run_id: str, node: str, packed: bytes) -> None:
        """Write a finished run's files into its folder, each as a whole, and its record at the end.

        Several clients may do that at once: they write the same bytes.

        Raises:
            DataFormatError: It isn't a packed run folder.
            FileNotFoundError: Another client has collected it, and what was kept of it is gone.
            OSError: As the system says.
        """
        target, staged = self._runs / run_id, self._root / f".collected-{uuid.uuid4().hex}"
        try:
            base = self._log_base(run_id, node)
            unpack(packed, staged)
            if base:
                log = staged / "logs" / "std_log.txt"
                before = (target / "logs" / "std_log.txt").read_bytes()[:base]
                log.write_bytes(before + (log.read_bytes() if log.exists() else b""))
            names = sorted((name for name, _ in regular_files(staged)), key=lambda name: name == "record.json")
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (staged / name).replace(target / name)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _log_size(self, run_id: str) -> int:
        try:
            return (self._runs / run_id / "logs" / "std_log.txt").stat().st_size
        except FileNotFoundError:
            return 0

    def _log_base(self, run_id: str, node: str) -> int:
        """Return where a node's log begins: behind what had been read when the first client saw the node.

        Raises:
            FileNotFoundError: The run has been collected.
        """
        path = self._root / run_id / f"log-{node}"
        if not path.exists():
            mine = path.with_name(f".{uuid.uuid4().hex}")
            mine.write_text(str(self._log_size(run_id)))
            with contextlib.suppress(FileExistsError):  # another client was faster: its number counts
                os.link(mine, path)
            mine.unlink()
        return int(read_text(path))
