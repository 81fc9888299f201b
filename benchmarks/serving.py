"""How long a request to ``mnistkit serve`` takes, next to Python's prediction alone and to ``mlflow models serve``.

The server is a process of its own, the client this one, on the same machine. MLflow is compared with where it is
installed: mlflow, or mlflow-skinny with fastapi and uvicorn.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import urllib3
from harness import Result, compare
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer

__all__ = ["results"]

N_SLOW_CONNECTIONS = 40
STARTING_STATUS = 400  # and above: it does not serve yet
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
            if importlib.util.find_spec("mlflow") is not None:
                with served_by_mlflow(Path(folder), model) as theirs:

                    def invoke(at: str) -> None:
                        body = json.dumps({"inputs": X[:1].tolist()}).encode()
                        for _ in range(repeats):
                            http.request("POST", at, body=body, headers={"Content-Type": "application/json"}).json()

                    yield compare(
                        f"serving: {repeats} times 1 row",
                        ("mlflow models serve, /invocations", lambda: invoke(f"{theirs}/invocations")),
                        ("mnistkit serve, /invocations", lambda: invoke(f"{url}/invocations")),
                        n=n,
                    )
                    yield latency(f"serving: 1 row at half of the load, p99 of {repeats}", url, X, repeats)
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
def served_by_mlflow(folder: Path, model: object) -> Iterator[str]:
    """Serve the same classifier by MLflow's own command, and yield its address once it answers."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(model, folder / "mlflow-model", serialization_format="skops")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--host", "127.0.0.1", "--port", str(port), "--env-manager", "local"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "mlflow-model"), *where]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # it starts uvicorn by name
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "PATH": path}, start_new_session=True, **silent)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(urllib3.exceptions.HTTPError):
                if urllib3.request("GET", f"{url}/ping", retries=False, timeout=1.0).status < STARTING_STATUS:
                    break
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def latency(what: str, url: str, X: np.ndarray, repeats: int) -> Result:
    """Send requests of one row at half the rate that the server can take; the time is the 99th percentile of one."""
    body = json.dumps({"data": X[:1].tolist()}).encode()
    with urllib3.PoolManager() as http:

        def request() -> float:
            start = time.perf_counter()
            http.request("POST", f"{url}/score", body=body, headers={"Content-Type": "application/json"}).json()
            return time.perf_counter() - start

        pause = sorted(request() for _ in range(repeats))[repeats // 2]  # as long as one takes: half of the load
        found = []
        for _ in range(repeats):
            found.append(request())
            time.sleep(pause)
    slowest = sorted(found)[-max(1, repeats // 100)]
    return Result(what=what, a="", b="POST /score of 1", a_seconds=(), b_seconds=(slowest,))


@contextmanager
def slow_connections(url: str) -> Iterator[None]:
    """Hold connections that never finish their request."""
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(N_SLOW_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(SLOW_REQUEST)
        yield
