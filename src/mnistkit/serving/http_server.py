"""The HTTP server: waitress, with a deadline for each request and an orderly end.

waitress reads requests in one thread without blocking and hands over complete ones, so slow clients hold nobody up. By
itself it closes a connection only when nothing arrives at all, so a client that sends a byte now and then could hold
one without end: here the whole request has a deadline.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from mnistkit.errors import ServiceError
from mnistkit.serving.limits import ServerLimits

__all__ = ["HttpServer"]

_SPARE_THREADS = 4
_LOOP_SECONDS = 1.0
_DRAIN_STEP_SECONDS = 0.05

_queue_log = logging.getLogger(f"{__name__}.queue")
_queue_log.setLevel(logging.ERROR)  # waitress warns of each request that waits; here the limits decide


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Answers a request that waitress refuses, such as one that is too large, in JSON as all errors are."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps({"error": f"{error.reason}: {error.body}"[:300], "status": error.code}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that notes when the request began that it is reading."""

    error_task_class = _JsonErrorTask
    request_began = 0.0

    def received(self, data: bytes) -> Any:
        if self.request is None:
            self.request_began = time.monotonic()
        return super().received(data)

    @property
    def is_busy(self) -> bool:
        """Return True if a request is being answered, or its answer being sent."""
        return bool(self.requests or self.total_outbufs_len)


class _Server(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        oldest = time.monotonic() - self.adj.channel_timeout
        for channel in list(self.active_channels.values()):
            if channel.request is not None and channel.request_began < oldest:
                channel.will_close = True


class HttpServer:
    """Serves a WSGI application from a thread of its own.

    Attributes:
        port: Where it listens; the system's choice if 0 was given.

    Raises:
        ServiceError: It can't listen there.
    """

    def __init__(self, app: Callable[..., Any], *, host: str, port: int, limits: ServerLimits) -> None:
        self._limits = limits
        self._map: dict[int, Any] = {}
        self._threads = ThreadedTaskDispatcher()  # given none, waitress starts its own before it has the port
        self._threads.queue_logger = _queue_log
        try:
            settings = Adjustments(
                host=host,
                port=port,
                max_request_body_size=limits.max_body_bytes,
                channel_timeout=limits.request_seconds,
                cleanup_interval=1,
                connection_limit=limits.max_connections,
                asyncore_use_poll=True,
                ident="mnistkit",
                log_socket_errors=False,
            )
            self._server = _Server(app, map=self._map, dispatcher=self._threads, adj=settings)
        except BaseException as error:
            wasyncore.close_all(self._map)
            if isinstance(error, (OSError, ValueError)):
                raise ServiceError(
                    f"Can't listen on {host}, port {port}: {error}. Choose another with --port."
                ) from error
            raise
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mnistkit-http", daemon=True)
        self.port = int(self._server.effective_port)

    def start(self) -> None:
        """Begin to serve."""
        self._threads.set_thread_count(self._limits.workers + self._limits.max_queue + _SPARE_THREADS)
        self._thread.start()

    def close(self) -> None:
        """Refuse new connections, finish the requests that are being answered, and return; idempotent."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._server.pull_trigger()
        if self._thread.ident is None:  # never started
            wasyncore.close_all(self._map)
        else:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                wasyncore.loop(timeout=_LOOP_SECONDS, use_poll=True, map=self._map, count=1)
            self._drain()
        finally:
            self._threads.shutdown(cancel_pending=True, timeout=1)
            wasyncore.close_all(self._map)

    def _drain(self) -> None:
        # The listening socket alone is closed. The trigger stays: by it the threads wake this loop to send answers.
        wasyncore.dispatcher.close(self._server)
        end = time.monotonic() + self._limits.drain_seconds
        while time.monotonic() < end:
            wasyncore.loop(timeout=_DRAIN_STEP_SECONDS, use_poll=True, map=self._map, count=1)
            if not any(channel.is_busy for channel in list(self._server.active_channels.values())):
                return
