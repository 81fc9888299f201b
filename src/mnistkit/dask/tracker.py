"""Tasks on a cluster, followed: what nodes report is kept, ends are collected, losses are recorded."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import define, field

from mnistkit.dask._sdk import Connection
from mnistkit.dask.losses import has_begun, record_loss, restore
from mnistkit.dask.mirror import Mirror, TaskInfo
from mnistkit.errors import MnistkitError, RunNotFoundError, ServiceError
from mnistkit.runs.folder.attempts import may_retry
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.clock import utc_now

__all__ = ["Task", "Tracker"]

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.3
_RETRY_SECONDS = 5.0
_WARN_SECONDS = 60.0
_MAX_LOG_PIECES = 64


@define
class Task:
    """A task that this program submitted.

    Attributes:
        info: What is noted of it.
        future: Dask's; a task that isn't published ends with it.
        on_end: Called once all its runs have ended.
    """

    info: TaskInfo
    future: Any
    on_end: Callable[[], object] = field(repr=False)


class Tracker:
    """Follows the tasks of this program in a thread, and those of others when they are looked at."""

    def __init__(self, connection: Connection, store: RunStore, mirror: Mirror) -> None:
        self._connection = connection
        self._store = store
        self._mirror = mirror
        self._tasks: dict[str, Task] = {}
        self._seen: dict[str, dict[str, bytes]] = {}
        self._workers: dict[str, str] = {}
        self._waits: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._scheduler_id: str | None = None
        self._warned_at = float("-inf")
        self._retry_at = float("-inf")

    @property
    def tasks(self) -> list[Task]:
        """The tasks of this program that have unfinished runs."""
        return list(self._tasks.values())

    def scheduler_id(self) -> str:
        """Return the id of the scheduler that this is connected to."""
        if self._scheduler_id is None:
            self._scheduler_id = self._connection.scheduler_id()
        return self._scheduler_id

    def add(self, task: Task) -> None:
        """Follow a task until its runs have ended."""
        with self._lock:
            self._tasks[task.info.key] = task
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._follow, name="mnistkit-dask", daemon=True)
                self._thread.start()

    def waits_for(self, run_id: str) -> str:
        """Return what a Queued run was waiting for when it was last looked at."""
        return self._waits.get(run_id, "")

    def refresh(self, run_ids: Iterable[str]) -> None:
        """Bring runs up to date, as far as the scheduler responds: else they stay as they were last seen."""
        if time.monotonic() < self._retry_at:
            return
        infos = {info.key: info for run_id in run_ids if (info := self._mirror.task(run_id)) is not None}
        try:
            self._refresh([info for info in infos.values() if self._is_reachable(info)])
        except ServiceError as error:
            self._on_trouble(error)

    def read_log(self, run_id: str) -> None:
        """Add to a run's log what a worker has written since."""
        with contextlib.suppress(FileNotFoundError):  # it has just been collected, log and all
            self._read_log(run_id)

    def _read_log(self, run_id: str) -> None:
        info = self._mirror.task(run_id)
        worker = self._workers.get(info.key) if info else None
        node = self._nodes.get(run_id, "")
        for _ in range(_MAX_LOG_PIECES if worker else 0):
            start = self._mirror.log_position(run_id, node) if node else 0
            piece = self._connection.call_worker(worker or "", "mnistkit_log", run_id=run_id, start=start)
            if not piece:
                return
            if piece["node"] != node:  # the position that was read from may be another one's
                node = self._nodes[run_id] = piece["node"]
                position = self._mirror.log_position(run_id, node)
                if position != start:
                    continue
            if not piece["log"]:
                return
            self._mirror.add_log(run_id, node, start, piece["log"])

    def end(self, info: TaskInfo, run_id: str) -> bool:
        """Note that a run is to end; return True if it had not begun, and so never will.

        Raises:
            ServiceError: The scheduler doesn't respond.
        """
        entry = self._connection.end(info.key, run_id)
        starts = entry.get("starts", [])
        return not starts or starts[-1]["is_lost"]

    def release(self, info: TaskInfo) -> None:
        """Let Dask forget a task, if all its runs have ended."""
        if any(not self.is_over(run_id) for run_id in info.runs):
            return
        task = self._tasks.pop(info.key, None)
        for run_id in info.runs:
            self._mirror.drop(run_id)
            for kept in (self._waits, self._seen, self._nodes):
                kept.pop(run_id, None)
        self._workers.pop(info.key, None)
        if task is not None:
            task.future = None
            task.on_end()
        if info.is_detached:
            try:
                self._connection.forget(info.key)
            except ServiceError as error:
                _log.debug("the task %s is forgotten with its scheduler: %s", info.key, error)

    def is_over(self, run_id: str) -> bool:
        """Return True if the record of a run has its end, or another program has deleted it."""
        try:
            return self._store.state(run_id).is_terminal
        except RunNotFoundError:
            return True

    def fail(self, run_ids: Sequence[str], error: str) -> None:
        """Record that runs failed, with what was last reported of them."""
        for run_id in run_ids:
            if not self.is_over(run_id):
                self._restore(run_id)
                self._store.advance(run_id, RunState.FAILED, error=error)

    def _follow(self) -> None:
        while True:
            with self._lock:
                tasks = self.tasks
                if not tasks:
                    self._thread = None
                    return
            try:
                if self._connection.is_lost():
                    self._on_lost_scheduler(tasks)
                else:
                    self._refresh([task.info for task in tasks])
                    self._pass_on_requests(tasks)
            except ServiceError as error:
                self._on_trouble(error)
            except (MnistkitError, OSError):  # such as a full disk: the next one may work
                _log.exception("could not update the runs on %s", self._connection.place)
            time.sleep(_POLL_SECONDS)

    def _pass_on_requests(self, tasks: Sequence[Task]) -> None:
        """End runs that other programs canceled, which leave a file in the run's folder."""
        for task in tasks:
            for run_id in task.info.runs:
                if not self.is_over(run_id) and self._store.is_cancel_requested(run_id):
                    self.cancel(task.info, run_id)

    def cancel(self, info: TaskInfo, run_id: str) -> None:
        """Cancel a run: at once if it hasn't begun, else its worker ends it.

        Raises:
            ServiceError: The scheduler doesn't respond.
        """
        with self._lock:
            if not self.is_over(run_id) and self.end(info, run_id):
                self._restore(run_id)
                self._store.advance(run_id, RunState.CANCELED)
                self.release(info)

    def _refresh(self, infos: Sequence[TaskInfo]) -> None:
        if not infos:
            return
        entries = self._connection.states([info.key for info in infos])
        for info in infos:
            with self._lock:
                self._apply(info, entries[info.key])

    def _apply(self, info: TaskInfo, entry: dict[str, Any]) -> None:
        if all(self.is_over(run_id) for run_id in info.runs):  # another thread, or another program, was faster
            self.release(info)
            return
        for run_id, files in entry.get("records", {}).items():
            if self._seen.get(run_id) != files and run_id in info.runs:
                self._mirror.update(run_id, files)
                self._seen[run_id] = files
        state = entry["state"]
        if state == "memory":
            self._collect_all(info)
        elif state == "erred":
            self.fail(info.runs, entry["error"] or "Its Dask task failed.")
            self.release(info)
        elif state == "gone":
            self.fail(info.runs, f"The Dask scheduler at {info.address} has no task of it any more.")
            self.release(info)
        else:
            starts = entry["starts"]
            if starts and not starts[-1]["is_lost"]:
                self._workers[info.key] = starts[-1]["worker"]
                self._collect_early(info)
            elif starts:
                self._on_lost_worker(info, starts[-1])
            self._note_waiting(info, entry)

    def _collect_all(self, info: TaskInfo) -> None:
        task = self._tasks.get(info.key)
        result = self._connection.result(info.key, task.future if task else None)
        if result is None:  # the next refresh shows why
            return
        for run_id, packed in result["runs"].items():
            self._collect(run_id, result["node"], packed)
        self.fail(info.runs, "Its Dask task ended before it did.")
        self.release(info)

    def _collect(self, run_id: str, node: str, packed: bytes) -> None:
        if not self.is_over(run_id):
            with contextlib.suppress(FileNotFoundError):  # another program has just done it
                self._mirror.collect(run_id, node, packed)

    def _collect_early(self, info: TaskInfo) -> None:
        """Collect runs of a group that have ended before the last one."""
        if len(info.runs) == 1:
            return
        for run_id in info.runs:
            seen = self._mirror.reported(run_id)
            if seen is not None and seen.state.is_terminal and not self.is_over(run_id):
                found = self._connection.call_worker(self._workers[info.key], "mnistkit_result", run_id=run_id)
                if found:
                    self._collect(run_id, found["node"], found["folder"])
                    self._connection.end(info.key, run_id)

    def _on_lost_worker(self, info: TaskInfo, start: dict[str, Any]) -> None:
        """Fail the runs of a lost worker that get no other attempt, at once: there may be no other worker."""
        for run_id in info.runs:
            seen = self._mirror.reported(run_id)
            if self.is_over(run_id) or seen is None or not has_begun(seen) or _retries(seen):
                continue
            if self.end(info, run_id):
                self._restore(run_id)
                if self._store.state(run_id).is_terminal:
                    continue
                record_loss(self._store, run_id, start["host"], utc_now())
        self.release(info)

    def _restore(self, run_id: str) -> None:
        """Write the states that a run was last seen in, without an end, into its record."""
        seen = self._mirror.reported(run_id)
        if seen is None or seen.state.is_terminal:
            return
        restore(self._store, run_id, self._mirror.record_file(run_id).read_bytes(), Owner.of(os.getpid()))

    def _note_waiting(self, info: TaskInfo, entry: dict[str, Any]) -> None:
        n = entry["workers"]
        busy = f"Room on one of the {n} workers of the cluster." if n > 1 else "Room on the cluster's one worker."
        starts = entry["starts"]
        is_running = bool(starts) and not starts[-1]["is_lost"]
        text = "" if is_running else busy if n else f"A worker: the cluster at {info.address} has none."
        self._waits.update(dict.fromkeys(info.runs, text))

    def _is_reachable(self, info: TaskInfo) -> bool:
        """Return True if a task is on this cluster; fail the runs of a detached one whose scheduler was replaced."""
        if info.key in self._tasks:
            return True
        if not info.is_detached or self._connection.is_ours:  # another program's, which writes what it sees
            return False
        if info.scheduler == self.scheduler_id():
            return True
        if info.address == self._connection.place:
            self.fail(info.runs, f"The Dask scheduler at {info.address} was started again, and has lost it.")
            self.release(info)
        return False

    def _on_lost_scheduler(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            with self._lock:
                if task.info.is_detached:  # a scheduler that responds again may still have it
                    self._tasks.pop(task.info.key, None)
                    continue
                self.fail(task.info.runs, f"The Dask scheduler at {task.info.address} was lost.")
                self.release(task.info)

    def _on_trouble(self, error: ServiceError) -> None:
        now = time.monotonic()
        self._retry_at = now + _RETRY_SECONDS  # an attempt to connect takes seconds
        if now - self._warned_at > _WARN_SECONDS:
            self._warned_at = now
            _log.warning("Runs are shown as they were last seen: %s", error)


def _retries(record: RunRecord) -> bool:
    job = record.job
    return may_retry("killed", len(record.attempts) + 1, retries=job.retries, retry_on=job.retry_on)
