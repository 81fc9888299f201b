"""The body of a URL in chunks; every failure of HTTP is one `TransferError`.

Defences against bad mirrors: the exact size + 1 byte as the limit of an endless body, one deadline for head and body
against slow drips, at most five redirects and none from https to http, no decoding of content, TLS verified as the
system does. Only the public part of a URL, without user, password and
query, appears in messages and logs.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import logging
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mnistkit.utils.redaction import public_text, public_url

if TYPE_CHECKING:
    import urllib3

__all__ = ["TransferError", "open_body"]

_CHUNK_BYTES = 1 << 16
_MAX_REDIRECTS = 5
_CONNECT_SECONDS = 5.0
_STALL_SECONDS = 20.0


class TransferError(Exception):
    """A mirror did not deliver a file.

    Attributes:
        lasting: True to give the mirror up for all files: it can't be reached, or is too slow.
        passing: True if another try may help.
        wait: Seconds of the mirror's ``Retry-After``; None without one.
    """

    def __init__(self, reason: str, *, lasting: bool = False, passing: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.lasting, self.passing, self.wait = lasting, passing, wait


@contextlib.contextmanager
def open_body(url: str, size: int, end: float) -> Iterator[Iterator[bytes]]:
    """Yield an iterator over the chunks of the body of ``url``, which must be ``size`` bytes in all.

    Args:
        url: http or https; a user and password in it are sent as basic authentication.
        size: In bytes.
        end: The `time.monotonic` at which it must be complete.

    Raises:
        TransferError: It failed, while opening or while iterating.
    """
    import urllib3.exceptions

    deadline = _Deadline(end)
    with deadline.running(), _redacted_logs():
        try:
            with contextlib.closing(_follow(url, deadline)) as response:
                _check_head(response, size)
                yield _body(response, size)
        except (urllib3.exceptions.HTTPError, TransferError) as error:
            if deadline.passed:
                raise TransferError("too slow: not complete at the deadline", lasting=True) from None
            if isinstance(error, TransferError):
                raise
            raise _explained(error) from None


def _follow(url: str, deadline: _Deadline) -> urllib3.BaseHTTPResponse:
    for _ in range(_MAX_REDIRECTS + 1):
        response = _request(url, deadline)
        location = response.get_redirect_location()
        if not location:
            return response
        response.close()
        try:
            target = urllib.parse.urljoin(url, location)
        except ValueError:
            raise TransferError(f"it redirects to {public_text(location)!a:.200}, which is no URL") from None
        if not target.startswith("https://" if url.startswith("https://") else ("https://", "http://")):
            raise TransferError(f"it redirects to {public_url(target)}, which isn't https")
        url = target
    raise TransferError(f"it redirects more than {_MAX_REDIRECTS} times")


def _request(url: str, deadline: _Deadline) -> urllib3.BaseHTTPResponse:
    import urllib3

    parts = urllib.parse.urlsplit(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "mnistkit"}
    if parts.username:
        headers["Authorization"] = _basic(parts)
    bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    left = max(deadline.left(), 0.001)
    timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, left), read=min(_STALL_SECONDS, left))
    manager = _manager(parts)
    manager.pool_classes_by_scheme = deadline.pool_classes()
    return manager.request(
        "GET", bare, headers=headers, timeout=timeout, retries=False, redirect=False, preload_content=False
    )


def _manager(parts: urllib.parse.SplitResult) -> urllib3.PoolManager:
    import urllib3

    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager()
    proxy_parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    bare = urllib.parse.urlunsplit((proxy_parts.scheme, proxy_parts.netloc.rpartition("@")[2], "", "", ""))
    headers = {"Proxy-Authorization": _basic(proxy_parts)} if proxy_parts.username else None
    return urllib3.ProxyManager(bare, proxy_headers=headers)


def _basic(parts: urllib.parse.SplitResult) -> str:
    pair = f"{urllib.parse.unquote(parts.username or '')}:{urllib.parse.unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _check_head(response: urllib3.BaseHTTPResponse, size: int) -> None:
    status = response.status
    if status != HTTPStatus.OK:
        passing = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        reason = f"HTTP status {status} {response.reason or ''}".rstrip()
        raise TransferError(reason, passing=passing, wait=_retry_after(response.headers.get("Retry-After")))
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and announced.lstrip("0") != str(size):  # as text: int refuses thousands of digits
        raise TransferError(f"it announces {announced:.20} bytes, expected {size}")


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _body(response: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
    done = 0
    # Request one byte more than expected: that tells a complete body from one that is too long.
    while chunk := response.read1(min(_CHUNK_BYTES, size + 1 - done), decode_content=False):
        done += len(chunk)
        if done > size:
            raise TransferError(f"it sends more than the {size} bytes expected")
        yield chunk
    if done < size:
        raise TransferError(f"it ends after {done} bytes, expected {size}", passing=True)


def _explained(error: Exception) -> TransferError:
    import urllib3.exceptions as known

    text = public_text(str(error).partition("): ")[2] or str(error) or type(error).__name__)[:300]
    if isinstance(error, known.SSLError):
        return TransferError(f"no secure connection ({text})", lasting=True)
    if isinstance(error, (known.NewConnectionError, known.ConnectTimeoutError, known.ProxyError)):
        return TransferError(f"can't be reached ({text})", lasting=True)
    if isinstance(error, (known.ProtocolError, known.ReadTimeoutError)):
        return TransferError(f"the connection broke ({text})", passing=True)
    return TransferError(text, lasting=True)


class _Deadline:
    """A time at which every socket opened under it is shut down, also one that is waiting.

    A socket's own timeout begins anew with each byte: a mirror that sends one byte at a time would never end.
    """

    def __init__(self, end: float) -> None:
        self._end = end
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(max(0.0, self.left()), self._shut)
        self._timer.daemon = True

    @property
    def passed(self) -> bool:
        return self.left() <= 0

    def left(self) -> float:
        return self._end - time.monotonic()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()

    def pool_classes(self) -> dict[str, Any]:
        """Return connection pools whose sockets this deadline shuts down."""
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
        from urllib3.connection import HTTPConnection, HTTPSConnection

        watch = self._watch

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                watch(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                watch(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}

    def _watch(self, opened: socket.socket) -> None:
        self._sockets.append(opened)
        if self.passed:
            self._shut()

    def _shut(self) -> None:
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: that one takes the TLS state away from the thread that reads.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


@contextlib.contextmanager
def _redacted_logs() -> Iterator[None]:
    """Keep queries out of urllib3's debug log, which has each request line."""

    def without_query(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(public_text(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(without_query)
    try:
        yield
    finally:
        logger.removeFilter(without_query)
