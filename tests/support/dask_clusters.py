"""Dask clusters of processes of their own, on loopback, whose workers can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from support.subprocesses import python_path

START_SECONDS = 60.0


class DaskCluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, *, options: tuple[str, ...] = (), protocol: str = "tcp", port: int = 0) -> None:
        """Start the scheduler; ``options`` are for it and its workers."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._options = options
        self._file = folder / f"scheduler-{port}.json"
        self._file.unlink(missing_ok=True)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", str(port), "--scheduler-file", str(self._file),
            "--no-dashboard", "--protocol", f"{protocol}://",
        )  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while not self._file.exists() or not self._file.read_text():
            assert time.monotonic() < end, self.output()
            time.sleep(0.05)
        self.address: str = json.loads(self._file.read_text())["address"]

    @property
    def alive(self) -> list[subprocess.Popen[bytes]]:
        """The workers that weren't killed."""
        return [worker for worker in self.workers if worker.poll() is None]

    def add_worker(self, variables: Mapping[str, str] | None = None, *, threads: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker, without a nanny that would start it again; it joins a moment later."""
        worker = self._start(
            "worker", self.address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny", "--host", "127.0.0.1",
            "--local-directory", str(self.folder / f"worker-{len(self.workers)}"), variables=variables,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def worker_of(self, host: str) -> subprocess.Popen[bytes]:
        """The worker that a run's record names."""
        (found,) = [
            worker
            for worker in self.alive
            if any(
                f":{connection.laddr.port})" in host
                for connection in psutil.Process(worker.pid).net_connections()
                if connection.status == "LISTEN"
            )
        ]
        return found

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker or the scheduler, which can do nothing about it."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def output(self) -> str:
        """What the programs wrote."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            process.terminate()
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()

    def _start(
        self, program: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{program}-{len(self.workers)}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments, *self._options],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": python_path(), **(variables or {})},
                start_new_session=True,
            )


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int = 2, **options: object) -> Iterator[DaskCluster]:
    """Start a cluster, and end it."""
    cluster = DaskCluster(folder, **options)  # type: ignore[arg-type]
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.stop()
