"""The status of a run: ``record.json`` in its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import min_len

from mnistkit.errors import DataFormatError
from mnistkit.jobs.provenance import Provenance
from mnistkit.runs.context import CANCEL_FILE
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.record import Attempt, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.serialization import read_json

__all__ = ["RECORD", "WORKER_LOG", "Status", "observed_status", "read_document", "read_status"]

RECORD = "record.json"
"""In a run folder: its status."""

WORKER_LOG = ".worker.log"
"""Beside the run folders: what the process that runs them says of itself, which should be nothing."""


@frozen(kw_only=True)
class Status:
    """The content of ``record.json``; the rest of a `RunRecord` is in the files next to it."""

    data: str
    transitions: tuple[Transition, ...] = field(validator=min_len(1))
    owner: Owner
    host: str = ""
    error: str | None = None
    traceback: str | None = None
    attempts: tuple[Attempt, ...] = ()
    versions: dict[str, str] = field(factory=dict)
    provenance: Provenance | None = None


def read_status(folder: Path) -> Status:
    """Return the status of the run in a folder.

    Raises:
        DataFormatError: It can't be understood.
    """
    status: Status = read_document(folder / RECORD, Status)
    return status


def read_document(path: Path, as_type: Any) -> Any:
    """Read a file that a job could have replaced by anything.

    Raises:
        DataFormatError: It isn't what mnistkit wrote.
    """
    try:
        return read_json(path, as_type)
    except OSError as error:
        raise DataFormatError(f"{path} can't be read: {error.strerror or error}.") from error


def observed_status(folder: Path) -> Status:
    """Return the status as seen from outside: owners may die, and a cancellation may be requested."""
    status = read_status(folder)
    while True:
        last = status.transitions[-1]
        if last.state.is_terminal:
            return status
        is_canceled = os.path.lexists(folder / CANCEL_FILE)
        if not status.owner.is_gone():
            if not is_canceled:
                return status
            request = Transition(RunState.CANCEL_REQUESTED, utc_now())
            return attrs.evolve(status, transitions=(*status.transitions, request))
        # The end may have been the last thing that the owner wrote, or it has handed the run over before it ended: it
        # is the owner of the same status that must be gone.
        latest = read_status(folder)
        if latest == status:
            break
        status = latest
    state = RunState.CANCELED if is_canceled else RunState.FAILED
    log = folder.parent / WORKER_LOG
    hint = f" {log} may tell why." if log.exists() and log.stat().st_size else ""
    error = f"The process that ran it (pid {status.owner.pid}) ended before the run did, in state {last.state}.{hint}"
    return attrs.evolve(
        status,
        transitions=(*status.transitions, Transition(state, last.at)),
        error=None if is_canceled else error,
    )
