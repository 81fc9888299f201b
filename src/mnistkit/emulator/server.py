"""The socket: HTTP/1.1 on loopback, and a proxy that answers for Azure's hosts itself, over TLS.

Nothing is ever passed on: a host that isn't on the allow-list is refused.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import h11

from mnistkit.emulator.authority import Authority
from mnistkit.emulator.conversation import Conversation
from mnistkit.emulator.routing import MAX_FILE_BYTES, Refusal, Request, Response

__all__ = ["LOOPBACK", "Application", "ConnectionCut", "Server"]

LOOPBACK = "127.0.0.1"
_OWN_NAMES = {LOOPBACK, "localhost"}
_HTTPS_PORT = "443"
_BACKLOG_SIZE = 1024
_IDLE_SECONDS = 300.0
_STOP_SECONDS = 2.0
_HANDSHAKE_SECONDS = 30.0
_RETRY_SECONDS = 0.1
_logger = logging.getLogger(__name__)


class ConnectionCut(Exception):  # noqa: N818 - it is an answer, not an error
    """A request's connection is cut in place of a response."""


class Application(Protocol):
    """The emulator as a server calls it, from many threads."""

    def admit(self, request: Request) -> int:
        """Return how many bytes a request's body may have, before any of it is read.

        Raises:
            Refusal: None: the request is refused.
        """

    def answer(self, request: Request) -> Response:
        """Return the response to a request.

        Raises:
            ConnectionCut: It gets none.
        """

    def refuse(self, target: str, reason: str) -> None:
        """Note a request to a host that the emulator doesn't stand in for."""


class Server:
    """Accepts connections, a thread each, and has requests answered.

    Args:
        application: Answers them.
        authority: For the certificates, and for the hosts that it stands in for.
        uploads: The folder for large bodies while they are handled.
        port: On loopback; 0 for a free one.
    """

    def __init__(self, application: Application, authority: Authority, uploads: Path, port: int = 0) -> None:
        self._application = application
        self._authority = authority
        self._uploads = uploads
        self._listener = socket.create_server((LOOPBACK, port), backlog=_BACKLOG_SIZE)
        self._change = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._is_stopped = False

    @property
    def port(self) -> int:
        """The port that it listens on."""
        number: int = self._listener.getsockname()[1]
        return number

    def start(self) -> None:
        """Accept connections from now on."""
        threading.Thread(target=self._accept, name="emulator", daemon=True).start()

    def stop(self) -> None:
        """Close all connections, after a moment for open requests; idempotent."""
        with self._change:
            self._is_stopped = True
            open_sockets = [self._listener, *self._sockets]
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        self._listener.close()
        with self._change:
            self._change.wait_for(lambda: not self._sockets, _STOP_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if self._is_stopped:
                    return
                # Out of descriptors, the connection stays in the queue, and accept fails again at once: wait for one
                # that is closed.
                _logger.warning("No connection can be accepted now: %s.", error.strerror)
                with self._change:
                    self._change.wait(_RETRY_SECONDS)
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="emulator connection", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                connection.close()
                with self._change:
                    self._change.wait(_RETRY_SECONDS)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._tracked(connection):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(_IDLE_SECONDS)
                target = self._converse(Conversation(connection))
                if target is not None:
                    self._serve_tunnel(connection, target)
        except h11.LocalProtocolError:
            _logger.exception("An answer can't be sent.")
        except (OSError, h11.RemoteProtocolError) as error:
            _logger.debug("A connection ended: %s", error)

    def _serve_tunnel(self, connection: socket.socket, host: str) -> None:
        connection.settimeout(_HANDSHAKE_SECONDS)
        secure = self._authority.context(host).wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._tracked(secure):
            try:
                secure.do_handshake()
            except ssl.SSLError as error:
                _logger.warning("A client doesn't trust the emulator as %s: %s.", host, error.reason)
                raise
            secure.settimeout(_IDLE_SECONDS)
            self._converse(Conversation(secure, host))

    @contextlib.contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._change:
            if self._is_stopped:
                connection.close()
            self._sockets.add(connection)
        try:
            yield
        finally:
            connection.close()
            with self._change:
                self._sockets.discard(connection)
                self._change.notify_all()

    def _converse(self, conversation: Conversation) -> str | None:
        """Handle requests until the client closes; return the host if it opens a tunnel to one of Azure's."""
        while True:
            try:
                head = conversation.receive()
                if head is None:
                    return None
                if head.method == "CONNECT":
                    return self._open_tunnel(conversation, head.path)
                response = self._respond(conversation, head)
            except Refusal as refusal:
                conversation.drain()
                response = refusal.response()
            except ConnectionCut:
                conversation.cut()
                return None
            if not conversation.send(response):
                return None

    def _respond(self, conversation: Conversation, head: Request) -> Response:
        if head.host not in _OWN_NAMES and not self._authority.covers(head.host):
            raise Refusal(403, self._refuse(f"{head.method} {head.host}{head.path}", head.host), code="Forbidden")
        max_bytes = self._application.admit(head) if conversation.is_large(head) else MAX_FILE_BYTES
        with conversation.with_body(head, max_bytes, self._uploads) as request:
            return self._application.answer(request)

    def _open_tunnel(self, conversation: Conversation, target: str) -> str | None:
        host, _, port = target.lower().rpartition(":")
        if port != _HTTPS_PORT or not self._authority.covers(host):
            reason = self._refuse(f"CONNECT {target}", host)
            # clients show the reason phrase of a proxy, not its body
            conversation.send(Refusal(403, reason, code="Forbidden").response(), reason)
            return None
        conversation.accept_tunnel()
        return host

    def _refuse(self, target: str, host: str) -> str:
        reason = f"nothing leaves this machine; --web {host}=FOLDER serves a folder in place of {host}"
        self._application.refuse(target, reason)
        return reason
