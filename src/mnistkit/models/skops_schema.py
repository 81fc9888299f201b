"""Validate the JSON of a skops file before skops builds objects from it: its size, depth and references."""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mnistkit.errors import UnsafeModelError

__all__ = ["MAX_DEPTH", "SCHEMA_FILE", "check_schema"]

MAX_DEPTH: Final = 500
"""How deep the JSON in it may be nested."""

SCHEMA_FILE: Final = "schema.json"
"""The name of the JSON in a skops file."""

_MAX_SCHEMA_BYTES = 64 << 20
_MIN_PATH_LIMIT, _MAX_SHARING_RATIO = 10_000, 4
_MAX_NODES = 400_000
_MIN_BUILT_BYTES, _MAX_FILE_SHARING_RATIO = 16 << 20, 2
_ROOT = object()
_CHUNK_BYTES = 1 << 16
_STRING_PATTERN = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL
)  # also one without an end: no second try
_NON_BRACKET_BYTES = bytes(set(range(256)) - set(b"[]{}"))


def check_schema(archive: zipfile.ZipFile, member: zipfile.ZipInfo, sizes: Mapping[str, int], source: str) -> None:
    """Refuse a schema that is too large, too deep, or whose references multiply its objects or its files.

    Args:
        archive: The skops file.
        member: Its schema.
        sizes: The number of bytes in each file of the archive, unpacked, by name.
        source: What the file is, for messages.

    Raises:
        UnsafeModelError: It does one of these.
    """
    import numpy as np

    if member.file_size > _MAX_SCHEMA_BYTES:
        raise UnsafeModelError(
            f"{source}: {SCHEMA_FILE} has {member.file_size} bytes; it may have {_MAX_SCHEMA_BYTES}."
        )
    content = archive.read(member)
    brackets = _STRING_PATTERN.sub(b"", content).translate(None, _NON_BRACKET_BYTES)
    if brackets.count(b"{") > _MAX_NODES:
        raise UnsafeModelError(f"{source}: {SCHEMA_FILE} has more than {_MAX_NODES} objects: no model needs that.")
    depth = 0
    for start in range(0, len(brackets), _CHUNK_BYTES):
        piece = np.frombuffer(brackets[start : start + _CHUNK_BYTES], np.uint8)
        depths = depth + np.cumsum(np.where((piece == ord("[")) | (piece == ord("{")), 1, -1))
        if depths.max() > MAX_DEPTH:
            raise UnsafeModelError(f"{source}: {SCHEMA_FILE} is nested deeper than {MAX_DEPTH}: no model needs that.")
        depth = int(depths[-1])
    children, files = _children_by_id(json.loads(content))
    _check_files(files, sizes, source)
    _check_references(children, source)


def _check_files(files: Iterable[str], sizes: Mapping[str, int], source: str) -> None:
    """Refuse references to files that together hold far more than the archive: each makes an array of its own.

    What skops writes refers to each file once.
    """
    limit = max(_MIN_BUILT_BYTES, _MAX_FILE_SHARING_RATIO * sum(sizes.values()))
    if sum(sizes.get(file, 0) for file in files) > limit:
        raise UnsafeModelError(
            f"{source}: the references in {SCHEMA_FILE} make more than {limit} bytes of its files: it was forged, "
            "and could fill the memory."
        )


def _check_references(children: Mapping[Any, list[list[Any]]], source: str) -> None:
    """Refuse nodes whose references to each other multiply them, or lead back to them.

    skops builds one object for all nodes with the same ``__id__``, but checks an object once for each path to it. A few
    lists, each of which holds the one before twice, are billions of paths. What skops writes has no such references:
    it repeats an object's content wherever the object is used, so that a file has about as many nodes as paths.

    Each id is therefore counted with the largest of the contents that it stands for, from the leaves up: the number of
    paths below a node is 1 and the sum of those below its children.
    """
    written = sum(len(nodes) for nodes in children.values())
    limit = max(_MIN_PATH_LIMIT, _MAX_SHARING_RATIO * written)
    waiting = {key: sum(map(len, nodes)) for key, nodes in children.items()}
    parents: dict[Any, list[Any]] = {key: [] for key in children}
    for key, nodes in children.items():
        for child in itertools.chain.from_iterable(nodes):
            parents[child].append(key)
    paths: dict[Any, int] = {}
    ready = [key for key, count in waiting.items() if not count]
    for key in ready:  # it grows: a node is ready when all its children are counted
        paths[key] = min(limit + 1, max(1 + sum(paths[child] for child in node) for node in children[key]))
        for parent in parents[key]:
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    if len(ready) < len(children):
        raise UnsafeModelError(f"{source}: objects in {SCHEMA_FILE} contain themselves: it was forged or damaged.")
    if paths[_ROOT] > limit:
        raise UnsafeModelError(
            f"{source}: the references in {SCHEMA_FILE} make more than {limit} objects out of {written}: it was "
            "forged, and would take forever to load."
        )


def _children_by_id(schema: Any) -> tuple[dict[Any, list[list[Any]]], list[str]]:
    """Return, by id, the contents of the nodes that have it, each as the ids of its children; and the files to read.

    A node without an id gets one of its own. The root is `_ROOT`. A file comes as often as an object is built of it:
    once for each id, and for each node whose id skops doesn't remember.
    """
    files: list[str] = []
    built: set[tuple[Any, str]] = set()
    found: dict[Any, list[list[Any]]] = {_ROOT: [[]]}
    todo: list[tuple[Any, list[Any]]] = [(schema, found[_ROOT][0])]
    while todo:  # no recursion: lists within lists are nested as deep as JSON may be
        value, siblings = todo.pop()
        if isinstance(value, list):
            todo += [(item, siblings) for item in value]
        elif isinstance(value, dict):
            saved = value.get("__id__")
            key = object() if saved is None or isinstance(saved, (list, dict)) else saved
            own: list[Any] = []
            siblings.append(key)
            found.setdefault(key, []).append(own)
            file = value.get("file")
            if isinstance(file, str) and not (saved and (key, file) in built):
                built.add((key, file))
                files.append(file)
            todo += [(item, own) for item in value.values()]
    return found, files
