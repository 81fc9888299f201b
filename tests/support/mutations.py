"""What a hostile or broken program may leave in place of a file."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["MUTATIONS", "mutate"]

_TOKENS = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "1.5",
    "[]",
    "{}",
    '""',
    '"x"',
    '"nan"',
    '"\\ud800"',
    '"\\u202e"',
    '"../../etc"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"2026-01-01T00:00:00"',
    "9223372036854775808",
    "[[[[[]]]]]",
    '{"a":{"b":[]}}',
    "[null]",
    "[1]",
    '"Completed"',
    '"Queued"',
]
_LONG_TOKENS = (
    "1" + "0" * 400,
    "1" * 5000,
    "[" * 100 + "]" * 100,
    "[" * 100_000,
    '{"a":' * 50_000,
    '"' + "x" * 100_000 + '"',
)
_MARK = "\x00mark\x00"


def _flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data)


def _cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    at, to = sorted(rng.randint(0, len(data)) for _ in range(2))
    path.write_bytes(rng.choice([data[:at], data[at:], data[:at] + data[to:], data[:to] + data[at:]]))


def _insert(path: Path, rng: random.Random) -> None:
    data, token = path.read_bytes(), rng.choice([*_TOKENS, *_LONG_TOKENS]).encode()
    at = rng.randint(0, len(data))
    path.write_bytes(data[:at] + token + data[at:])


def _replace_value(path: Path, rng: random.Random) -> None:
    """Replace, rename, copy or remove one value of a JSON document or of one line of it."""
    text = path.read_text(errors="replace")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    number = rng.randrange(len(lines)) if lines else 0
    try:
        document = json.loads(lines[number])
    except (ValueError, IndexError, RecursionError):
        _insert(path, rng)
        return
    token = rng.choice([*_TOKENS, *_LONG_TOKENS])
    lines[number] = json.dumps(_changed(document, rng)).replace(json.dumps(_MARK), token)
    path.write_text("\n".join(lines))


def _changed(document: Any, rng: random.Random) -> Any:
    if isinstance(document, dict) and document and rng.random() < 0.9:
        key = rng.choice(list(document))
        if rng.random() < 0.15:
            return {name: value for name, value in document.items() if name != key}
        if rng.random() < 0.1:
            return {**document, rng.choice(["more", "", "\x00", key.upper()]): document[key]}
        return {**document, key: _changed(document[key], rng)}
    if isinstance(document, list) and document and rng.random() < 0.9:
        at = rng.randrange(len(document))
        if rng.random() < 0.2:
            return document[:at] + document[at + 1 :]
        return [*document[:at], _changed(document[at], rng), *document[at + 1 :]]
    return _MARK


def _pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(
        rng.choice(["/dev/zero", "/dev/urandom", "/etc/passwd", "nowhere", path.name, "..", "/proc/self/mem"])
    )


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _sparse(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.choice([100 << 30, 1 << 40]))


def _empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def _remove(path: Path, rng: random.Random) -> None:
    path.unlink()


MUTATIONS: dict[str, tuple[int, Callable[[Path, random.Random], None]]] = {
    "flip": (6, _flip),
    "cut": (4, _cut),
    "insert": (6, _insert),
    "value": (12, _replace_value),
    "pipe": (1, _pipe),
    "link": (2, _link),
    "folder": (1, _folder),
    "sparse": (1, _sparse),
    "empty": (1, _empty),
    "remove": (1, _remove),
}
"""Each by name, with how often it is chosen."""


def mutate(path: Path, original: bytes, seed: int) -> str:
    """Make ``path`` what it was, then put something else in its place; return the name of the mutation."""
    rng = random.Random(seed)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_bytes(original)
    names = list(MUTATIONS)
    name = rng.choices(names, [MUTATIONS[each][0] for each in names])[0]
    MUTATIONS[name][1](path, rng)
    return name
