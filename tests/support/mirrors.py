"""A mirror on loopback that behaves well or badly, and a small dataset to fetch from it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import shutil
import socket
import ssl
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen

from mnistkit.data.idx import encode_idx
from mnistkit.data.web import Patience, PinnedFile, WebDataset, WebSource
from mnistkit.utils.files import FileInfo

QUICK = Patience(deadline=30, attempts=2, backoff=0.001)


def make_arrays(seed: int = 0, n: int = 20) -> dict[str, np.ndarray]:
    """The four arrays of a small dataset by their IDX file name."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", n), ("t10k", n // 2)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(count, dtype=np.uint8) % 10
    return arrays


def info(data: bytes) -> FileInfo:
    """The pin of ``data``."""
    return FileInfo(len(data), hashlib.sha256(data).hexdigest())


PLAIN = {name: encode_idx(array) for name, array in make_arrays().items()}

FILES = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in PLAIN.items()}

PINS = tuple(PinnedFile(name, info(data), info(PLAIN[name.removesuffix(".gz")])) for name, data in FILES.items())

FIRST = PINS[0].name


@frozen
class Mirror:
    """A server on loopback: ``/<behaviour>/<file>`` is answered by the behaviour of that name."""

    url: str
    files: dict[str, bytes]
    behaviours: dict[str, Callable[[http.server.BaseHTTPRequestHandler, bytes], None]]
    requests: list[tuple[str, dict[str, str]]] = field(factory=list)

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _ in self.requests]

    def dataset(self, *behaviours: str, **changes: object) -> WebDataset:
        """The small dataset with one mirror per behaviour."""
        plain = WebDataset(
            name="tiny",
            class_names=tuple("0123456789"),
            files=PINS,
            folder="tiny",
            mirrors=tuple(f"{self.url}/{name}" for name in behaviours),
        )
        return evolve(plain, **changes)


def good(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Deliver the file."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def html(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Answer as a captive portal does: a page instead of the file."""
    good(handler, b"<html>Please log in.</html>")


def html_unannounced(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """The same without Content-Length."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>Please log in.</html>")


def flipped(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Deliver the file with one bit flipped."""
    at = len(body) // 2
    good(handler, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])


def not_found(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Lack the file."""
    handler.send_error(404)


def broken(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Fail."""
    handler.send_error(500)


def short(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """End half-way, without Content-Length."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def short_of_announced(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """End half-way, having announced the whole."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def wrong_length(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Announce more than there is."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) + 7))
    handler.end_headers()
    handler.wfile.write(body)


def compressed(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Compress the content once more."""
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(gzip.compress(body))


def redirect_loop(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Redirect to itself."""
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def longer(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Go on after the end."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(body + b"more")


def endless(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Never end."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"\0" * 65536)


def reset(handler: http.server.BaseHTTPRequestHandler, body: bytes, at: int = 0) -> None:
    """Reset the connection after ``at`` bytes."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:at])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.close_connection = True


def drip(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Send one byte at a time."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for byte in body:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def drip_head(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """Send the head one byte at a time, without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        handler.wfile.write(b"a")
        time.sleep(0.05)


BEHAVIOURS = {
    behaviour.__name__: behaviour
    for behaviour in (
        good,
        html,
        html_unannounced,
        flipped,
        not_found,
        broken,
        short,
        short_of_announced,
        wrong_length,
        compressed,
        redirect_loop,
        longer,
        endless,
        reset,
        drip,
        drip_head,
    )
}

FAULTS = sorted(BEHAVIOURS.keys() - {"good", "drip", "drip_head"})


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[Mirror]:
    """Serve the small dataset on loopback, with TLS if there is a certificate."""
    mirror = Mirror("", dict(FILES), dict(BEHAVIOURS))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.requests.append((self.path, dict(self.headers)))
            _, behaviour, *_, name = self.path.removeprefix("http://mirror.invalid").partition("?")[0].split("/")
            with contextlib.suppress(OSError):
                mirror.behaviours[behaviour](self, mirror.files[name])

        def log_message(self, *args: object) -> None:
            """Stay silent."""

    class Server(http.server.ThreadingHTTPServer):
        def shutdown_request(self, request: socket.socket) -> None:
            self.close_request(request)

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        scheme = "https" if certificate else "http"
        yield evolve(mirror, url=f"{scheme}://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def fetch(dataset: WebDataset, cache: Path, patience: Patience = QUICK) -> Path:
    """Fetch as a user does, but impatiently."""
    return WebSource(dataset, patience=patience).fetch(cache)


def assert_good(cache: Path) -> None:
    """The four files and ``dataset.json``, byte for byte, and nothing else."""
    assert {path.name for path in cache.iterdir()} == {*FILES, "dataset.json"}
    assert {name: (cache / name).read_bytes() for name in FILES} == FILES


def naive_fetch(url: str, path: Path) -> bytes:
    """What one writes first: straight to the final path, and what is there is good."""
    if not path.exists():
        with urllib.request.urlopen(url, timeout=5) as response, path.open("wb") as stream:  # noqa: S310 - loopback
            shutil.copyfileobj(response, stream)
    return path.read_bytes()


def fetched_files(folder: Path) -> dict[str, bytes]:
    """The IDX files in a folder, without what is kept of them."""
    return {path.name: path.read_bytes() for path in folder.glob("*ubyte*")}


def upright_images() -> np.ndarray:
    """Ten letters L: a stroke down the left side and one along the bottom, each a little wider."""
    images = np.zeros((10, 28, 28), np.uint8)
    for index, image in enumerate(images):
        image[4:24, 4] = 200
        image[23, 4 : 8 + index] = 100
    return images
