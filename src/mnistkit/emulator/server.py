"""The socket: plain HTTP/1.1 on loopback, and a CONNECT proxy that answers for Azure's hosts itself over TLS.

Nothing is ever passed on: whom the allow-list doesn't name is refused.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

import h11

from mnistkit.emulator.authority import Authority, is_azure
from mnistkit.emulator.routing import Refusal, Request, Response

__all__ = ["LOOPBACK", "ConnectionCut", "Server"]

LOOPBACK = "127.0.0.1"
_OWN_NAMES = {LOOPBACK, "localhost"}
_HTTPS_PORT = "443"
_CHUNK_BYTES = 1 << 16
_MAX_HEAD_BYTES = 1 << 16
_MAX_BODY_BYTES = 1 << 29
_IDLE_SECONDS = 300.0
_STOP_SECONDS = 2.0
_HANDSHAKE_SECONDS = 30.0
_ABORTIVE_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_logger = logging.getLogger(__name__)


class ConnectionCut(Exception):  # noqa: N818 - it is an answer, not an error
    """A request's connection is cut in place of a response."""


class Server:
    """Accepts connections, a thread each, and calls ``answer`` with each request.

    Args:
        answer: Called from many threads. A request that it answers with `ConnectionCut` gets no response.
        refused: Called with the target of each CONNECT to anywhere else than Azure.
        authority: For the certificates.
        port: On loopback; 0 for a free one.
    """

    def __init__(
        self,
        answer: Callable[[Request], Response],
        refused: Callable[[str], None],
        authority: Authority,
        port: int = 0,
    ) -> None:
        self._answer = answer
        self._refused = refused
        self._authority = authority
        self._listener = socket.create_server((LOOPBACK, port), backlog=128)
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
            except OSError:
                if self._is_stopped:
                    return
                continue
            threading.Thread(target=self._serve, args=(connection,), name="emulator connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._tracked(connection):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(_IDLE_SECONDS)
                target = self._converse(_Conversation(connection))
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
            self._converse(_Conversation(secure, host))

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

    def _converse(self, conversation: _Conversation) -> str | None:
        """Handle requests until the client closes; return the host if it opens a tunnel to one of Azure's."""
        while True:
            try:
                request = conversation.receive()
                if request is None:
                    return None
                if request.method == "CONNECT":
                    return self._open_tunnel(conversation, request.path)
                response = self._answer(request)
            except Refusal as refusal:
                response = refusal.response()
            except ConnectionCut:
                conversation.cut()
                return None
            if not conversation.send(response):
                return None

    def _open_tunnel(self, conversation: _Conversation, target: str) -> str | None:
        host, _, port = target.lower().rpartition(":")
        if port != _HTTPS_PORT or not is_azure(host):
            self._refused(target)
            message = f"{target} isn't one of the hosts that this emulator stands in for; nothing leaves this machine."
            conversation.send(Refusal(403, message, code="Forbidden").response())
            return None
        conversation.accept_tunnel()
        return host


class _Conversation:
    """Requests and responses on one connection; ``host`` is the one that the client connected to, if any."""

    def __init__(self, connection: socket.socket, host: str = "") -> None:
        self._socket = connection
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._method = ""

    def receive(self) -> Request | None:
        """Return the next request; None if there is none.

        Raises:
            Refusal: It is too large, or is for another host.
        """
        head = self._event()
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method.decode().upper()
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        target = head.target.decode("latin-1")
        body = self._body()
        if self._method == "CONNECT":
            return Request(method="CONNECT", host="", path=target)
        host = self._host or headers.get("host", "").lower().partition(":")[0]
        if not self._host and (host not in _OWN_NAMES or not target.startswith("/")):
            raise Refusal(403, f"{host or target} isn't this emulator; nothing leaves this machine.", code="Forbidden")
        path, _, query = target.partition("?")
        return Request(
            method=self._method,
            host=host,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            body=body,
        )

    def send(self, response: Response) -> bool:
        """Send a response; return False if the connection ends with it."""
        given = {name.lower(): value for name, value in response.headers.items()}
        headers = {"content-type": response.content_type, "content-length": str(len(response.body)), **given}
        if self._http.their_state is not h11.DONE:
            headers["connection"] = "close"
        reason = HTTPStatus(response.status).phrase.encode()
        head = h11.Response(status_code=response.status, headers=_encoded(headers), reason=reason)
        parts = [self._http.send(head)]
        if self._method != "HEAD":
            parts.append(self._http.send(h11.Data(data=response.body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._socket.sendall(b"".join(part for part in parts if part))
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def accept_tunnel(self) -> None:
        """Send the client the response that opens the tunnel."""
        data = self._http.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        self._socket.sendall(data or b"")

    def cut(self) -> None:
        """Reset the connection without a response."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTIVE_LINGER)
        self._socket.close()

    def _body(self) -> bytes:
        parts, size = [], 0
        while isinstance(event := self._event(), h11.Data):
            size += len(event.data)
            if size > _MAX_BODY_BYTES:
                raise Refusal(413, f"The body is larger than {_MAX_BODY_BYTES} bytes.", code="RequestBodyTooLarge")
            parts.append(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):
            raise h11.RemoteProtocolError("the client went away in mid-request")
        return b"".join(parts)

    def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self._socket.sendall(self._http.send(go_on) or b"")
            self._http.receive_data(self._socket.recv(_CHUNK_BYTES))


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
