"""Mirrors at their worst, in any combination: the pinned bytes, or an error that names each mirror and its reason."""

from __future__ import annotations

import contextlib
import http.server
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mnistkit.data.web import Patience
from mnistkit.errors import DownloadError
from support.mirrors import (
    BEHAVIOURS,
    FAULTS,
    FILES,
    FIRST,
    QUICK,
    Mirror,
    assert_good,
    fetch,
    naive_fetch,
    reset,
    serving,
)

Handler = http.server.BaseHTTPRequestHandler
SLACK = 20.0
"""Seconds beyond a deadline in which the machine may be busy with something else."""


def busy(handler: Handler, body: bytes) -> None:
    """Ask to come back at once, for ever."""
    handler.send_response(503)
    handler.send_header("Retry-After", "0")
    handler.end_headers()


def to_a_file(handler: Handler, body: bytes) -> None:
    """Redirect to a file of the user's."""
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/passwd")
    handler.end_headers()


def six_redirects(handler: Handler, body: bytes) -> None:
    """Redirect once more than is followed, then deliver."""
    at = int(handler.path.partition("?")[2] or 0)
    if at == 6:
        BEHAVIOURS["good"](handler, body)
        return
    handler.send_response(302)
    handler.send_header("Location", f"{handler.path.partition('?')[0]}?{at + 1}")
    handler.end_headers()


REASONS = {
    "html": "it announces 27 bytes",
    "html_unannounced": "it ends after 27 bytes",
    "flipped": "has sha256",
    "not_found": "HTTP status 404",
    "broken": "HTTP status 500",
    "busy": "HTTP status 503",
    "short": "it ends after",
    "short_of_announced": "",
    "wrong_length": "it announces",
    "compressed": "",
    "redirect_loop": "it redirects more than 5 times",
    "six_redirects": "it redirects more than 5 times",
    "to_a_file": "it redirects to file:///etc/passwd, which isn't https",
    "longer": "it sends more than the",
    "endless": "it sends more than the",
    "reset": "the connection broke",
}


@pytest.fixture(autouse=True)
def _more_faults(mirror: Mirror) -> None:
    mirror.behaviours.update(busy=busy, to_a_file=to_a_file, six_redirects=six_redirects)


def test_every_fault_has_its_reason_in_one_error(mirror: Mirror, cache: Path) -> None:
    """With every bad mirror there is, the error has one line for each file of each, the cache nothing."""
    assert set(FAULTS) <= set(REASONS)
    with pytest.raises(DownloadError) as caught:
        fetch(mirror.dataset(*REASONS), cache)
    lines = str(caught.value).splitlines()
    for fault, reason in REASONS.items():
        for name in FILES:
            (line,) = [line for line in lines if f"/{fault}/{name}: " in line]
            assert reason in line
    assert list(cache.iterdir()) == []


@contextlib.contextmanager
def looking(cache: Path) -> Iterator[list[str]]:
    """Look at the folder all the time, as another process would: yields what was seen that isn't whole."""
    seen, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            for path in cache.glob("[!.]*"):
                with contextlib.suppress(OSError):
                    if path.name in FILES and path.read_bytes() != FILES[path.name]:
                        seen.append(path.name)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_any_order_of_bad_mirrors_is_survived(mirror: Mirror, tmp_path: Path) -> None:
    """Behind any three bad mirrors the good one is found; nobody who looks meanwhile sees a part of a file."""
    rng = random.Random(5)
    for round_ in range(6):
        cache = tmp_path / str(round_)
        cache.mkdir()
        with looking(cache) as seen:
            fetch(mirror.dataset(*rng.sample(sorted(REASONS), 3), "good"), cache)
        assert_good(cache)
        assert seen == []


