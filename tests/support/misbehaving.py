"""What jobs do that misbehave, and who is left of them. Needs nothing but Python: scripts copy it beside them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["FAULTS", "GENERATIONS", "MARK", "await_gone", "await_marked", "marked", "start_generations"]

MARK = "MNISTKIT_MARK"
"""The environment variable by which the processes of one test are found."""

GENERATIONS = 5
"""How many processes there are after `start_generations`, the one that calls it included."""


def start_generations() -> None:
    """Start a child, and one in a session of its own, and below each one that ignores SIGTERM; go on for ever."""
    if os.fork() == 0:
        os.setsid()
        _start_stubborn()
    elif os.fork() == 0:
        _start_stubborn()
    time.sleep(600)


def _start_stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(600)
    os._exit(0)


def fork_on() -> None:
    """Be gone, and yet go on as a child, again and again, sooner than anybody can look."""
    end = time.monotonic() + 60  # in case that nobody catches it
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)


def marked(mark: str) -> list[int]:
    """The ids of all processes that have ``mark`` in their environment, but for those that have ended."""
    wanted = f"{MARK}={mark}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def await_marked(mark: str, count: int, deadline: float = 60.0) -> list[int]:
    """Wait until at least ``count`` processes have the mark."""
    end = time.monotonic() + deadline
    while len(found := marked(mark)) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} processes came"
        time.sleep(0.02)
    return found


def await_gone(mark: str, deadline: float = 5.0) -> None:
    """Wait until no process has the mark; AssertionError if some have after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while left := marked(mark):
        assert time.monotonic() < end, f"{len(left)} processes are left after {deadline} s"
        time.sleep(0.02)


def _spin() -> None:
    while True:
        pass


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


FAULTS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "system-exit": lambda: sys.exit("leaving in a hurry"),
    "exhaust": lambda: bytearray(1 << 40),
    "spin": _spin,
    "stop": _stop,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda: os._exit(0),
}
"""What can go wrong, by name."""

if __name__ == "__main__":
    print("last words", flush=True)
    {"generations": start_generations, "fork-on": fork_on, **FAULTS}[sys.argv[1]]()
