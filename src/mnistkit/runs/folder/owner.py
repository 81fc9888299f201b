"""The owner of a run's record."""

from __future__ import annotations

import socket
import sys
from functools import cache
from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, lt

__all__ = ["ELSEWHERE", "Owner"]

_MAX_PID = 1 << 31

ELSEWHERE = "(elsewhere)"
"""The host of an owner that isn't a process; no host can have that name."""


@frozen(kw_only=True)
class Owner:
    """The owner of a run's record, which alone changes it: a process with what it starts, or something elsewhere.

    Attributes:
        host: The host of the process; `ELSEWHERE` for an owner that no process stands for, such as a task of a cluster.
            Host names don't tell hosts apart (containers share them), so that is never guessed.
        pid: The id of the process; 0 for an owner elsewhere.
        started: When the process started: on Linux in seconds since the system's boot, which doesn't change when
            somebody sets the clock; on other systems since 1970; 0 for an owner elsewhere.
        boot: The id of that boot; empty on other systems, and for an owner elsewhere.
    """

    host: str
    pid: int = field(validator=[ge(0), lt(_MAX_PID)])
    started: float
    boot: str = ""

    @classmethod
    def of(cls, pid: int) -> Owner:
        """Return the process of this host with that id as an owner."""
        return cls(host=socket.gethostname(), pid=pid, started=_start_of(pid), boot=_boot_id())

    @classmethod
    def elsewhere(cls) -> Owner:
        """Return an owner that no process of this host stands for: its backend alone decides when it is gone."""
        return cls(host=ELSEWHERE, pid=0, started=0.0)

    def is_gone(self) -> bool:
        """Return True if the process has surely ended; an owner elsewhere, or on another host, is never gone."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot_id():
            return True
        import psutil

        try:
            is_zombie = psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
            return is_zombie or abs(_start_of(self.pid) - self.started) > 1
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:  # another user's, of which nothing can be seen but that it is there
            return False


def _start_of(pid: int) -> float:
    import psutil

    # Linux keeps the ticks since the boot. psutil adds the time of the boot, which Linux takes from the clock of now.
    boot = psutil.boot_time() if sys.platform == "linux" else 0.0
    return float(psutil.Process(pid).create_time() - boot)


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
