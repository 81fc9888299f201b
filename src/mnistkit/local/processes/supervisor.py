"""Brings runs to their end: their code in a child process, its output caught, its time limited, nothing of it left."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import select
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mnistkit.data.fetching import DataFolder, read_dataset
from mnistkit.estimators.warm_start import new_path
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.local.processes import children as processes
from mnistkit.local.scripts import collect, execute_script
from mnistkit.runs.context import FolderContext, Stopped, using_context
from mnistkit.runs.folder.capped_log import CappedLog
from mnistkit.runs.folder.lifecycle import Course
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.training import train
from mnistkit.utils.redaction import redacted

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import RegularizationPath

__all__ = ["Limits", "supervise"]

_PAUSE = 0.05
_CHUNK = 1 << 16


@frozen(kw_only=True)
class Limits:
    """What a job's process may use.

    Attributes:
        grace: Seconds between SIGTERM and SIGKILL.
        memory: Bytes of address space; None for no limit.
        threads: How many threads numeric libraries may use.
    """

    grace: float
    memory: int | None
    threads: int


def supervise(store: RunStore, run_ids: Sequence[str], data: DataFolder, limits: Limits) -> None:
    """Bring runs to their ends, one after another, with as many attempts as their jobs allow.

    For a process of its own, which owns the runs. It ends them when its parent ends, and when it gets SIGTERM. The code
    of several runs shares a process, as long as that lives.
    """
    processes.adopt_orphans()
    courses = [Course(store, run_id) for run_id in run_ids]
    guard = _Guard()
    while waiting := [course for course in courses if not course.is_over]:
        _Session(waiting, data, limits, guard).run()


class _Guard:
    """Knows whether whoever started this process still wants it."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._is_dismissed = False
        signal.signal(signal.SIGTERM, self._dismiss)

    @property
    def is_alone(self) -> bool:
        return self._is_dismissed or os.getppid() != self._parent

    def _dismiss(self, *_: object) -> None:
        self._is_dismissed = True


