"""The server itself: its limits, slow clients, the smoke test, its start and its end."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import MissingExtraError, ModelError, ModelNotFoundError, ServiceError, UsageError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.serving.admission import Admission
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.schema import RequestError
from mnistkit.serving.server import ModelServer
from support.serving import Client, Register, png, rows

N_SLOW = 40
SLOW_REQUEST = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@contextmanager
def slow_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent part of a request: half of them of the headers, half of the body."""
    with ExitStack() as stack:
        found = []
        for index in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.sendall(SLOW_REQUEST if index % 2 else SLOW_REQUEST[:40])
            found.append(connection)
        yield found


def is_closed(connection: socket.socket) -> bool:
    """The other side has closed the connection."""
    connection.settimeout(0.05)
    try:
        return connection.recv(1000) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_slow_connections_hold_nobody_up(registry: Any, register: Register, fitted: Any, images: Any) -> None:
    """Beside 40 slow connections a request is answered; each slow one is closed at the deadline, though it drips."""
    register(fitted)
    body = {"data": rows(images[:1]).tolist()}
    limits = ServerLimits(request_seconds=2.0)
    with ModelServer(registry, "digits", port=0, limits=limits) as server:
        client = Client(server.url)
        with slow_connections(int(server.url.rpartition(":")[2]), N_SLOW) as slow:
            for _ in range(20):
                began = time.monotonic()
                assert client.post("/score", body).status == 200
                assert time.monotonic() - began < 1.5
            left, end = slow, time.monotonic() + 20
            while left and time.monotonic() < end:
                for connection in left:
                    with suppress(OSError):
                        connection.sendall(b"a")
                left = [connection for connection in left if not is_closed(connection)]
            assert left == []


def test_a_full_queue_is_a_503(registry: FolderRegistry, register: Register, fitted: Any, images: Any) -> None:
    """With one request computing and one waiting, the next is refused at once and told when to come back."""
    register(fitted)
    limits = ServerLimits(workers=1, max_queue=1, queue_seconds=20)
    body = {"data": rows(images[:1]).tolist()}
    with ModelServer(registry, "digits", port=0, limits=limits) as server:
        admission: Admission = server._app.admission
        statuses: list[int] = []
        with admission.turn():  # as if a request were computing
            waiting = threading.Thread(target=lambda: statuses.append(Client(server.url).post("/score", body).status))
            waiting.start()
            while not admission.n_waiting:
                time.sleep(0.01)
            refused = Client(server.url).post("/score", body)
            assert (refused.status, refused.headers["Retry-After"], refused.json()["status"]) == (503, "1", 503)
            assert Client(server.url).get("/health").status == 200
            assert "mnistkit_waiting_requests 1" in Client(server.url).get("/metrics").data.decode()
        waiting.join()
        assert statuses == [200]


def test_waiting_has_an_end() -> None:
    """A request that waits too long for its turn is refused, and its place is free again."""
    admission = Admission(ServerLimits(workers=1, max_queue=1, queue_seconds=0.05))
    for _ in range(3):
        with admission.turn(), pytest.raises(RequestError, match="too long") as caught, admission.turn():
            pass
        assert caught.value.status == 503
        assert admission.n_waiting == 0


def test_other_limits(registry: FolderRegistry, register: Register, fitted: Any) -> None:
    """Rows, bytes and pixels have the limits that were given."""
    register(fitted)
    limits = ServerLimits(max_rows=2, max_body_bytes=5000, max_pixels=10)
    with ModelServer(registry, "digits", port=0, limits=limits) as server:
        client = Client(server.url)
        assert client.post("/score", {"data": [[0] * 64] * 2}).status == 200
        assert client.post("/score", {"data": [[0] * 64] * 3}).status == 413
        assert client.post("/score", b" " * 5001).status == 413
        assert client.post("/predict", png(np.eye(8, dtype=np.uint8)), "image/png").status == 413


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104 - refused
def test_others_need_a_token(registry: FolderRegistry, host: str) -> None:
    """An address that others can reach is refused without a token, before anything is loaded."""
    with pytest.raises(UsageError, match="token"):
        ModelServer(registry, "digits", host=host)
    ModelServer(registry, "digits", host=host, token="secret")


