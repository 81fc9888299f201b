"""Bodies of odd bytes: cut, flipped, nested, with numbers that no float holds. Each is answered, and soon."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

pytest.importorskip("h11")

from emulator.conftest import Client
from emulator.test_odd_bodies import LISTED, REQUESTS
from support.mutations import MUTATIONS

KINDS = ("flip", "cut", "insert", "value", "empty")
MAX_SECONDS = 5.0
_HEAD = b'--b\r\nContent-Disposition: form-data; name="config"; filename="c"\r\n\r\n'


def _mutated(file: Path, original: bytes, rng: random.Random) -> bytes:
    file.write_bytes(original)
    MUTATIONS[rng.choice(KINDS)][1](file, rng)
    return file.read_bytes()


def _check(client: Client, kind: str, tmp_path: Path, count: int) -> None:
    scope = client.emulator.workspace.scope
    method, pattern, body = REQUESTS[kind]
    path = pattern.format(scope=scope, sweeps=f"{scope[1:]}/experiments/x".replace("/", "%2F"))
    rng, original = random.Random(7), json.dumps(body).encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"} if kind == "sweep" else {}
    head, end = (_HEAD, b"\r\n--b--\r\n") if kind == "sweep" else (b"", b"")
    bugs = []
    for _ in range(count):
        content = _mutated(tmp_path / "body.json", original, rng)
        start = time.monotonic()
        answer = client.ask(method, path, body=head + content + end, headers=headers)
        if answer.status == 500 or time.monotonic() - start > MAX_SECONDS:
            bugs.append((answer.status, content[:200]))
        assert answer.data.decode()
    assert bugs == []
    for place in LISTED:
        assert client.ask("GET", f"/{place.format(scope)}").status == 200, place


@pytest.mark.parametrize("kind", REQUESTS)
def test_mutated_bodies_are_answered(client: Client, tmp_path: Path, kind: str) -> None:
    """With what a client did wrong, or isn't emulated, never with a bug of the emulator's; all can be listed."""
    _check(client, kind, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", REQUESTS)
def test_many_mutated_bodies_are_answered(client: Client, tmp_path: Path, kind: str) -> None:
    """The same, 10,000 times in all."""
    _check(client, kind, tmp_path, 10_000 // len(REQUESTS) + 1)
