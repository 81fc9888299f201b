"""Requests that wait are no warning: limits decide, and the standard error stays empty."""

from __future__ import annotations

import logging
import threading

import pytest

pytest.importorskip("waitress", reason="the extra 'serve' isn't installed")

from mnistkit.serving.http_server import HttpServer
from mnistkit.serving.limits import ServerLimits


class _Task:
    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def service(self) -> None:
        self._gate.wait(30)

    def cancel(self) -> None:
        self._gate.set()


def test_requests_that_wait_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """More requests than there are threads log no warning."""
    gate = threading.Event()
    server = HttpServer(lambda environ, start_response: [], host="127.0.0.1", port=0, limits=ServerLimits())
    server.start()
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(len(server._threads.threads) + 3):
                server._threads.add_task(_Task(gate))
    finally:
        gate.set()
        server.close()
    assert caplog.records == []