def test_a_naive_fetch_shows_parts(mirror: Mirror, tmp_path: Path) -> None:
    """The same look finds a naive fetch out."""

    def slow(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        for at in range(0, len(body), 100):
            handler.wfile.write(body[at : at + 100])
            time.sleep(0.005)

    mirror.behaviours["slow"] = slow
    with looking(tmp_path) as seen, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", _in_pieces)
        naive_fetch(f"{mirror.url}/slow/{FIRST}", tmp_path / FIRST)
    assert seen


def _in_pieces(path: Path, data: bytes) -> int:
    with path.open("wb", buffering=0) as stream:
        for at in range(0, len(data), 1000):
            stream.write(data[at : at + 1000])
            time.sleep(0.01)
    return len(data)


def raw(answer: bytes) -> Callable[[Handler, bytes], None]:
    """Answer with these very bytes."""

    def behaviour(handler: Handler, body: bytes) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    return behaviour


HEADS = {
    "nothing": b"",
    "no status": b"hello\r\n\r\n",
    "odd status": b"HTTP/1.1 ??? OK\r\n\r\n",
    "large status": b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
    "long status": b"HTTP/1.1 200 " + b"a" * 70_000,
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "length of 5000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabc",
    "lengths in one": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nabc",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nabc",
    "odd chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    "negative chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc",
    "huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
    "long chunk line": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 200_000,
    "later, in words": b"HTTP/1.1 503 No\r\nRetry-After: tomorrow\r\n\r\n",
    "later, in 5000 digits": b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n",
    "later, in year 1": b"HTTP/1.1 503 No\r\nRetry-After: Mon, 01 Jan 0001 00:00:00 -0000\r\n\r\n",
    "later, in year 9999": b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 -2359\r\n\r\n",
    "later, no date": b"HTTP/1.1 503 No\r\nRetry-After: Mon, 99 Foo 99999999999 99:99:99 +9999999999\r\n\r\n",
    "nowhere": b"HTTP/1.1 302 Found\r\n\r\n",
    "elsewhere: brackets": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
    "elsewhere: port": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999999/\r\n\r\n",
    "elsewhere: no port": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:x/\r\n\r\n",
    "elsewhere: no host": b"HTTP/1.1 302 Found\r\nLocation: http:///x\r\n\r\n",
    "elsewhere: data": b"HTTP/1.1 302 Found\r\nLocation: data:,x\r\n\r\n",
    "elsewhere: not ASCII": b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe\x00/\r\n\r\n",
    "elsewhere: long": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/" + b"a" * 60_000 + b"\r\n\r\n",
    "elsewhere: dots": b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\n\r\n",
    "elsewhere: long label": b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 300 + b".b/\r\n\r\n",
    "elsewhere: spaces": b"HTTP/1.1 302 Found\r\nLocation: http://a b/ c\r\n\r\n",
    "elsewhere: user": b"HTTP/1.1 302 Found\r\nLocation: http://\xe9:\xe9@127.0.0.1:1/\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_hostile_head_is_a_reason_to_go_on(mirror: Mirror, tmp_path: Path, head: str) -> None:
    """Whatever a head says, the mirror is passed over; alone, it is an error of ours, and the cache stays empty."""
    mirror.behaviours["bad"] = raw(HEADS[head])
    quick = Patience(deadline=30, attempts=2, backoff=0.001, longest_wait=0.001)
    fetch(mirror.dataset("bad", "good"), tmp_path / "with", quick)
    assert_good(tmp_path / "with")
    with pytest.raises(DownloadError, match="/bad/"):
        fetch(mirror.dataset("bad"), tmp_path / "without", quick)
    assert list((tmp_path / "without").iterdir()) == []


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=pytest.mark.slow)])
def test_damaged_answers_are_survived(mirror: Mirror, tmp_path: Path, count: int) -> None:
    """Answers with damage anywhere, head or body, whole or in chunks: the right bytes, or an error of ours."""
    body, rng, outcomes = FILES[FIRST], random.Random(7), {True: 0, False: 0}
    length = b"Content-Length: %d" % len(body)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 300]), body[at : at + 300]) for at in range(0, len(body), 300)
    )
    seeds = [
        b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" + body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /good/" + FIRST.encode() + b"\r\nRetry-After: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + body,
    ]
    only = mirror.dataset("bad", files=mirror.dataset().files[:1])
    for round_ in range(count):
        mirror.behaviours["bad"] = raw(_damaged(rng, rng.choice(seeds)))
        cache = tmp_path / str(round_)
        try:
            fetch(only, cache, Patience(deadline=30, attempts=1))
        except DownloadError:
            assert list(cache.iterdir()) == []
            outcomes[False] += 1
        else:
            assert (cache / FIRST).read_bytes() == body
            outcomes[True] += 1
    assert min(outcomes.values()) > count / 100


