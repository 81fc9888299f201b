"""The dispatcher: a process that starts the runs which another process submits, and ends them when that one exits.

A supervisor is forked from it for each group of runs, so what takes long to import is imported once. It reads JSON
objects, one a line, from its standard input:

- ``{"submit": <Order>}``: runs, whose folders are there, to be started when it is their turn;
- ``{"data": {"run": ID, "folder": <DataFolder>}}``: the data of the order whose first run that is has come;
- ``{"fail": {"run": ID, "error": TEXT, "traceback": TEXT}}``: it can't be had;
- ``{"end": {"run": ID}}``: the order whose first run that is belongs to nobody any more: its runs are ended;
- ``{"log": PATH}``: its own problems are written there from now on.

The end of its input is the end of the program that submitted the runs: those that weren't detached are ended. A pipe
says so however that program dies, and it needs no file that a crash would leave behind.

To another pipe it writes ``{"run": ID, "error": TEXT}`` for each run whose end can't be recorded, as on a full disk.
Such an end is recorded when there is room again, at the latest when the dispatcher exits; if there is none by then, the
record's owner is gone, which every reader takes for a failure. It also writes ``{"done": ID}`` once nothing is left of
an order that says ``reports``: its runs have ended, and so have their processes. Of another order it writes ``{"over":
ID}`` then, if that can be done at once: a program that waits needn't read records until it is woken.
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
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.child import import_train
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.supervisor import Limits, supervise
from mnistkit.runs.record import RunState
from mnistkit.utils.clock import utc_now
from mnistkit.utils.regular import open_below
from mnistkit.utils.serialization import from_json

__all__ = ["Dispatcher", "Order"]

_PAUSE_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_ABANDONED_ERROR = "The program that submitted it ended before it did."

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
        train: Carries out a training job, as ``"module:function"``.
        threads: How many threads each of its processes may have; None for an equal share of the cores.
        reports: Whether to report when nothing is left of it.
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
    train: str
    threads: int | None = None
    reports: bool = False


@define
class _Task:
    """An order that is being carried out, with the runs that are left of it: not those canceled while queued."""

    order: Order
    store: RunStore
    runs: list[str]
    data: DataFolder | None = None
    is_preparing: bool = False
    pid: int | None = None
    exit: int | None = None  # a descriptor that can be read once the process has exited


@frozen
class _Ending:
    """How a run ended, to be recorded."""

    store: RunStore
    run_id: str
    error: str
    traceback: str | None

    def record(self) -> None:
        """Write it into the run's record, unless that has an end.

        Raises:
            OSError: It can't be written.
        """
        if self.store.state(self.run_id).is_terminal:
            return
        if self.store.is_cancel_requested(self.run_id):
            self.store.advance(self.run_id, RunState.CANCELED)
        else:
            self.store.advance(self.run_id, RunState.FAILED, error=self.error, traceback=self.traceback)


class Dispatcher:
    """Reads orders from a file descriptor, and carries them out."""

    def __init__(self, orders: int, reports: int) -> None:
        """Make one; nothing is read yet.

        Args:
            orders: The file descriptor to read orders from.
            reports: The file descriptor to write to which runs ended without a record of that; not inherited by jobs.
        """
        self._orders = orders
        self._reports = reports
        self._unrecorded: list[_Ending] = []
        self._retry_at = 0.0
        self._text = b""
        self._tasks: dict[str, _Task] = {}
        self._statuses: dict[int, int] = {}
        self._submitter = os.getppid()
        self._is_connected = True
        self._is_terminated = False

    def run(self) -> None:
        """Carry out orders until the input ends and every run has finished. SIGTERM ends all runs."""
        processes.adopt_orphans()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        # Ctrl-C and a closed terminal are for the program that submitted the runs, which cancels them or is gone.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while self._is_connected or self._tasks:
            self._read_orders(_PAUSE_SECONDS if self._tasks else 1.0)
            self._reap()
            if not self._is_connected:
                self._abandon()
            self._wake()
            self._drop_canceled()
            self._start()
            self._retry()
        self._retry(is_last=True)

    def _on_sigterm(self, *_: object) -> None:
        self._is_connected, self._is_terminated = False, True

    def _read_orders(self, timeout: float) -> None:
        if not self._is_connected:
            time.sleep(timeout)
            return
        # A process that was forked from the submitter may hold the pipe open for longer than the submitter lives. The
        # order matters: what the submitter wrote before it exited is in the pipe by now, and is read below.
        is_orphan = os.getppid() != self._submitter
        exits = [task.exit for task in self._tasks.values() if task.exit is not None]
        readable = select.select([self._orders, *exits], [], [], 0 if is_orphan else timeout)[0]
        has_come = self._orders in readable
        data = os.read(self._orders, 1 << 16) if has_come else b""
        if not data and (has_come or is_orphan):
            self._is_connected = False
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            self._handle(json.loads(line))

    def _handle(self, message: dict[str, Any]) -> None:
        ((verb, content),) = message.items()
        if verb == "log":
            _write_problems_to(Path(content))
            return
        if verb == "submit":
            order = from_json(json.dumps(content), Order, "an order")
            self._tasks[order.runs[0]] = _Task(
                order, RunStore(Path(order.root), lambda: utc_now(order.variables)), list(order.runs)
            )
            return
        task = self._tasks.get(content["run"])
        if task is None:  # all its runs were canceled before the data came
            return
        if verb == "end":
            self._abandon_task(task)
        elif verb == "data":
            task.data = DataFolder(**content["folder"])
        elif not task.pid:
            self._end(task, content["error"], content["traceback"])

    def _reap(self) -> None:
        self._statuses.update(processes.reap())
        # One at a time: while strays of one are ended, other supervisors may exit, and their statuses come meanwhile.
        while task := next((task for task in self._tasks.values() if task.pid in self._statuses), None):
            status = self._statuses.pop(task.pid or 0)
            if status != 0:
                self._end_strays()
            how = "was killed" if os.WIFSIGNALED(status) else "failed, and wrote why into .worker.log"
            self._end(task, f"Its supervisor process {how}.")
        self._statuses.clear()  # the others are orphans, whose process ids may be used again

    def _end_strays(self) -> None:
        """End the processes that a supervisor has left behind when it was killed: as orphans they are children now."""
        import psutil

        known = {task.pid for task in self._tasks.values()}

        def strays() -> list[psutil.Process]:
            self._statuses.update(processes.reap())
            # Also those that have just ended: while they lived, their children weren't this process's yet.
            return [child for child in psutil.Process().children() if child.pid not in known]

        with contextlib.suppress(psutil.Error):
            processes.end_processes(strays, 0)

    def _wake(self) -> None:
        """Continue supervisors that a job has stopped."""
        for task in self._tasks.values():
            if task.pid is not None:
                processes.wake(task.pid)

    def _abandon(self) -> None:
        for task in list(self._tasks.values()):
            has_all = task.pid is not None or task.data is not None
            if task.order.detach and has_all and not self._is_terminated:
                continue
            self._abandon_task(task)

    def _abandon_task(self, task: _Task) -> None:
        if task.pid is None:
            self._end(task, _ABANDONED_ERROR)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(task.pid, signal.SIGTERM)

    def _drop_canceled(self) -> None:
        for task in [task for task in self._tasks.values() if task.pid is None]:
            with self._failing_alone(task):
                for run_id in [run_id for run_id in task.runs if task.store.is_cancel_requested(run_id)]:
                    task.store.advance(run_id, RunState.CANCELED)
                    task.runs.remove(run_id)
                if not task.runs:
                    self._remove(task)

    def _start(self) -> None:
        """Start the tasks that may run now, in the order of submission."""
        for task in [task for task in self._tasks.values() if task.pid is None]:
            group = [each for each in self._tasks.values() if each.order.group == task.order.group]
            running = [each for each in group if each.pid is not None or each.is_preparing]
            if not task.is_preparing and len(running) >= task.order.parallel:
                continue
            with self._failing_alone(task):
                if not task.is_preparing:
                    task.store.advance(task.runs[0], RunState.PREPARING)
                    task.is_preparing = True
                if task.data is not None:
                    self._fork(task, task.order.threads or _cores() // min(task.order.parallel, len(group)))

    def _fork(self, task: _Task, threads: int) -> None:
        data = task.data
        assert data is not None  # noqa: S101 - the caller looked
        limits = Limits(grace=task.order.grace, memory=task.order.memory, threads=max(threads, 1))

        def watch() -> None:
            os.close(self._reports)
            os.environ.clear()
            os.environ.update(task.order.variables)
            sys.path[:] = task.order.path
            supervise(task.store, task.runs, data, limits, import_train(task.order.train), wakes_parent=True)

        task.pid = processes.fork_session(watch, outlives=True)
        task.exit = os.pidfd_open(task.pid) if hasattr(os, "pidfd_open") else None  # else it is looked for in each turn

    @contextlib.contextmanager
    def _failing_alone(self, task: _Task) -> Iterator[None]:
        """Fail the task, and no other one, if its files can't be read or written, or no process can be started."""
        try:
            yield
        except (OSError, MnistkitError) as error:
            self._end(task, f"{type(error).__name__}: {error}")

    def _end(self, task: _Task, error: str, traceback: str | None = None) -> None:
        """Record the end of each run of a task that hasn't finished, or report what can't be recorded."""
        for run_id in task.runs:
            ending = _Ending(task.store, run_id, error, traceback)
            try:
                ending.record()
            except (OSError, MnistkitError) as problem:
                self._unrecorded.append(ending)
                self._report(run=run_id, error=f"{error.rstrip('.')}. That can't be recorded: {problem}. Make room.")
        self._remove(task)

    def _remove(self, task: _Task) -> None:
        del self._tasks[task.order.runs[0]]
        if task.exit is not None:
            os.close(task.exit)
        if task.order.reports:
            self._report(done=task.order.runs[0])
        elif select.select([], [self._reports], [], 0)[1]:  # full if the program doesn't read: it doesn't wait then
            self._report(over=task.order.runs[0])

    def _report(self, **message: str) -> None:
        """Send the program that waits for runs what their records don't have."""
        with contextlib.suppress(OSError):  # it may have ended
            os.write(self._reports, json.dumps(message).encode() + b"\n")

    def _retry(self, *, is_last: bool = False) -> None:
        """Record, once there is room again, what couldn't be recorded."""
        if not self._unrecorded or (time.monotonic() < self._retry_at and not is_last):
            return
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        for ending in list(self._unrecorded):
            try:
                ending.record()
            except OSError:  # there is no room yet
                continue
            except MnistkitError:
                _log.exception("could not keep the record of run %s", ending.run_id)
            self._unrecorded.remove(ending)


def _write_problems_to(path: Path) -> None:
    """Append to a file what this process and its runs print of their own accord."""
    with contextlib.suppress(OSError):  # else it stays where it was
        log = open_below(path.parent, path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
