"""Malformed requests to a model of 8x8 images, with the status that each is answered with."""

from __future__ import annotations

import json
import zlib
from typing import Any

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
