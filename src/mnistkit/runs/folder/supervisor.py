"""Carry out runs: their code in a child process, its output captured, its time limited, nothing of it left behind."""

from __future__ import annotations

import os
import select
import selectors
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from mnistkit.data.fetching import DataFolder
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.runs.folder import child, processes
from mnistkit.runs.folder.capped_log import CappedLog
from mnistkit.runs.folder.child import Limits, StatusPipe, Train
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.folder.scripts import collect
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState

__all__ = ["Limits", "supervise"]

_PAUSE_SECONDS = 0.05
_CHUNK_BYTES = 1 << 16
_MAX_PIPE_BYTES = 1 << 20  # Linux gives 64 KiB, and at most this much to a user who wants more


def supervise(
    store: RunStore,
    run_ids: Sequence[str],
    data: DataFolder,
    limits: Limits,
    train: Train,
    *,
    wakes_parent: bool = False,
) -> None:
    """Bring runs to their ends, one after another, with as many attempts as their jobs allow.

    Call it in the main thread of a process that does nothing else: it takes over the runs, collects every child, and
    handles SIGTERM. It ends the runs when its parent ends, and when it gets SIGTERM. The code of several runs shares a
    process, as long as that lives. A file ``cancel`` in a run's folder cancels that run.

    Args:
        store: Holds the run folders.
        run_ids: Runs that haven't ended. Several are training jobs of one group.
        data: The data of all of them.
        limits: What each of them may use.
        train: Carries out a training job: `mnistkit.training.train`.
        wakes_parent: Whether to continue the parent when it is stopped: not for a parent that a user may stop.
    """
    processes.adopt_orphans()
    runs = [RunLifecycle(store, run_id) for run_id in run_ids]
    parent = _ParentWatch(wakes_parent=wakes_parent)
    while left := [run for run in runs if not run.is_over]:
        _Session(left, data, limits, parent, train).run()


class _ParentWatch:
    """Watches for SIGTERM and for the parent's exit.

    A supervisor must outlive its parent by the moment that it takes to end the job and to record why. So it isn't
    killed with the parent as its own child is, but compares the parent's process id on every look, as any system can.
    """

    def __init__(self, *, wakes_parent: bool) -> None:
        self._parent = os.getppid()
        self._wakes_parent = wakes_parent
        self._is_terminated = False
        signal.signal(signal.SIGTERM, self._on_sigterm)

    @property
    def is_gone(self) -> bool:
        if self._is_terminated or os.getppid() != self._parent:
            return True
        # A job can stop (SIGSTOP) any process of its user. The dispatcher and its supervisors wake each other, so that
        # timeouts and cancellations work as long as one of them runs.
        if self._wakes_parent:
            processes.wake(self._parent)
        return False

    def _on_sigterm(self, *_: object) -> None:
        self._is_terminated = True


