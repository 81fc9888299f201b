"""Several processes share a cache, and processes are killed while they fetch."""

from __future__ import annotations

import http.server
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnistkit.data.web import WebDataset
from mnistkit.utils.serialization import to_json
from support.mirrors import (
    FILES,
    Mirror,
    assert_good,
    fetch,
)

CHILD = """
import sys
from pathlib import Path
from mnistkit.utils.serialization import from_json
from mnistkit.data.web import Patience, WebDataset, WebSource
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
