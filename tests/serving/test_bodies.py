"""Bodies of unknown origin: each is answered with a prediction or with a status of 4xx in JSON."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.serving.app import ServingApp
from mnistkit.serving.current import CurrentModel
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.server import ModelServer
from support.serving import Client, Register, png

ROW = [0.0] * 64
IMAGE = [[0.0] * 8] * 8


def score(data: Any, **others: Any) -> bytes:
    """A body for /score."""
    return json.dumps({"data": data, **others}).encode()


BAD_BODIES: dict[str, tuple[int, bytes]] = {
    "empty": (400, b""),
    "not json": (400, b"hello"),
    "cut off": (400, score([ROW])[:-9]),
    "two values": (400, score([ROW]) * 2),
    "bad utf-8": (400, b'{"data": "\xff\xfe"}'),
    "utf-16": (400, score([ROW]).decode().encode("utf-16")),
    "byte order mark": (400, b"\xef\xbb\xbf" + score([ROW])),
    "NaN": (400, score([[float("nan"), *ROW[1:]]])),
    "Infinity": (400, score([[float("inf"), *ROW[1:]]])),
    "deep lists": (400, b"[" * 100_000),
    "deep objects": (400, b'{"data":' * 100_000),
    "deep and closed": (400, b'{"data":' + b"[" * 90_000 + b"]" * 90_000 + b"}"),
    "huge integer": (400, b'{"data": [[' + b"9" * 5000 + b"]]}"),
    "same key twice": (400, b'{"data": [], "data": []}'),
    "a list": (422, json.dumps([ROW]).encode()),
    "a number": (422, b"1"),
    "null": (422, b"null"),
    "no data": (422, b"{}"),
    "another key": (422, score([ROW], extra=1)),
    "data is null": (422, score(None)),
    "data is a text": (422, score("0" * 64)),
    "data is an object": (422, score({"0": ROW})),
    "no rows": (422, score([])),
    "an empty row": (422, score([[]])),
    "one flat row": (422, score(ROW)),
    "63 wide": (422, score([ROW[1:]])),
    "65 wide": (422, score([[*ROW, 0.0]])),
    "ragged": (422, score([ROW, ROW[1:]])),
    "ragged image": (422, score([[[0.0] * 8] * 7 + [[0.0] * 7]])),
    "an image of another shape": (422, score([[[0.0] * 16] * 4])),
    "four dimensions": (422, score([[IMAGE] * 8] * 1)),
    "row and image": (422, score([ROW, [*IMAGE[:7], 0.0]])),
    "negative": (422, score([[-0.01, *ROW[1:]]])),
    "above one": (422, score([[1.01, *ROW[1:]]])),
    "bytes without scale": (422, score([[255, *ROW[1:]]])),
    "256 of 255": (422, score([[256, *ROW[1:]]], scale=255)),
    "1e308": (422, score([[1e308, *ROW[1:]]])),
    "overflows to infinity": (422, score([ROW]).replace(b"0.0", b"1e400", 1)),
    "an integer beyond floats": (422, score([[10**400, *ROW[1:]]])),
    "a text as pixel": (422, score([["0", *ROW[1:]]])),
    "true as pixel": (422, score([[True, *ROW[1:]]])),
    "null as pixel": (422, score([[None, *ROW[1:]]])),
    "scale of zero": (422, score([ROW], scale=0)),
    "negative scale": (422, score([ROW], scale=-255)),
    "scale is true": (422, score([ROW], scale=True)),
    "scale is a text": (422, score([ROW], scale="255")),
    "scale beyond floats": (422, score([ROW], scale=10**400)),
    "too many rows": (413, score([[0]] * 10_001)),
    "too large": (413, b" " * (8 << 20) + b"{}"),
}

BAD_INVOCATIONS: dict[str, tuple[int, Any]] = {
    "no key": (422, {}),
    "two keys": (422, {"inputs": [ROW], "instances": [ROW]}),
    "named tensors": (422, {"inputs": {"x": [ROW]}}),
    "params": (422, {"inputs": [ROW], "params": {"temperature": 1}}),
    "unknown key": (422, {"inputs": [ROW], "other": 1}),
    "frame without data": (422, {"dataframe_split": {"columns": []}}),
    "frame is a list": (422, {"dataframe_split": [ROW]}),
    "wrong columns": (422, {"dataframe_split": {"columns": ["a"], "data": [ROW]}}),
    "columns out of order": (
        422,
        {"dataframe_split": {"columns": [str(63 - i) for i in range(64)], "data": [ROW]}},
    ),
    "columns are objects": (422, {"dataframe_split": {"columns": {}, "data": [ROW]}}),
    "data as text": (422, {"instances": "x"}),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def forged_png(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has one compressed megabyte of zeros."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(bytes(1 << 20))),
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)


BAD_IMAGES: dict[str, tuple[int, bytes, str]] = {
    "empty": (422, b"", "image/png"),
    "text": (422, b"hello", "image/png"),
    "one shade": (422, forged_png(8, 8), "image/png"),
    "cut off": (422, forged_png(2000, 2000)[:200], "image/png"),
    "fewer pixels than claimed": (422, forged_png(4000, 4000), "image/png"),
    "too many pixels": (413, forged_png(60_000, 60_000), "image/png"),
    "a gif": (422, b"GIF89a" + bytes(50), "image/png"),
    "an svg": (415, b"<svg/>", "image/svg+xml"),
    "json": (415, b"{}", "application/json"),
    "a form without a boundary": (422, b"x", "multipart/form-data"),
    "a form without a file": (422, b"--b\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
    "a torn form": (422, b'--b\r\nContent-Disposition: form-data; filename="x"', "multipart/form-data; boundary=b"),
}  # fmt: skip


def check(response: Any, status: int) -> None:
    """The response has the status, and says why in JSON."""
    assert response.status == status, response.data
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["status"] == status
    assert response.json()["error"]


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_rows(client: Client, name: str) -> None:
    """A malformed body of /score is refused with the status that says what is wrong with it."""
    status, body = BAD_BODIES[name]
    check(client.post("/score", body), status)


@pytest.mark.parametrize("name", BAD_INVOCATIONS)
def test_bad_invocations(client: Client, name: str) -> None:
    """A malformed body of /invocations is refused."""
    status, body = BAD_INVOCATIONS[name]
    check(client.post("/invocations", body), status)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(client: Client, name: str) -> None:
    """What is no image, or too large a one, is refused."""
    status, body, kind = BAD_IMAGES[name]
    check(client.post("/predict", body, kind), status)


def test_other_types_and_encodings(client: Client) -> None:
    """Bodies of another type, or compressed, are refused without being read; so are flags of another value."""
    body = score([ROW])
    check(client.post("/score", body, "text/csv"), 415)
    check(client.post("/score", gzip.compress(body), **{"Content-Encoding": "gzip"}), 415)
    check(client.post("/score", gzip.compress(bytes(1 << 24)), **{"Content-Encoding": "gzip"}), 415)
    check(client.post("/score?proba=yes", body), 422)


@pytest.fixture
def app(registry: FolderRegistry, register: Register, fitted: Any) -> Any:
    """The application without a server, for many requests."""
    register(fitted)
    return ServingApp(CurrentModel(registry, "digits", poll_seconds=60), ServerLimits()).wsgi().test_client()


NUMBERS = st.floats() | st.integers() | st.integers(10**300, 10**320) | st.sampled_from([0, 1, 0.5, True, None, "0"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
ROWS = st.lists(st.lists(NUMBERS, min_size=63, max_size=65), max_size=2)
KEYS = st.sampled_from(["data", "inputs", "instances", "dataframe_split", "scale", "params", "columns"])
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(json.dumps).map(str.encode),
    st.dictionaries(KEYS, ROWS | VALUES, max_size=3).map(json.dumps).map(str.encode),
    st.builds(lambda table: json.dumps({"dataframe_split": table}).encode(), st.dictionaries(KEYS, ROWS | VALUES)),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/score", "/score?proba=1", "/invocations"]), body=BODIES)
def test_any_json(app: Any, path: str, body: bytes) -> None:
    """Whatever is sent, the answer is a prediction or a refusal in JSON, never a status of 5xx."""
    response = app.post(path, data=body, content_type="application/json")
    assert response.status_code in {200, 400, 413, 422}, response.data
    assert response.json is not None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 600))
def test_damaged_images(app: Any, images: Any, place: int, value: int, cut: int) -> None:
    """An image file with a changed byte or a torn end is predicted or refused."""
    data = bytearray(png(images[3]))
    data[place % len(data)] = value
    response = app.post("/predict", data=bytes(data[: len(data) - cut % 60]), content_type="image/png")
    assert response.status_code in {200, 413, 422}, response.data


def test_the_process_survives_and_stays_small(
    served: ModelServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """After a thousand malformed requests the server predicts as before; memory stays flat, the log empty."""
    small = [
        (path, body) for _, body in BAD_BODIES.values() for path in ("/score", "/invocations") if len(body) < 1 << 20
    ]
    caplog.set_level(logging.WARNING)

    def burst(count: int) -> int:
        for index in range(count):
            path, body = small[index % len(small)]
            assert 400 <= client.post(path, body).status < 500
            if index % 20 == 0:
                assert 400 <= client.post("/predict", forged_png(3000, 3000), "image/png").status < 500
        return int(psutil.Process().memory_info().rss)

    before = burst(200)
    after = burst(800)
    assert after - before < 64 << 20
    assert client.post("/score", score([ROW])).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
