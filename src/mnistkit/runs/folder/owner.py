"""The owner of a run's record."""

from __future__ import annotations

import socket

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
        started: When the process started, seconds since 1970; 0 for an owner elsewhere.
    """

    host: str
    pid: int = field(validator=[ge(0), lt(_MAX_PID)])
    started: float

    @classmethod
    def of(cls, pid: int) -> Owner:
        """Return the process of this host with that id as an owner."""
        import psutil

        return cls(host=socket.gethostname(), pid=pid, started=psutil.Process(pid).create_time())

    @classmethod
    def elsewhere(cls) -> Owner:
        """Return an owner that no process of this host stands for: its backend alone decides when it is gone."""
        return cls(host=ELSEWHERE, pid=0, started=0.0)

    def is_gone(self) -> bool:
        """Return True if the process has surely ended; an owner elsewhere, or on another host, is never gone."""
        if self.host != socket.gethostname():
            return False
        import psutil

        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True
