"""An index of run folders: it makes long lists fast, can be deleted at any time, and is never the truth.

It is one file beside the run folders, ``.index.jsonl``: a row for each run that has finished, with a stamp of the files
that the row was read from. A row counts only while its stamp is that of the files as they are now; else the run itself
is read, and so is every run that hasn't finished, and every run that changed within the last seconds, where another
change might leave the stamp as it is. Whatever the file holds, a list shows what the run folders say, unless someone
forges both a row and its stamp, who could as well have written the record.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.runs.annotations import ANNOTATIONS_FILE
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.row import RunRow
from mnistkit.utils.documents import MAX_LINES_BYTES, json_lines
from mnistkit.utils.files import write_atomically
from mnistkit.utils.regular import read_regular

__all__ = ["INDEX_FILE", "RunIndex"]

_log = logging.getLogger(__name__)

INDEX_FILE = ".index.jsonl"
"""Beside the run folders."""

_FORMAT = 2
"""Of the rows: an index of another format is left out, and written anew."""

_STAMPED_FILES = ("record.json", "job.json", "metrics.jsonl", "tags.jsonl", ANNOTATIONS_FILE)
_SETTLED_NS = 2 * 10**9
_MIN_CHANGES = 32
_CHANGED_SHARE = 0.02

_Stamp = tuple[int, ...]


@frozen
class _Entry:
    stamp: _Stamp
    row: RunRow


class RunIndex:
    """The rows of all runs below one folder."""

    def __init__(self, root: Path, store: RunStore) -> None:
        self._root = root
        self._path = root / INDEX_FILE
        self._store = store

    def rows(self) -> list[RunRow]:
        """Return a row for each run that can be read, newest first, as the run folders are now.

        The index is written anew once it lacks a few per cent of them. Where that isn't possible, nothing is lost but
        time.
        """
        known = self._read()
        rows, entries, changes = [], {}, 0
        now = time.time_ns()
        for run_id in self._store.ids():
            stamp = _stamp(f"{self._root}{os.sep}{run_id}")
            entry = known.pop(run_id, None)
            if entry is None or entry.stamp != stamp:
                row = self._read_run(run_id)
                if row is None:
                    continue
                entry = _Entry(stamp, row)
                if now - max(stamp[::2]) > _SETTLED_NS and self._has_finished(row):
                    entries[run_id] = entry
                    changes += 1
            else:
                entries[run_id] = entry
            rows.append(entry.row)
        if changes + len(known) > max(_MIN_CHANGES, _CHANGED_SHARE * len(entries)):
            self._write(entries)
        return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)

    def _read_run(self, run_id: str) -> RunRow | None:
        record = self._store.read_or_warn(run_id)
        return None if record is None else RunRow.of(record)

    def _has_finished(self, row: RunRow) -> bool:
        """Return True if its record says that it has finished.

        One that is Failed only because its process is gone is none: on another machine, which can't see the process,
        it may be Running.
        """
        with contextlib.suppress(Exception):  # it was deleted meanwhile, or damaged
            return self._store.state(row.id).is_terminal
        return False

    def _read(self) -> dict[str, _Entry]:
        try:
            data = read_regular(self._path, MAX_LINES_BYTES)
        except OSError:
            return {}
        # What the strict reader looks for in each line: escapes, which stand for control characters here, but could be
        # halves of characters. Numbers are checked with the types of a row.
        lines = json_lines(data) if b"\\u" in data else _plain_lines(data)
        head = next(lines, None) or {}
        defaults = head.get("defaults")
        if head.get("format") != _FORMAT or not isinstance(defaults, list):
            return {}
        return dict(_entries(lines, defaults))

    def _write(self, entries: dict[str, _Entry]) -> None:
        lines: list[str] = []
        defaults: dict[str, int] = {}
        for entry in entries.values():
            shared = _compact(dict(entry.row.defaults))
            number = defaults.setdefault(shared, len(defaults))
            lines.append(_compact({"stamp": entry.stamp, "defaults": number, "row": entry.row.to_plain()}))
        head = f'{{"format":{_FORMAT},"defaults":[{",".join(defaults)}]}}'
        data = ("\n".join([head, *lines]) + "\n").encode()
        if len(data) > MAX_LINES_BYTES:
            return
        try:
            write_atomically(self._path, data)
        except OSError as error:
            _log.debug("The index of runs can't be written: %s", error)


def _plain_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            item = json.loads(line)
            if isinstance(item, dict):
                yield item


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _entries(lines: Iterator[dict[str, Any]], defaults: list[Any]) -> Iterator[tuple[str, _Entry]]:
    shared = {
        number: values
        for number, values in enumerate(defaults)
        if isinstance(values, dict) and not any(isinstance(value, (dict, list)) for value in values.values())
    }
    for line in lines:
        stamp, row, number = line.get("stamp"), line.get("row"), line.get("defaults")
        if isinstance(stamp, list) and isinstance(row, dict) and type(number) is int and number in shared:
            with contextlib.suppress(ValueError):
                found = RunRow.from_plain(row, shared[number])
                yield found.id, _Entry(tuple(stamp), found)


def _stamp(folder: str) -> _Stamp:
    """Return time and size of the folder and of each file that a row is made of; -1 for one that isn't there.

    A record is replaced, which changes the folder's time; metrics and tags are appended to, which changes theirs.
    """
    found: list[int] = [_changed(folder)[0], 0]
    for name in _STAMPED_FILES:
        found += _changed(f"{folder}{os.sep}{name}")
    return tuple(found)


def _changed(path: str) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return -1, -1
    return status.st_mtime_ns, status.st_size
