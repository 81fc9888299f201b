"""Mirrors that fail: either the pinned bytes arrive or a clear error does."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mnistkit.data.web import Patience
from mnistkit.errors import DownloadError
from mnistkit.utils import progress
from support.mirrors import (
    FAULTS,
    FILES,
    FIRST,
    PINS,
    QUICK,
    Mirror,
    assert_good,
    fetch,
    good,
    naive_fetch,
    not_found,
    reset,
    serving,
)


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
