"""Commands in sessions of their own, ended together with their descendants."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = ["Group", "start"]

_logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.02
_KILL_SECONDS = 10.0
_GROUP_VARIABLE = "MNISTKIT_EMULATOR_GROUP"
_OWNER_VARIABLE = "MNISTKIT_EMULATOR_OWNER"


def start(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path) -> Group:
    """Run a command in a session of its own.

    It ends with this process at the latest, however this one ends.

    Args:
        command: The program and its arguments.
        cwd: Its working folder.
        env: All of its environment; two variables are added, by which its descendants are known.
        output: The file that its standard output and error are appended to.

    Raises:
        OSError: It can't be started.
    """
    mark = uuid.uuid4().hex
    marks = {_GROUP_VARIABLE: mark, _OWNER_VARIABLE: _watched()}
    with output.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603 - to run the command is what this is for
            list(command),
            cwd=cwd,
            env={**env, **marks},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Group(process, mark)


class Group:
    """A command's process and its descendants, also those in sessions of their own."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        self._process = process
        self._mark = mark
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the command's exit code, negative for a signal; None if it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace: float = 0.0) -> int | None:
        """End the command and its descendants; idempotent.

        Args:
            grace: Seconds that they have between SIGTERM and SIGKILL.

        Returns:
            The command's exit code; None if even SIGKILL didn't end it.
        """
        with self._lock:
            if grace > 0 and self._signal(signal.SIGTERM):
                end = time.monotonic() + grace
                while self._members() and time.monotonic() < end:
                    self.wait(_POLL_SECONDS)
            end = time.monotonic() + _KILL_SECONDS
            while self._signal(signal.SIGKILL) and time.monotonic() < end:
                self.wait(_POLL_SECONDS)
            code = self.wait(max(end - time.monotonic(), 0))  # it is gone, but may not have been waited for yet
        if code is None:
            _logger.warning("Process %d doesn't end.", self.pid)
        return code

    def _members(self) -> list[psutil.Process]:
        import psutil

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if self._owns(process) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _owns(self, process: psutil.Process) -> bool:
        import psutil

        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == self.pid:
                return True
        try:
            return process.environ().get(_GROUP_VARIABLE) == self._mark
        except (psutil.Error, OSError):
            return False

    def _signal(self, number: signal.Signals) -> bool:
        """Send a signal to all members; return True if there was any."""
        import psutil

        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)  # those that it starts meanwhile get it too
        members = self._members()
        for process in members:
            with contextlib.suppress(psutil.Error, OSError):
                process.send_signal(number)
                if number == signal.SIGTERM:
                    process.send_signal(signal.SIGCONT)  # one that is stopped can't end
        return bool(members)


@functools.cache
def _watched() -> str:
    """Return this process's mark; a watchdog ends all processes that carry it after this one."""
    mark = uuid.uuid4().hex
    watchdog = subprocess.Popen(  # noqa: S603 - our own module, in this interpreter
        [sys.executable, "-I", str(Path(__file__).with_name("watchdog.py")), mark],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(_end_watchdog, watchdog)
    return mark


def _end_watchdog(watchdog: subprocess.Popen[bytes]) -> None:
    if watchdog.stdin is not None:
        watchdog.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        watchdog.wait(2 * _KILL_SECONDS)