def _damaged(rng: random.Random, answer: bytes) -> bytes:
    """The answer with a few bytes changed, cut or inserted, mostly in its head."""
    data = bytearray(answer)
    head = answer.index(b"\r\n\r\n") + 4
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(head if rng.random() < 0.8 else len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at : at + rng.randint(1, 6)]
        elif kind == 2:
            data[at:at] = rng.choice([b"\r\n", b"[", b"9" * 30, b"-", b":", b"//", b"\0", b" ", b"\xff"])
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def forever(start: bytes, again: bytes, pause: float = 0.0) -> Callable[[Handler, bytes], None]:
    """Begin, and then never end."""

    def behaviour(handler: Handler, body: bytes) -> None:
        handler.wfile.write(start)
        while True:
            handler.wfile.write(again)
            time.sleep(pause)

    return behaviour


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "continue": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "status": forever(b"HTTP/1.1 200 ", b"a", 0.01),
    "headers": forever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.01),
    "silence": forever(b"", b"", 0.01),
    "chunk line": forever(CHUNKED, b"0" * 1000),
    "small chunks": forever(CHUNKED, b"1\r\na\r\n", 0.01),
    "chunks": forever(CHUNKED, b"400\r\n" + bytes(1024) + b"\r\n"),
    "trailers": forever(CHUNKED + b"0\r\n", b"X: y\r\n", 0.001),
    "body of an error": forever(b"HTTP/1.1 404 Not Found\r\n\r\n", bytes(1024)),
    "body of a redirect": forever(b"HTTP/1.1 302 Found\r\nLocation: /not_found/x\r\n\r\n", bytes(1024)),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_that_never_ends_is_waited_for(mirror: Mirror, cache: Path, what: str) -> None:
    """Heads, chunks and trailers without end, fast or slow, end by the deadline, with an empty cache."""
    mirror.behaviours["bad"] = ENDLESS[what]
    started = time.monotonic()
    with pytest.raises(DownloadError, match="/bad/"):
        fetch(mirror.dataset("bad", files=mirror.dataset().files[:1]), cache, Patience(deadline=0.3, attempts=2))
    assert time.monotonic() - started < SLACK
    assert list(cache.iterdir()) == []


def test_an_endless_mirror_never_fills_the_disk(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While bodies without end come in, no more than the pinned size is ever on the disk."""
    sizes = []

    def drop(path: Path, *, missing_ok: bool = False) -> None:
        sizes.append(path.stat().st_size if path.exists() else 0)
        unlink(path, missing_ok=missing_ok)

    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", drop)
    with pytest.raises(DownloadError):
        fetch(mirror.dataset("endless", "longer", "endless"), cache)
    assert sizes  # from Python 3.14 on so much is read at once that nothing of these small bodies is written
    assert max(sizes) <= max(map(len, FILES.values()))


@pytest.mark.slow
def test_a_connection_reset_at_any_byte_is_survived(tmp_path: Path) -> None:
    """For 1,000 places in the file: the right data from the second mirror, and nothing but an error without one."""
    rng, size = random.Random(3), len(FILES[FIRST])
    with serving() as mirror:
        for at in sorted(rng.sample(range(size), 1000)):
            mirror.behaviours["cut"] = partial(reset, at=at)
            one = mirror.dataset("cut", "good", files=mirror.dataset().files[:1])
            assert (fetch(one, tmp_path / f"with-{at}") / FIRST).read_bytes() == FILES[FIRST]
            with pytest.raises(DownloadError):
                fetch(mirror.dataset("cut", files=one.files), tmp_path / f"without-{at}", QUICK)
            assert list((tmp_path / f"without-{at}").iterdir()) == []
