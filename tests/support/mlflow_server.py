"""An MLflow server on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

_START_SECONDS = 60.0


class Server:
    """An ``mlflow server`` on loopback that can be stopped and started again."""

    def __init__(self, folder: Path, port: int, workers: int = 1) -> None:
        self.folder, self.port, self.workers = folder, port, workers
        self.uri = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        uri = f"sqlite:///{self.folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", uri, "--artifacts-destination", f"{self.folder}/artifacts"]
        command += ["--workers", str(self.workers)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urlopen(f"{self.uri}/health", timeout=1):  # noqa: S310 - on loopback
                return
            time.sleep(0.1)
        pytest.fail(f"the server didn't start: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End it and its workers."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 15)
            self.process.wait(20)
            self.process = None


def new_server(template: Path, folder: Path) -> Server:
    """A server, not started yet."""
    shutil.copyfile(template, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Server(folder, port)
