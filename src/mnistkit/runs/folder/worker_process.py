"""The process that carries out runs for this one: started once, and sent orders."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

import attrs

from mnistkit.errors import StorageError
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.status import WORKER_LOG
from mnistkit.runs.folder.worker_start import start_process, taken_ahead
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.redaction import redacted
from mnistkit.utils.regular import open_below

__all__ = ["Worker"]

_MAX_REPORT_BYTES = 1 << 20
_EXIT_SECONDS = 1.0


class Worker:
    """The process that runs what this one submits; see `mnistkit.runs.folder.dispatcher`.

    Attributes:
        owner: That process.
        ended: Why runs ended whose end it couldn't record, by run id.
        done: The first runs of the orders that it has done, of those that are to be reported.
    """

    _shared: Worker | None = None
    _lock = threading.Lock()

    @classmethod
    def shared(cls, root: Path) -> Worker:
        """Return this process's worker, started if need be."""
        with cls._lock:
            if cls._shared is not None and not cls._shared.is_alive:
                cls._shared.close()
                cls._shared = None
            if cls._shared is None:
                cls._shared = cls(root)
            return cls._shared

    @classmethod
    def wait_for_shared(cls, seconds: float) -> None:
        """Return after so many seconds, or as soon as this process's worker, if it has one, has reported something."""
        if cls._shared is None:
            time.sleep(seconds)
        else:
            cls._shared.wait_for_report(seconds)

    @classmethod
    def close_shared(cls) -> None:
        """Close this process's worker, if it has one."""
        if cls._shared is not None:
            cls._shared.close()

    @classmethod
    def forget(cls) -> None:
        """Forget the worker, in a forked process: it is its parent's."""
        if cls._shared is not None:
            os.close(cls._shared._stdin.fileno())  # noqa: SLF001 - one of these
            cls._shared._reports.close()  # noqa: SLF001 - the same
            cls._shared = None
        cls._lock = threading.Lock()

    @classmethod
    def completed(cls, record: RunRecord) -> RunRecord:
        """Return the record of an unfinished run, with its end if the worker reports one that it can't record."""
        worker = cls._shared
        if worker is None:
            return record
        worker.read_reports()
        error = worker.ended.get(record.id)
        if error is None:
            return record
        return attrs.evolve(
            record, transitions=(*record.transitions, Transition(RunState.FAILED, utc_now())), error=redacted(error)
        )

    def __init__(self, root: Path) -> None:
        self.ended: dict[str, str] = {}
        self.done: set[str] = set()
        self._log = root / WORKER_LOG
        with _opened_log(self._log) as log:
            ahead = taken_ahead()
            self._process = start_process(log) if ahead is None else ahead.process
        self._early_errors = None if ahead is None else ahead.errors
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        assert self._process.stdout is not None  # noqa: S101 - the same
        self._stdin = self._process.stdin
        self._reports = self._process.stdout
        self._unparsed = b""
        self._reading = threading.Lock()
        os.set_blocking(self._reports.fileno(), False)
        self._sending = threading.Lock()
        self.owner = Owner.of(self._process.pid)
        if ahead is not None:
            with contextlib.suppress(StorageError):  # the first order finds that it has gone
                self.send(log=str(self._log))
        self._is_used = False

    @property
    def is_alive(self) -> bool:
        """True if the process hasn't exited."""
        return self._process.poll() is None

    def is_done(self, first: str) -> bool:
        """Return True, once, if nothing is left of the order with that first run; always if the process has gone."""
        is_alive = self.is_alive
        self.read_reports()
        if first not in self.done:
            return not is_alive
        self.done.discard(first)
        return True

    def read_reports(self) -> bool:
        """Read which runs ended without a record of that; also wake the worker, which a job may have stopped.

        Returns:
            True if there were reports, False if none had come or none can come.
        """
        if self._process.returncode is None:
            processes.wake(self._process.pid)
        with self._reading:
            try:
                data = os.read(self._reports.fileno(), _MAX_REPORT_BYTES)
            except (OSError, ValueError):  # nothing has come, or it is closed
                return False
            *lines, self._unparsed = (self._unparsed + data).split(b"\n")
            for report in map(json.loads, lines):
                if "done" in report:
                    self.done.add(report["done"])
                elif "error" in report:
                    self.ended[report["run"]] = report["error"]
            return bool(data)

    def wait_for_report(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as there is something to read for `read_reports`."""
        end = time.monotonic() + seconds
        try:
            if self.is_alive and select.select([self._reports], [], [], seconds)[0] and self.is_alive:
                return
        except (OSError, ValueError):  # it is closed, or its number is too high
            pass
        time.sleep(max(end - time.monotonic(), 0))

    def send(self, **message: object) -> None:
        """Send an order.

        Raises:
            StorageError: The worker has gone.
        """
        try:
            with self._sending:
                self._is_used = True
                self._stdin.write(json.dumps(message).encode() + b"\n")
                self._stdin.flush()
        except OSError as error:
            raise StorageError(f"The process that runs jobs (pid {self._process.pid}) has ended: {error}.") from error

    def close(self) -> None:
        """Send no more orders; the worker exits after its last run."""
        if not self._is_used:  # it may be importing for a while yet
            self._process.terminate()
        with contextlib.suppress(OSError):
            self._stdin.close()
        processes.wake(self._process.pid)
        try:
            self._wait_for_exit()
        except subprocess.TimeoutExpired:
            self._process.returncode = 0  # it outlives this process, as was asked for: no reason to warn
            return
        self.read_reports()  # the last ones: none can follow
        with self._reading:
            self._reports.close()
        self._close_log()

    def _wait_for_exit(self) -> None:
        """Wait a moment for the end of the process; reports come until then.

        Raises:
            subprocess.TimeoutExpired: It hasn't exited.
        """
        deadline = time.monotonic() + _EXIT_SECONDS
        with contextlib.suppress(OSError, ValueError):
            while (left := deadline - time.monotonic()) > 0:  # its end of the pipe is closed as it exits
                if select.select([self._reports], [], [], left)[0] and not self.read_reports():
                    break
        self._process.wait(max(deadline - time.monotonic(), 0))

    def _close_log(self) -> None:
        """Add to the log what was written before it was there; remove it if it is empty."""
        with contextlib.suppress(OSError, StorageError):
            early, self._early_errors = self._early_errors, None
            if early is not None:
                with early, _opened_log(self._log) as log:
                    early.seek(0)
                    log.write(early.read(_MAX_REPORT_BYTES))
            if not self._log.stat().st_size:
                self._log.unlink()


def _opened_log(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(open_below(path.parent, path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
    except OSError as error:
        raise StorageError(
            f"Can't write to {path}: {error.strerror or error}. Make room or make it writable."
        ) from error


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Worker.forget)
