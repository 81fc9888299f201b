"""The list of runs as JSON: read from the backend when a page polls, and built anew only if something changed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from attrs import frozen

from mnistkit.errors import MnistkitError, UsageError
from mnistkit.reports.overview_data import overview_data, series_data
from mnistkit.runs.backend import ComputeBackend, SupportsRunRows
from mnistkit.runs.columns import FIXED_COLUMNS
from mnistkit.runs.query import RunQuery
from mnistkit.runs.record import RunState
from mnistkit.runs.row import RunRow
from mnistkit.runs.table import RunTable
from mnistkit.ui.plain import progress_text
from mnistkit.utils.markup import STATE_COLOURS
from mnistkit.utils.text import safe

__all__ = ["MAX_ROWS", "RunListQuery", "RunListing", "encode_json", "series_of"]

MAX_ROWS = 2_000
"""In one list; a filter finds the others."""

_MAX_PROGRESS = 20
_REMOTE_SECONDS = 10.0
_MAX_CACHED = 8
_MAX_SERIES_RUNS = 20
_MAX_POINTS = 200
_TERMINAL = frozenset(state.value for state in RunState if state.is_terminal)

Body = tuple[str, bytes]
"""An ETag, and the JSON that it stands for."""


@frozen(kw_only=True)
class RunListQuery:
    """A choice of runs, as a page sends it; an empty text leaves nothing out.

    Attributes:
        where: A filter, as `mnistkit.runs.parse_filter` takes it.
        sort: Names separated by commas, descending with a hyphen before it.
        columns: Names of the columns to show, separated by commas; empty for those that tell runs apart.
        sweep: Only runs of this sweep.
    """

    where: str = ""
    sort: str = ""
    columns: str = ""
    sweep: str = ""


class RunListing:
    """The runs of a backend for the pages. Nothing is read unless a page polls."""

    def __init__(self, compute: ComputeBackend) -> None:
        self._compute = compute
        self._lock = threading.Lock()
        self._read: tuple[float, RunTable] | None = None
        self._cache: OrderedDict[RunListQuery, tuple[object, Body]] = OrderedDict()

    def body(self, query: RunListQuery) -> Body:
        """Return the runs that are meant, as JSON with its ETag; a filter that is wrong is a ``problem`` in it."""
        with self._lock:
            table = self._table()
            progress = {row.id: self._progress(row) for row in _active(table)}
            state = (table.rows, progress)
            found = self._cache.get(query)
            if found is None or found[0] != state:
                body = encode_json(self._data(table, query, progress))
                self._cache[query] = found = (state, body)
            self._cache.move_to_end(query)
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
            return found[1]

    def _table(self) -> RunTable:
        """Return all runs; where that takes requests to a service, as they were a few seconds ago at most."""
        now = time.monotonic()
        if self._read is None or isinstance(self._compute, SupportsRunRows) or now - self._read[0] > _REMOTE_SECONDS:
            self._read = (now, RunTable.of(self._compute))
        return self._read[1]

    def _data(self, table: RunTable, query: RunListQuery, progress: dict[str, str]) -> dict[str, Any]:
        problem, columns = "", []
        chosen = table.keep(lambda row: row.tags.get("sweep") == query.sweep) if query.sweep else table
        try:
            chosen = RunQuery(where=query.where or None, sort=query.sort or None).apply(chosen)
            names = [name.strip() for name in query.columns.split(",") if name.strip()]
            columns = [_full_name(table, name) for name in names]
        except UsageError as error:
            problem = safe(str(error))
        shown = chosen[:MAX_ROWS]
        data = overview_data(shown, series=False)
        for plain, row in zip(data["runs"], shown.rows, strict=True):
            plain["progress"] = progress.get(row.id, "")
            plain |= {"started": row.started_at, "finished": row.finished_at, "host": safe(row.host)}
        return {
            **data, "colours": STATE_COLOURS, "columns": columns, "problem": problem, "total": len(chosen),
            "active": bool(progress),
        }  # fmt: skip

    def _progress(self, row: RunRow) -> str:
        with suppress(MnistkitError, OSError):  # deleted, or damaged, since the list was read
            return progress_text(self._compute.get(row.id))
        return ""


def series_of(compute: ComputeBackend, run_ids: list[str]) -> dict[str, Any]:
    """Return the curves of some runs, and which of them won't change any more; runs that can't be read are left out."""
    series, final = {}, []
    for run_id in run_ids[:_MAX_SERIES_RUNS]:
        with suppress(MnistkitError, OSError):
            record = compute.get(run_id)
            series[run_id] = series_data(record.points, _MAX_POINTS)
            final += [run_id] if record.state.is_terminal else []
    return {"series": series, "final": final}


def encode_json(value: Any) -> Body:
    """Return a value as JSON, with an ETag that changes with it."""
    body = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest()[:32], body


def _active(table: RunTable) -> list[RunRow]:
    return [row for row in table.rows if row.state not in _TERMINAL][:_MAX_PROGRESS]


def _full_name(table: RunTable, name: str) -> str:
    """Return the name of a column with its group: ``params.C``, not ``C``."""
    if name in {"tags", "progress", *FIXED_COLUMNS} or not table.columns.is_known:
        return name
    table.columns.find(name)
    for group, names in table.columns.names.items():
        if name in names:
            return f"{group}.{name}"
    return name
