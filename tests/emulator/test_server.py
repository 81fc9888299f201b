"""The socket: what is passed to the services, what is refused, and what clients that misbehave can't do."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("h11")

import urllib3

from mnistkit.emulator.authority import Authority
from mnistkit.emulator.routing import Request, Response
from mnistkit.emulator.server import ConnectionCut, Server

HOST = "account.blob.core.windows.net"


class Service:
    """A server whose answers are what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.asked: list[Request] = []
        self.refused: list[str] = []
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self.max_bytes = 1 << 29
        self.server = Server(self, self.authority, self.uploads)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.pool = urllib3.ProxyManager(
            self.url, ca_certs=str(self.authority.bundle), retries=False, timeout=30, maxsize=4
        )

    def admit(self, request: Request) -> int:
        """How large a body may be."""
        return self.max_bytes

    def refuse(self, target: str, reason: str) -> None:
        """What the server refuses."""
        self.refused.append(target)

    def answer(self, request: Request) -> Response:
        """What was asked."""
        self.asked.append(request)
        if request.path == "/cut":
            raise ConnectionCut
        shown = {"method": request.method, "host": request.host, "path": request.path, "query": dict(request.query)}
        return Response.json({**shown, "body": request.body.decode("latin-1")}, headers={"x-it": "ü"})

    def raw(self, text: bytes) -> bytes:
        """What comes for some bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as connection:
            parts = []
            with contextlib.suppress(OSError):  # it doesn't read on once it has had enough
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    parts.append(part)
        return b"".join(parts)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A running server."""
    service = Service(tmp_path / "authority")
    yield service
    service.server.stop()


def test_it_stands_in_for_azures_hosts(service: Service) -> None:
    """A request to a host of Azure arrives with its host, path, query and body."""
    answer = service.pool.request("PUT", f"https://{HOST}/box/a%20b?comp=block&x=&y=%C3%BC", body=b"\x00\xff")
    assert answer.json() == {
        "method": "PUT",
        "host": HOST,
        "path": "/box/a%20b",
        "query": {"comp": "block", "x": "", "y": "ü"},
        "body": "\x00\xff",
    }


def test_one_connection_takes_many_requests(service: Service) -> None:
    """A tunnel is kept: the second request doesn't open another."""
    for number in range(3):
        service.pool.request("GET", f"https://{HOST}/{number}")
    pool = service.pool.connection_from_url(f"https://{HOST}/")
    assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_plain_requests_to_itself(service: Service) -> None:
    """The services' own address answers without TLS."""
    assert urllib3.request("GET", f"{service.url}/history", retries=False).json()["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    "target", ["example.com:443", "azure.com.example.com:443", "127.0.0.1:443", "management.azure.com:80"]
)
def test_nothing_leaves(service: Service, target: str) -> None:
    """A tunnel to anywhere else, or to another port, is refused with 403 and noted."""
    answer = service.raw(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert service.refused == [f"CONNECT {target}"]
    assert service.asked == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://example.com/ HTTP/1.1\r\nHost: example.com",
        b"GET http://example.com/ HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET / HTTP/1.1\r\nHost: rebound.example.com",
    ],
)
def test_it_is_no_proxy_for_plain_http(service: Service, head: bytes) -> None:
    """Plain requests that are for somebody else, as a web page's with a name of its own, are refused."""
    assert service.raw(head + b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")
    assert service.asked == []


def test_bodies_in_chunks(service: Service) -> None:
    """A body without a length arrives whole."""
    answer = service.pool.request("POST", f"https://{HOST}/x", body=iter([b"one ", b"two"]), chunked=True)
    assert answer.json()["body"] == "one two"


def test_large_bodies(service: Service) -> None:
    """Megabytes arrive whole, and go back whole."""
    body = bytes(range(256)) * 40_000
    answer = service.pool.request("PUT", f"https://{HOST}/x", body=body)
    assert answer.json()["body"].encode("latin-1") == body


def test_who_waits_to_be_asked_is_asked(service: Service) -> None:
    """A client that wants to know whether it may send its body is told to go on."""
    head = b"PUT /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"ok")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")


def test_head_has_no_body(service: Service) -> None:
    """HEAD tells the length, without content, and the connection goes on."""
    answer = service.pool.request("HEAD", f"https://{HOST}/x")
    assert int(answer.headers["content-length"]) > 0
    assert answer.data == b""
    assert service.pool.request("GET", f"https://{HOST}/x").status == 200


def test_headers_beyond_ascii(service: Service) -> None:
    """A header's value may have letters beyond ASCII."""
    assert service.pool.request("GET", f"https://{HOST}/x").headers["x-it"] == "ü"


def test_a_cut_connection(service: Service) -> None:
    """A request can be answered by cutting its connection; the next one gets a new one."""
    for url in (f"https://{HOST}/cut", f"{service.url}/cut"):
        with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.ProxyError)):
            (service.pool if url.startswith("https") else urllib3.PoolManager(retries=False)).request("GET", url)
    assert [request.path for request in service.asked] == ["/cut", "/cut"]
    assert service.pool.request("GET", f"https://{HOST}/x").status == 200


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"CONNECT management.azure.com:443 HTTP/1.1\r\nHost: management.azure.com\r\n\r\nno TLS",
    ],
    ids=["no HTTP", "no host", "negative length", "cut short", "endless header", "no TLS"],
)
def test_misbehaving_clients(service: Service, text: bytes) -> None:
    """What isn't HTTP, or breaks off, reaches no service and hurts nobody else."""
    service.raw(text)
    assert service.asked == []
    assert service.pool.request("GET", f"https://{HOST}/x").status == 200


def test_many_at_once(service: Service) -> None:
    """Requests are answered at the same time."""
    results: list[int] = []

    def ask(number: int) -> None:
        body = bytes([number]) * 100_000
        answer = service.pool.request("PUT", f"https://{HOST}/{number}", body=body)
        results.append(len(answer.json()["body"]) if answer.json()["path"] == f"/{number}" else -1)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [100_000] * 12


def test_stop(service: Service) -> None:
    """A stopped server closes what is open, and can be stopped again."""
    context = ssl.create_default_context(cafile=str(service.authority.bundle))
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=30) as connection:
        connection.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(connection, server_hostname=HOST, suppress_ragged_eofs=True) as secure:
            service.server.stop()
            assert secure.recv(10) == b""
    service.server.stop()
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", service.server.port), timeout=5)


def test_json_of_the_refusal(service: Service) -> None:
    """A refused tunnel says why."""
    answer = service.raw(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert "nothing leaves this machine" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