class _Session:
    """A child process that makes one attempt at each of some runs, and what it says."""

    def __init__(self, courses: Sequence[Course], data: DataFolder, limits: Limits, guard: _Guard) -> None:
        self._run, *self._waiting = self._courses = list(courses)
        self._data = data
        self._limits = limits
        self._guard = guard
        self._selector = selectors.DefaultSelector()
        self._news = b""
        self._result: dict[str, Any] | None = None
        self._status: int | None = None
        self._pid = 0

    def run(self) -> None:
        """Go on until the process has ended, and note how the attempts ended."""
        self._begin()
        reason: str | None = "canceled" if self._run.is_canceled else "alone" if self._guard.is_alone else None
        try:
            if reason is None:
                reason = self._follow_process()
        except OSError as error:
            self._log.finish()
            attempt = self._run.attempt(cause="error", error=f"{type(error).__name__}: {error}")
            self._run.fail(attempt, traceback=traceback.format_exc(), is_final=True)
        else:
            self._conclude(reason)

    def _begin(self) -> None:
        run = self._run
        self._result, self._deadline = None, None
        self._log = CappedLog(run.log_file)
        if run.is_over:  # canceled before it was its turn
            return
        run.begin()
        if run.attempts > 1:
            self._log.write(f"--- attempt {run.attempts} ---\n".encode())
        if run.job.timeout:
            self._deadline = time.monotonic() + run.job.timeout

    def _follow_process(self) -> str | None:
        try:
            self._start()
            return self._follow()
        finally:
            processes.end_processes(self._left, self._limits.grace, group=self._pid or None)
            self._pump(0)
            self._close()

    def _start(self) -> None:
        self._reading, output = self._pipe(self._write_log)
        _, voice = self._pipe(self._hear)
        body = _body(self._courses, self._data, self._limits, _Voice(voice))
        self._pid = processes.fork_session(body, output=output)
        for end in (output, voice):
            os.close(end)
        if hasattr(os, "pidfd_open"):  # wakes this process when that one has ended
            self._selector.register(os.pidfd_open(self._pid), selectors.EVENT_READ, None)
        if isinstance(self._run.job, ScriptJob):
            self._run.enter(RunState.RUNNING)

    def _follow(self) -> str | None:
        """Wait for the end of the process; says why if it has to be brought about."""
        while True:
            self._pump(_PAUSE)
            self._reap()
            for course in [course for course in self._waiting if not course.is_over and course.is_canceled]:
                course.cancel()
            if self._status is not None:
                return None
            if self._run.is_canceled and not self._run.is_over:
                return "canceled"
            if self._guard.is_alone:
                return "alone"
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return "timeout"

    def _conclude(self, reason: str | None) -> None:
        """Note how the attempt at the present run ended."""
        run, job = self._run, self._run.job
        self._log.finish()
        if run.is_over:
            return
        if isinstance(job, ScriptJob) and self._pid:
            run.enter(RunState.FINALIZING)
            collect(run.folder, run.log_file)
        ended_well = self._result == {} if isinstance(job, TrainingJob) else self._status == 0
        if ended_well and reason != "timeout":
            run.complete()
        elif reason == "canceled" or (self._result or {}).get("stopped"):
            run.cancel()
        elif reason == "alone":
            run.fail(run.attempt(cause="killed", error="The program that it belonged to ended first."), is_final=True)
        elif reason == "timeout":
            run.fail(run.attempt_by_timeout())
        elif self._result:
            attempt = run.attempt(cause="error", error=self._result["error"], exit_code=1)
            run.fail(attempt, traceback=self._result["traceback"])
        else:
            run.fail(run.attempt_by_exit(os.waitstatus_to_exitcode(self._status or 0)))

    def _left(self) -> list[Any]:
        """What is left of the job's processes; takes care meanwhile that none waits for its output to be read."""
        while True:
            self._pump(0)
            self._reap()
            left = processes.descendants()
            if left or not processes.has_children():  # one that goes on as its child may have escaped the look
                return left

    def _reap(self) -> None:
        self._status = processes.reap().get(self._pid, self._status)

    def _write_log(self, data: bytes) -> None:
        self._log.write(data)

    def _hear(self, data: bytes) -> None:
        """Act on what the training process tells, a JSON object a line."""
        *lines, self._news = (self._news + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "state" not in message:
                self._result = message
            elif message["state"] == "next":
                self._take_output()
                self._conclude(None)
                self._run = self._waiting.pop(0)
                self._begin()
            elif not self._run.is_over:
                self._run.enter(RunState(message["state"]))

    def _pipe(self, take: Callable[[bytes], object]) -> tuple[int, int]:
        """Both ends of a pipe of which ``take`` gets what comes out."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._selector.register(reading, selectors.EVENT_READ, take)
        return reading, writing

    def _take_output(self) -> None:
        """Take what the process wrote before it said what was just heard."""
        while self._reading in self._selector.get_map() and select.select([self._reading], [], [], 0)[0]:
            self._take(self._reading)

    def _pump(self, timeout: float) -> None:
        """Take what has come, or what comes within ``timeout`` seconds; for a moment at most, however much comes."""
        end = time.monotonic() + _PAUSE
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
            data = os.read(descriptor, _CHUNK) if take else b""
        except BlockingIOError:  # it was taken since somebody looked
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


class _Voice:
    """The training process's way to tell what it does."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, **message: object) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


def _body(courses: Sequence[Course], data: DataFolder, limits: Limits, voice: _Voice) -> Callable[[], None]:
    """What the child does."""

    def body() -> None:
        processes.limit_memory(limits.memory)
        run = courses[0]
        if isinstance(run.job, ScriptJob):
            execute_script(run.job, Path(data.path), run.folder, processes.thread_variables(limits.threads))
        processes.limit_threads(limits.threads)
        _train_all(courses, data, voice)

    return body


def _train_all(courses: Sequence[Course], data: DataFolder, voice: _Voice) -> None:
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("mnistkit.run")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path = new_path(len(courses))
    for i, course in enumerate(courses):
        if i:
            voice.tell(state="next")
        _train(course, data, voice, path)


def _train(course: Course, data: DataFolder, voice: _Voice, path: RegularizationPath | None) -> None:
    job, context = course.job, FolderContext(course.folder)
    assert isinstance(job, TrainingJob)  # noqa: S101 - no group holds a script
    if context.should_stop:
        voice.tell(stopped=True)
        return
    try:
        dataset = read_dataset(data)
        voice.tell(state=RunState.RUNNING.value)
        with using_context(context):
            train(job, dataset, context, path)
        voice.tell(state=RunState.FINALIZING.value)
    except Stopped:
        voice.tell(stopped=True)
    except BaseException as error:  # noqa: BLE001 - SystemExit in training is a failed run too
        text = redacted(traceback.format_exc())
        sys.stderr.write(text)
        voice.tell(error="".join(traceback.format_exception_only(error)).strip(), traceback=text)
    else:
        sys.stdout.flush()
        voice.tell()
