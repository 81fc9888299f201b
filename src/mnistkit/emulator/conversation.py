"""Requests and responses on one connection, as HTTP/1.1."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, urlsplit

import h11
from attrs import evolve

from mnistkit.emulator.routing import Refusal, Request, Response

__all__ = ["Conversation"]

_CHUNK_BYTES = 1 << 16
_MAX_HEAD_BYTES = 1 << 16
_MAX_MEMORY_BYTES = 1 << 20  # a larger body goes to a file
_MAX_DRAINED_BYTES = 1 << 24
_SMALL_BODY_BYTES = 1 << 16
_ABORTIVE_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Conversation:
    """One connection's requests and responses.

    Args:
        connection: The connection.
        host: The host that the client connected to through a tunnel; empty if it sends hosts itself.
    """

    def __init__(self, connection: socket.socket, host: str = "") -> None:
        self._socket = connection
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._method = ""

    def receive(self) -> Request | None:
        """Return the head of the next request, without its body; None if there is none."""
        head = self._event()
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method.decode().upper()
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        target = head.target.decode("latin-1")
        if self._method == "CONNECT":
            return Request(method="CONNECT", host="", path=target)
        host = self._host or headers.get("host", "").lower().partition(":")[0]
        if not target.startswith("/"):  # as a client writes it to a proxy
            parts = urlsplit(target)
            host, target = (parts.hostname or target), f"{parts.path or '/'}?{parts.query}"
        path, _, query = target.partition("?")
        return Request(
            method=self._method,
            host=host,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
        )

    @staticmethod
    def is_large(request: Request) -> bool:
        """Return True if a request's body is, or may be, more than some kilobytes."""
        size = request.headers.get("content-length", "0")
        return "transfer-encoding" in request.headers or not size.isdigit() or int(size) > _SMALL_BODY_BYTES

    @contextlib.contextmanager
    def with_body(self, head: Request, max_bytes: int, folder: Path) -> Iterator[Request]:
        """Yield a request with its body.

        Args:
            head: The request without it.
            max_bytes: How large it may be.
            folder: Where a file is made for a body of more than a megabyte; it is removed after the block.

        Raises:
            Refusal: 413: it is larger.
        """
        size = head.headers.get("content-length", "0")
        if size.isdigit() and int(size) > max_bytes:
            raise _too_large(max_bytes)
        with contextlib.ExitStack() as stack:
            parts: list[bytes] = []
            out: IO[bytes] | None = None
            name = ""
            count = 0
            for part in self._parts():
                count += len(part)
                if count > max_bytes:
                    raise _too_large(max_bytes)
                if out is None and count > _MAX_MEMORY_BYTES:
                    file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder))
                    file.writelines(parts)
                    parts.clear()
                    out, name = file.file, file.name
                if out is None:
                    parts.append(part)
                else:
                    out.write(part)
            if out is None:
                yield evolve(head, body=b"".join(parts))
            else:
                out.flush()
                yield evolve(head, file=Path(name))

    def drain(self) -> None:
        """Read the rest of a body and drop it: a client that still sends wouldn't read the response."""
        if self._http.their_state is not h11.SEND_BODY or self._http.they_are_waiting_for_100_continue:
            return
        count = 0
        with contextlib.suppress(OSError, h11.RemoteProtocolError):
            for part in self._parts():
                count += len(part)
                if count > _MAX_DRAINED_BYTES:
                    return

    def send(self, response: Response, reason: str = "") -> bool:
        """Send a response, with a reason phrase of its own if it has one; return False if the connection ends."""
        given = {name.lower(): value for name, value in response.headers.items()}
        headers = {"content-type": response.content_type, "content-length": str(len(response.body)), **given}
        if self._http.their_state is not h11.DONE:
            headers["connection"] = "close"
        phrase = reason or HTTPStatus(response.status).phrase
        head = h11.Response(status_code=response.status, headers=_encoded(headers), reason=_latin(phrase))
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

    def _parts(self) -> Iterator[bytes]:
        while isinstance(event := self._event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise h11.RemoteProtocolError("the client went away in mid-request")

    def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self._socket.sendall(self._http.send(go_on) or b"")
            self._http.receive_data(self._socket.recv(_CHUNK_BYTES))


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"The body is larger than {max_bytes} bytes.", code="RequestBodyTooLarge")


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), _latin(value)) for name, value in headers.items()]


def _latin(text: str) -> bytes:
    return text.encode("latin-1", "replace")
