"""Which requests are computed now, which wait, and which are refused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.schema import RequestError

__all__ = ["Admission"]


class Admission:
    """Lets a few requests compute at a time and a bounded number wait, so that a burst costs no memory.

    The server has a thread for each request that may compute or wait, and spare ones: a refusal is sent at once, and
    the routes that compute nothing never wait.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._slots = threading.BoundedSemaphore(limits.workers)
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def n_waiting(self) -> int:
        """Return how many requests wait."""
        return self._waiting

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it until the block ends.

        Raises:
            RequestError: 503: too many wait already, or it took too long.
        """
        if not self._slots.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._slots.release()

    def _wait(self) -> None:
        with self._lock:
            if self._waiting >= self._limits.max_queue:
                raise RequestError(503, "Too many requests wait already: try again later.")
            self._waiting += 1
        try:
            if not self._slots.acquire(timeout=self._limits.queue_seconds):
                raise RequestError(503, "The request waited too long for its turn: try again later.")
        finally:
            with self._lock:
                self._waiting -= 1
