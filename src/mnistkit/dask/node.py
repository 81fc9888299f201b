"""The task that workers run: run folders that came as bytes are carried out, and go back as bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from mnistkit.dask._sdk import Node, current_node
from mnistkit.dask.losses import has_begun, record_loss, restore
from mnistkit.data.fetching import DataFolder, fetch_folder
from mnistkit.data.packing import unpack_dataset
from mnistkit.errors import MnistkitError, VersionMismatchError
from mnistkit.jobs.environment import library_versions
from mnistkit.plugins import data_source
from mnistkit.runs.annotations import ANNOTATIONS_FILE
from mnistkit.runs.context import METRICS_FILE, TAGS_FILE
from mnistkit.runs.folder.child import Limits
from mnistkit.runs.folder.execution import carry_out
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.packing import pack, unpack
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.variables import job_environment
from mnistkit.runs.record import RunState
from mnistkit.utils.clock import CLOCK_VARIABLE, utc_now
from mnistkit.utils.files import write_atomically
from mnistkit.utils.regular import open_regular

__all__ = ["Order", "run_order"]

_REPORT_SECONDS = 0.25
_MAX_CHUNK_BYTES = 4 << 20
_COMPARED_PARTS = 2  # of a version: 1.9 of 1.9.1

_lock = threading.Lock()
_folders: dict[str, Path] = {}
"""By run id, the folders of what runs on this worker: for the messages of clients."""


@frozen(kw_only=True)
class Order:
    """Runs that one task carries out.

    Attributes:
        key: Of the task.
        runs: Their packed folders, by run id, in order.
        uri: Of their data.
        digest: The sha256 of the packed data, which comes beside the order; empty if it doesn't.
        path: Where the data lies, on a folder that all share; empty if it doesn't.
        limits: What each of them may use; ``threads`` 0 for the worker's own, shared by what it runs.
        versions: The libraries of the program that submitted them; empty to run them on any others.
        clock: Seconds that the clock of that program is ahead of the scheduler's.
    """

    key: str
    runs: Mapping[str, bytes]
    uri: str
    digest: str
    path: str
    limits: Limits
    versions: Mapping[str, str]
    clock: float


def run_order(order: Order, data: bytes | None) -> dict[str, Any]:
    """Carry out the runs of an order in child processes: the task of Dask.

    Returns:
        ``node``, the name of this start, and ``runs``: by run id, their folders, packed. Nothing of runs whose end was
        recorded before this start.
    """
    node = current_node()
    node.serve({"mnistkit_log": read_log, "mnistkit_result": read_result})
    asked_at = time.time()
    found = node.send("mnistkit_begin", key=order.key, worker=node.address, host=node.host)
    if not found["is_wanted"]:
        raise _UnwantedError("Nothing waits for these runs any more.")
    offset = found["now"] - (asked_at + time.time()) / 2 + order.clock
    root = Path(node.folder) / "mnistkit" / uuid.uuid4().hex
    variables = {**job_environment(os.environ), CLOCK_VARIABLE: f"{offset:.6f}"}
    store = RunStore(root, lambda: utc_now(variables))
    store.ensured()
    present = [run_id for run_id in order.runs if run_id not in found["ended"]]
    try:
        for run_id in present:
            unpack(order.runs[run_id], root / run_id)
            store.hand_over(run_id, Owner.of(os.getpid()), host=node.host)
            _resume(store, run_id, found, utc_now(variables))
        waiting = [run_id for run_id in present if not store.state(run_id).is_terminal]
        if waiting:
            _carry_out(order, data, store, waiting, variables)
        return {"node": root.name, "runs": {run_id: _packed(store, run_id) for run_id in present}}
    finally:
        with _lock:
            for run_id in present:
                if _folders.get(run_id) == root / run_id:
                    del _folders[run_id]
        _remove(root)


def _carry_out(
    order: Order, data: bytes | None, store: RunStore, run_ids: list[str], variables: Mapping[str, str]
) -> None:
    """Carry out runs that are here; they fail if this worker has other libraries, or can't have the data."""
    node = current_node()
    try:
        _check_versions(order.versions, node)
        folder = _data_folder(order, data, Path(node.folder))
    except Exception as error:  # noqa: BLE001 - whatever a source raises is why the runs failed
        line = "".join(traceback.format_exception_only(error)).strip()
        for run_id in run_ids:
            store.advance(run_id, RunState.FAILED, error=line, traceback=traceback.format_exc())
        return
    threads = order.limits.threads or max(node.threads // node.n_executing, 1)
    reports = _Reports(node, order.key, store, run_ids)
    reports.send()
    carry_out(
        store,
        run_ids,
        folder,
        attrs.evolve(order.limits, threads=threads),
        variables=variables,
        on_poll=reports.send,
    )


class _Reports:
    """Sends the scheduler what runs record, several times a second, shows clients their logs, and ends runs for it."""

    def __init__(self, node: Node, key: str, store: RunStore, run_ids: Sequence[str]) -> None:
        self._node = node
        self._key = key
        self._store = store
        self._sent: dict[str, dict[str, bytes]] = {run_id: {} for run_id in run_ids}
        self._next_at = 0.0

    def send(self) -> None:
        """Report, if it is time.

        Raises:
            _UnwantedError: The task has been forgotten: its program has ended, or another worker runs it.
        """
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _REPORT_SECONDS
        begun = [run_id for run_id in self._sent if has_begun(self._store.read(run_id))]
        records = {run_id: _record(self._store, run_id) for run_id in self._sent}
        changed = {run_id: record for run_id, record in records.items() if record != self._sent[run_id]}
        response = self._node.send("mnistkit_report", key=self._key, worker=self._node.address, records=changed)
        self._sent |= changed
        if not response["is_wanted"]:
            raise _UnwantedError("Nothing waits for these runs any more.")
        # Only now may clients see what a run writes: should this worker be lost, the scheduler knows that it had begun.
        with _lock:
            _folders.update({run_id: self._store.folder(run_id) for run_id in begun})
        for run_id in response["ended"]:
            if run_id in self._sent and not self._store.is_cancel_requested(run_id):
                self._store.request_cancel(run_id)


class _UnwantedError(Exception):
    """Nothing waits for the result of the task."""


def _resume(store: RunStore, run_id: str, found: Mapping[str, Any], now: datetime) -> None:
    """Record that an earlier start of a run was lost with its worker, if any program saw that it had begun."""
    files = found["records"].get(run_id)
    if not found["lost"] or files is None:
        return
    me, host = Owner.of(os.getpid()), store.read(run_id).host
    record = restore(store, run_id, files["record.json"], me)
    if record.state.is_terminal:  # its end wasn't collected: what it left is lost
        shown = found["lost"][-1]["host"]
        store.advance(run_id, RunState.FAILED, error=f"The worker that held its results was lost: {shown}.")
    elif has_begun(record):
        record_loss(store, run_id, found["lost"][-1]["host"], now)
    if not store.state(run_id).is_terminal:
        store.hand_over(run_id, me, host=host)


def _record(store: RunStore, run_id: str) -> dict[str, bytes]:
    """Return the small files of a run, as they are at this moment."""
    folder = store.folder(run_id)
    files = {"record.json": store.exported(run_id)}
    for name in (METRICS_FILE, TAGS_FILE):
        with contextlib.suppress(OSError), open_regular(folder / name, within=folder) as stream:
            files[name] = stream.read()
    return files


def _packed(store: RunStore, run_id: str) -> bytes:
    """Return a finished run's folder, packed, without the script and the annotations that the program has."""
    folder = store.folder(run_id)
    write_atomically(folder / "record.json", store.exported(run_id))
    return pack(folder, leave_out=("code", "job.json", ANNOTATIONS_FILE))


def _data_folder(order: Order, data: bytes | None, local: Path) -> DataFolder:
    """Return the data on this machine: shipped, once for each content; shared; or fetched here."""
    if data is not None:
        folder = unpack_dataset(data, local / "mnistkit" / "data" / order.digest)
        return DataFolder(str(folder), order.uri, owned=True)
    if order.path:
        return DataFolder(order.path, order.uri, owned=False)
    return fetch_folder(data_source(order.uri))


def _check_versions(expected: Mapping[str, str], node: Node) -> None:
    """Compare the libraries of this worker with those of the program, up to the minor version."""
    here = library_versions()
    other = [
        f"{name} {here.get(name, 'none')} (there {version})"
        for name, version in expected.items()
        if _minor(version) != _minor(here.get(name, ""))
    ]
    if other:
        raise VersionMismatchError(
            f"The worker {node.host} has other libraries than the program that submitted the run: {', '.join(other)}. "
            "Install the same versions, or submit with versions='any'."
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:_COMPARED_PARTS]


def read_log(run_id: str, start: int) -> dict[str, Any] | None:
    """Return the log of a run that has begun on this worker, from byte ``start`` on, else None. For clients."""
    with _lock:
        folder = _folders.get(run_id)
    if folder is None:
        return None
    data = b""
    with contextlib.suppress(OSError), open_regular(folder / "logs" / "std_log.txt", within=folder) as stream:
        stream.seek(start)
        data = stream.read(_MAX_CHUNK_BYTES)
    return {"node": folder.parent.name, "log": data}


def read_result(run_id: str) -> dict[str, Any] | None:
    """Return the packed folder of a run of a group that ended before the others; None if it hasn't. For clients."""
    with _lock:
        folder = _folders.get(run_id)
    return None if folder is None else _result_of(folder)


def _result_of(folder: Path) -> dict[str, Any] | None:
    store, run_id = RunStore(folder.parent), folder.name
    try:
        if not store.state(run_id).is_terminal:
            return None
        return {"node": folder.parent.name, "folder": _packed(store, run_id)}
    except (MnistkitError, OSError):  # it has been sent with the others meanwhile
        return None


def _remove(root: Path) -> None:
    """Remove the folders of a start, all at once for a thread that packs one of them for a client.

    Removed file by file, a run could be packed, and collected as its end, without its metrics or its model.
    """
    removed = root.with_name(f".{root.name}")
    with contextlib.suppress(OSError):
        root.rename(removed)
    for folder in (removed, root):
        shutil.rmtree(folder, ignore_errors=True)
