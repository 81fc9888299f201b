"""Dask clusters of processes of their own, and the memory that they take."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from attrs import frozen
from distributed import Client

__all__ = ["Cluster", "PeakMemory", "dask_cluster"]

_START_SECONDS = 60
_LOOK_SECONDS = 0.25


@frozen
class Cluster:
    """A scheduler and workers on loopback.

    Attributes:
        address: Of the scheduler.
        pids: Of all its processes.
    """

    address: str
    pids: Sequence[int]


@contextlib.contextmanager
def dask_cluster(folder: Path, n_workers: int = 2) -> Iterator[Cluster]:
    """Start a scheduler and workers of one thread each, with their files in ``folder``, and end them."""
    file = folder / "scheduler.json"
    common = ["--no-dashboard", "--scheduler-file", str(file)]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0"]]
    commands += [["worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]] * n_workers
    pids = []
    with contextlib.ExitStack() as stack:
        for program, *arguments in commands:
            command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments, *common]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            pids.append(process.pid)
            end = time.monotonic() + _START_SECONDS
            while not file.exists() and time.monotonic() < end:
                time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=_START_SECONDS)
            address = client.scheduler.address
        yield Cluster(address, pids)


class PeakMemory:
    """The most memory that this process and others took together, in a ``with`` block: what they share counts once."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._processes = [psutil.Process(), *map(psutil.Process, pids)]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.bytes = 0

    def __enter__(self) -> PeakMemory:  # noqa: PYI034 - typing.Self came with Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            self.bytes = max(self.bytes, sum(map(_memory, self._processes)))


def _memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    return 0
