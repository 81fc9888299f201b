"""How long a request to ``mnistkit serve`` takes, next to the prediction alone in Python; and with slow clients beside.

The server is a process of its own, the client this one, on the same machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import urllib3
from harness import Result, compare
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer

__all__ = ["results"]

N_SLOW_CONNECTIONS = 40
SLOW_REQUEST = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"


def results(*, quick: bool) -> Iterator[Result]:
    """Requests of one row and of 100, against Python's own predictions; then one row beside 40 slow connections."""
    n = 3 if quick else 9
    repeats = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer.local(data="digits", home=folder)
        trainer.register(trainer.train(LogisticRegression(C=2, tol=1e-3)), "sklearn_mnist")
        model = trainer.load("sklearn_mnist")
        X = trainer.dataset().test.X()
        with served(Path(folder)) as url, urllib3.PoolManager() as http:

            def request(rows: int) -> None:
                body = json.dumps({"data": X[:rows].tolist()}).encode()
                headers = {"Content-Type": "application/json"}
                for _ in range(repeats):
                    response = http.request("POST", f"{url}/score", body=body, headers=headers)
                    if len(response.json()) != rows:
                        raise SystemExit(response.data.decode())

            def predict(rows: int) -> None:
                for _ in range(repeats):
                    model.predict(X[:rows])

            for rows in (1, 100):
                what = f"serving: {repeats} times {rows} row{'s' if rows > 1 else ''}"
                through = (f"POST /score of {rows}", lambda rows=rows: request(rows))
                yield compare(what, ("model.predict", lambda rows=rows: predict(rows)), through, n=n)
            with slow_connections(url):
                beside = (f"beside {N_SLOW_CONNECTIONS} slow connections", lambda: request(1))
                yield compare(f"serving: {repeats} times 1 row", ("model.predict", lambda: predict(1)), beside, n=n)


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Run the server as a process, and yield its address."""
    command = [sys.executable, "-m", "mnistkit", "serve", "sklearn_mnist", "--port", "0", "--request-seconds", "300"]
    environment = {**os.environ, "MNISTKIT_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.terminate()
        process.wait()


@contextmanager
def slow_connections(url: str) -> Iterator[None]:
    """Hold connections that never finish their request."""
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(N_SLOW_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(SLOW_REQUEST)
        yield
