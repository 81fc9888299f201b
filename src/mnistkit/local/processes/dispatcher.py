"""The process that runs the jobs of another one: starts what waits, and cleans up when either has gone.

It is forked from for every run, so what takes long to import is imported once. It is told what to do in JSON objects,
one a line, on its standard input:

- ``{"submit": <Order>}``: runs, whose folders are there, to be started when it is their turn;
- ``{"data": {"run": ID, "folder": <DataFolder>}}``: the data of the order whose first run that is has come;
- ``{"fail": {"run": ID, "error": TEXT, "traceback": TEXT}}``: it can't be had.

The end of its input is the end of the program that submitted the runs: those that weren't detached are ended.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, frozen

from mnistkit.data.fetching import DataFolder
from mnistkit.errors import MnistkitError
from mnistkit.local.processes import children as processes
from mnistkit.local.processes.supervisor import Limits, supervise
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.utils.serialization import from_json

__all__ = ["Dispatcher", "Order"]

_PAUSE = 0.05
_ABANDONED = "The program that submitted it ended before it did."

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Order:
    """Runs to start, one after another.

    Attributes:
        runs: Their ids.
        root: The folder that holds the run folders.
        group: The backend that it was submitted to, of which at most ``parallel`` run at a time.
        parallel: How many.
        detach: Whether it outlives the program that submitted it.
        grace: Seconds between SIGTERM and SIGKILL.
        memory: Bytes of address space that its processes may each have; None for no limit.
        variables: The environment variables of its processes.
        path: Where its processes look for modules.
    """

    runs: tuple[str, ...]
    root: str
    group: str
    parallel: int
    detach: bool
    grace: float
    memory: int | None
    variables: dict[str, str]
    path: tuple[str, ...]


@define
class _Task:
    """An order on its way: the runs that are left of it, not counting those canceled while they waited."""

    order: Order
    store: RunStore
    runs: list[str]
    data: DataFolder | None = None
    is_preparing: bool = False
    pid: int | None = None


class Dispatcher:
    """Takes orders from a file descriptor, and carries them out."""

    def __init__(self, orders: int) -> None:
        self._orders = orders
        self._text = b""
        self._tasks: dict[str, _Task] = {}
        self._submitter = os.getppid()
        self._is_connected = True
        self._is_dismissed = False

    def run(self) -> None:
        """Go on until nobody is left to give orders, and every run has ended. SIGTERM ends all runs."""
        processes.adopt_orphans()
        signal.signal(signal.SIGTERM, self._dismiss)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while self._is_connected or self._tasks:
            self._listen(_PAUSE if self._tasks else 1.0)
            self._reap()
            if not self._is_connected:
                self._abandon()
            self._drop_canceled()
            self._start()

    def _dismiss(self, *_: object) -> None:
        self._is_connected, self._is_dismissed = False, True

    def _listen(self, timeout: float) -> None:
        if not self._is_connected:
            time.sleep(timeout)
            return
        is_orphan = os.getppid() != self._submitter  # what it was told before is there all the same
        readable = select.select([self._orders], [], [], 0 if is_orphan else timeout)[0]
        data = os.read(self._orders, 1 << 16) if readable else b""
        if not data and (readable or is_orphan):
            self._is_connected = False
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, message: dict[str, Any]) -> None:
        ((verb, content),) = message.items()
        if verb == "submit":
            order = from_json(json.dumps(content), Order, "an order")
            self._tasks[order.runs[0]] = _Task(order, RunStore(Path(order.root)), list(order.runs))
            return
        task = self._tasks.get(content["run"])
        if task is None:  # canceled meanwhile
            return
        if verb == "data":
            task.data = DataFolder(**content["folder"])
        elif not task.pid:
            self._end(task, content["error"], content["traceback"])

    def _reap(self) -> None:
        ended = processes.reap()
        for task in [task for task in self._tasks.values() if task.pid in ended]:
            if ended[task.pid or 0] != 0:
                self._end_strays()
            self._end(task, "The process that watched over it was killed.")

    def _end_strays(self) -> None:
        """End what a process that watched over a run has left behind when it was killed."""
        import psutil

        known = {task.pid for task in self._tasks.values()}

        def strays() -> Iterator[psutil.Process]:
            processes.reap()
            for child in psutil.Process().children():
                if child.pid not in known and child.status() != psutil.STATUS_ZOMBIE:
                    yield child

        with contextlib.suppress(psutil.Error):
            processes.end_processes(strays, 0)

    def _abandon(self) -> None:
        for task in list(self._tasks.values()):
            has_all = task.pid is not None or task.data is not None
            if task.order.detach and has_all and not self._is_dismissed:
                continue
            if task.pid is None:
                self._end(task, _ABANDONED)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(task.pid, signal.SIGTERM)

    def _drop_canceled(self) -> None:
        for task in [task for task in self._tasks.values() if task.pid is None]:
            with self._answering_for(task):
                for run_id in [run_id for run_id in task.runs if task.store.is_asked_to_stop(run_id)]:
                    task.store.advance(run_id, RunState.CANCELED)
                    task.runs.remove(run_id)
                if not task.runs:
                    del self._tasks[task.order.runs[0]]

    def _start(self) -> None:
        """Start what may start, in the order of submission."""
        for task in [task for task in self._tasks.values() if task.pid is None]:
            group = [each for each in self._tasks.values() if each.order.group == task.order.group]
            going = [each for each in group if each.pid is not None or each.is_preparing]
            if not task.is_preparing and len(going) >= task.order.parallel:
                continue
            with self._answering_for(task):
                if not task.is_preparing:
                    task.store.advance(task.runs[0], RunState.PREPARING)
                    task.is_preparing = True
                if task.data is not None:
                    self._fork(task, threads=_cores() // min(task.order.parallel, len(group)))

    def _fork(self, task: _Task, threads: int) -> None:
        data = task.data
        assert data is not None  # noqa: S101 - the caller looked
        limits = Limits(grace=task.order.grace, memory=task.order.memory, threads=max(threads, 1))

        def watch() -> None:
            os.environ.clear()
            os.environ.update(task.order.variables)
            sys.path[:] = task.order.path
            supervise(task.store, task.runs, data, limits)

        task.pid = processes.fork_session(watch, outlives=True)

    @contextlib.contextmanager
    def _answering_for(self, task: _Task) -> Iterator[None]:
        """End the task, and not all others with it, if its files aren't to be had, or no process for it."""
        try:
            yield
        except (OSError, MnistkitError) as error:
            self._end(task, f"{type(error).__name__}: {error}")

    def _end(self, task: _Task, error: str, traceback: str | None = None) -> None:
        """End what hasn't ended of a task."""
        for run_id in task.runs:
            try:
                if task.store.state(run_id).is_terminal:
                    continue
                if task.store.is_asked_to_stop(run_id):
                    task.store.advance(run_id, RunState.CANCELED)
                else:
                    task.store.advance(run_id, RunState.FAILED, error=error, traceback=traceback)
            except (OSError, MnistkitError):
                _log.exception("could not keep the record of run %s", run_id)
        del self._tasks[task.order.runs[0]]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