@pytest.mark.parametrize(
    "options", [{"port": 70_000}, {"port": -1}, {"poll_seconds": 0}, {"token": "a b"}, {"token": "é"}]
)
def test_impossible_options(registry: FolderRegistry, options: Any) -> None:
    """Options that can't be right are refused at once."""
    with pytest.raises(UsageError):
        ModelServer(registry, "digits", **options)


@pytest.mark.parametrize("name", ["max_rows", "workers", "request_seconds", "max_body_bytes", "queue_seconds"])
@pytest.mark.parametrize("value", [0, -1, True, "1", float("nan")])
def test_impossible_limits(name: str, value: Any) -> None:
    """A limit is a number above 0; the error names the field."""
    with pytest.raises(UsageError, match=name):
        ServerLimits(**{name: value})


def test_a_model_that_is_not_there(registry: FolderRegistry, register: Register, fitted: Any) -> None:
    """The start fails if there is no such model or alias."""
    register(fitted)
    for ref in ("nothing", "digits@champion", "digits:7"):
        with pytest.raises(ModelNotFoundError):
            ModelServer(registry, ref, port=0).start()


def test_a_port_that_is_taken(registry: FolderRegistry, register: Register, fitted: Any) -> None:
    """A port in use is an error that names it, and says what to do."""
    register(fitted)
    with ModelServer(registry, "digits", port=0) as server:
        port = int(server.url.rpartition(":")[2])
        n_threads = threading.active_count()
        with pytest.raises(ServiceError, match=f"port {port}.*--port"):
            ModelServer(registry, "digits", port=port).start()
        assert threading.active_count() == n_threads


def test_before_its_start(registry: FolderRegistry) -> None:
    """A server that isn't started has no address, and is closed without harm."""
    server = ModelServer(registry, "digits")
    with pytest.raises(UsageError, match="start"):
        _ = server.url
    server.close()
    server.close()


def test_a_missing_extra_is_named(
    registry: FolderRegistry, register: Register, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waitress the error names the extra to install."""
    register(fitted)
    monkeypatch.setitem(sys.modules, "waitress", None)
    monkeypatch.delitem(sys.modules, "mnistkit.serving.http_server", raising=False)
    with pytest.raises(MissingExtraError, match=r"mnistkit\[serve\]"):
        ModelServer(registry, "digits", port=0).start()


class Fickle(LogisticRegression):
    """Predicts as recorded at first, and then something else."""

    def predict(self, X: Any) -> Any:
        self.calls_ = getattr(self, "calls_", 0) + 1
        labels = super().predict(X)
        return labels if self.calls_ <= self.good_ else (labels + 1) % 10


def test_another_answer_through_http_fails_the_start(
    registry: FolderRegistry, fitted: Any, images: Any, tmp_path: Any
) -> None:
    """A model whose recorded probe comes back differently through HTTP isn't served, and nothing listens afterwards."""
    from mnistkit.models.persistence import save_model

    fickle = Fickle(tol=1e-3, max_iter=200).fit(rows(images), fitted.predict(rows(images)))
    fickle.good_ = 10**6
    save_model(fickle, tmp_path, format="joblib", probe=rows(images)[::100])
    import joblib

    fickle.calls_, fickle.good_ = 0, 1
    joblib.dump(fickle, tmp_path / "sklearn_mnist_model.pkl")
    registry.register("fickle", tmp_path, ModelInfo(format="joblib"))
    server = ModelServer(registry, "fickle", port=0, allow_pickle=True)
    with pytest.raises(ModelError, match="through HTTP the recorded probe"):
        server.start()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5)


def test_a_model_without_a_probe(registry: FolderRegistry, register: Register, fitted: Any) -> None:
    """Without a recorded probe the start compares one prediction through HTTP with Python's."""
    register(fitted, probe=False)
    with ModelServer(registry, "digits", port=0) as server:
        assert Client(server.url).get("/ready").status == 200


def test_the_trainer_serves(images: Any) -> None:
    """``trainer.serve`` returns a running server, which the end of its block closes."""
    from mnistkit.trainer import Trainer

    trainer = Trainer.local(data="digits")
    trainer.register(trainer.train(LogisticRegression(tol=0.1)), "digits")
    with trainer.serve("digits", port=0) as server:
        client = Client(server.url)
        X = trainer.dataset().test.X()[:20]
        assert client.post("/score", {"data": X.tolist()}).json() == trainer.load("digits").predict(X).tolist()
    assert server.wait(0)
    with pytest.raises(Exception, match="refused"):
        client.get("/health")