class _Session:
    """One child process that makes one attempt at each of some runs.

    The child starts a run only when this process has sent it the run's number, and then waits for the next number. So
    there is one run at any time to which an exit code, a timeout or a cancellation can belong: once this process has
    decided to end the child it sends no more numbers, and whatever messages are still in the pipes are those of the run
    that the decision was made for. The runs that weren't started get another session.
    """

    def __init__(
        self, runs: Sequence[RunLifecycle], data: DataFolder, limits: Limits, parent: _ParentWatch, train: Train
    ) -> None:
        self._runs = list(runs)
        self._run = self._runs[0]
        self._waiting = self._runs[1:]
        self._data = data
        self._limits = limits
        self._parent = parent
        self._train = train
        self._selector = selectors.DefaultSelector()
        self._log: CappedLog | None = None
        self._unparsed = b""
        self._is_ending = False
        self._status: int | None = None
        self._pid = 0
        self._commands = -1

    def run(self) -> None:
        """Run the child until it has exited, and record how the attempts ended."""
        try:
            self._begin(self._run)
            reason = "canceled" if self._run.is_canceled else "abandoned" if self._parent.is_gone else None
            if reason is None:
                reason = self._follow_child()
            self._conclude(reason)
        except OSError as error:
            if self._log is not None:
                self._log.finish()
            attempt = self._run.attempt(cause="error", error=f"{type(error).__name__}: {error}")
            self._run.fail(attempt, traceback=traceback.format_exc(), is_final=True)

    def _begin(self, run: RunLifecycle) -> None:
        """Make ``run`` the one that everything belongs to from now on."""
        self._run = run
        self._result: dict[str, Any] | None = None
        self._exit_by = float("inf")
        self._is_concluded = False
        self._log = CappedLog(run.log_file, within=run.folder)
        run.begin()
        if run.attempts > 1:
            self._log.write(f"--- attempt {run.attempts} ---\n".encode())
        self._deadline = time.monotonic() + run.job.timeout if run.job.timeout else None

    def _follow_child(self) -> str | None:
        try:
            self._start()
            return self._follow()
        finally:
            self._is_ending = True
            processes.end_processes(self._left, self._limits.grace, group=self._pid or None)
            self._pump(0)
            self._close()

    def _start(self) -> None:
        # Pipes, not files or signals: each end is closed by the system however a process dies, a reader is woken at
        # once, and what was written before a crash can still be read after it.
        self._output, output = self._pipe(self._write_log)
        _, status = self._pipe(self._on_status)
        commands, self._commands = os.pipe()
        body = child.body(self._runs, self._data, self._limits,
                          StatusPipe(status, commands, closing=self._commands), self._train)  # fmt: skip
        self._pid = processes.fork_session(body, output=output)
        for end in (output, status, commands):
            os.close(end)
        if hasattr(os, "pidfd_open"):
            # Wakes this process when the child exits. The end of the pipes doesn't tell: a process that the job started
            # may hold them open for longer. SIGCHLD would tell of every orphan that this process adopts.
            self._selector.register(os.pidfd_open(self._pid), selectors.EVENT_READ, None)
        if isinstance(self._run.job, ScriptJob):
            self._run.enter(RunState.RUNNING)

    def _follow(self) -> str | None:
        """Wait until the child exits, or must be ended; return why it must, for the run that is current then."""
        while True:
            self._pump(_PAUSE_SECONDS)
            self._reap()
            self._cancel_waiting()
            if self._status is not None or self._is_concluded or time.monotonic() >= self._exit_by:
                return None
            if self._result is not None:  # what comes from now on is too late to be why the run ended
                continue
            if self._run.is_canceled:
                return "canceled"
            if self._parent.is_gone:
                return "abandoned"
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return "timeout"

    def _conclude(self, reason: str | None) -> None:
        """Record how the attempt at the current run ended: by itself, or because it was ended for ``reason``."""
        run, job = self._run, self._run.job
        if self._is_concluded:
            return
        self._is_concluded = True
        if self._log is not None:
            self._log.finish()
        if isinstance(job, ScriptJob) and self._pid:
            run.enter(RunState.FINALIZING)
            collect(run.folder, run.log_file)
        ended_well = self._result == {} if isinstance(job, TrainingJob) else self._status == 0
        if ended_well and reason != "timeout":
            run.complete()
        elif reason == "canceled" or (self._result or {}).get("stopped"):
            run.cancel()
        elif reason == "abandoned":
            run.fail(run.attempt(cause="killed", error="The program that it belonged to ended first."), is_final=True)
        elif reason == "timeout":
            run.fail(run.attempt_by_timeout())
        elif self._result:
            attempt = run.attempt(cause="error", error=self._result["error"], exit_code=1)
            run.fail(attempt, traceback=self._result["traceback"])
        else:
            run.fail(run.attempt_by_exit(os.waitstatus_to_exitcode(self._status or 0)))

    def _left(self) -> list[Any]:
        """Return the processes of the job that are left; keep reading their output, or they might never end."""
        while True:
            self._pump(0)
            self._reap()
            left = processes.descendants()
            # A process that forks and exits in time is never in a list of processes. Its child is this one's child by
            # then, as this process adopts orphans, and that can be tested without a race.
            if left or not processes.has_children():
                return left

    def _reap(self) -> None:
        self._status = processes.reap().get(self._pid, self._status)

    def _write_log(self, data: bytes) -> None:
        if self._log is not None and not self._is_concluded:
            self._log.write(data)

    def _on_status(self, data: bytes) -> None:
        """Handle what the child reports, a JSON object a line."""
        *lines, self._unparsed = (self._unparsed + data).split(b"\n")
        for line in lines:
            self._on_message(StatusPipe.parsed(line))

    def _on_message(self, message: dict[str, Any]) -> None:
        if self._is_concluded:
            return
        if "state" in message:
            self._run.enter(RunState(message["state"]))
            return
        self._result = message
        self._exit_by = time.monotonic() + self._limits.grace
        if not self._is_ending:
            self._start_next()

    def _start_next(self) -> None:
        """Start the next run in the child, which waits for that; or let it exit if no run is left for it."""
        self._cancel_waiting()
        if not self._waiting or self._parent.is_gone:
            self._close_commands()
            return
        self._take_output()
        self._conclude(None)
        run = self._waiting[0]
        try:
            os.write(self._commands, b"%d\n" % self._runs.index(run))
        except BrokenPipeError:  # the child has just died, and not of a run that it never got
            return
        self._waiting.remove(run)
        self._begin(run)

    def _cancel_waiting(self) -> None:
        for run in [run for run in self._waiting if run.is_canceled]:
            run.cancel()
            self._waiting.remove(run)

    def _close_commands(self) -> None:
        if self._commands >= 0:
            os.close(self._commands)
        self._commands = -1

    def _pipe(self, take: Callable[[bytes], object]) -> tuple[int, int]:
        """Make a pipe of which ``take`` gets what comes out; return both ends."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._selector.register(reading, selectors.EVENT_READ, take)
        return reading, writing

    def _take_output(self) -> None:
        """Read all output that is in the pipe: it was written before the message that is being handled."""
        for _ in range(_MAX_PIPE_BYTES // _CHUNK_BYTES):  # no more: what a leftover process writes may never end
            if self._output not in self._selector.get_map() or not select.select([self._output], [], [], 0)[0]:
                return
            self._take(self._output)

    def _pump(self, timeout: float) -> None:
        """Handle what comes within ``timeout`` seconds; stop after a moment, however much comes."""
        end = time.monotonic() + _PAUSE_SECONDS
        while self._selector.get_map():
            ready = self._selector.select(timeout)
            for key, _ in ready:
                self._take(key.fd)
            if not ready or time.monotonic() >= end:
                return
            timeout = 0
        time.sleep(timeout)

    def _take(self, descriptor: int) -> None:
        if descriptor not in self._selector.get_map():
            return
        take = self._selector.get_key(descriptor).data
        try:
            data = os.read(descriptor, _CHUNK_BYTES) if take else b""
        except BlockingIOError:  # it was read since the selector looked
            return
        if data:
            take(data)
        else:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
        self._close_commands()
