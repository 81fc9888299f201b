"""Values of JSON that the pages' scripts show: summaries, runs and logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from mnistkit.reports.data import masked
from mnistkit.reports.overview_data import series_data
from mnistkit.runs.record import RunRecord
from mnistkit.utils.redaction import redacted
from mnistkit.utils.summary import Cell, Summary, SummaryTable
from mnistkit.utils.text import duration, number, safe, shown

__all__ = ["log_data", "progress_text", "record_data", "summary_data"]

_MAX_POINTS = 400
_MAX_LOG_CHARS = 200_000
_MAX_LINE_CHARS = 4_000
_MINUTE_SECONDS = 60


def summary_data(summary: Summary) -> dict[str, Any]:
    """Return a summary as values of JSON; every text is safe to show."""
    return {
        "title": safe(summary.title),
        "state": summary.state,
        "facts": [[safe(name), _cell(value)] for name, value in summary.facts.items()],
        "timeline": [{"label": safe(span.label), "seconds": span.seconds, "state": span.state}
                     for span in summary.timeline],
        "tables": [_table(table) for table in summary.tables if table.rows],
        "texts": [{"title": safe(text.title), "text": safe(text.text)} for text in summary.texts if text.text],
        "note": safe(summary.note),
    }  # fmt: skip


def record_data(record: RunRecord) -> dict[str, Any]:
    """Return what the page of a run shows, without secrets: its summary, its curves, and what it does now."""
    record = masked(record)
    return {
        "id": safe(record.id),
        "state": record.state.value,
        "finished": record.state.is_terminal,
        "progress": progress_text(record),
        "summary": summary_data(record.describe()),
        "series": series_data(record.points, _MAX_POINTS),
    }


def progress_text(record: RunRecord) -> str:
    """Return what a run that hasn't finished does now: the last value that it logged, and for how long it has run."""
    if record.state.is_terminal:
        return ""
    if record.waits_for:
        return safe(redacted(record.waits_for))
    parts = []
    if record.points:
        last = record.points[-1]
        step = "" if last.step is None else f" at step {last.step}"
        parts.append(f"{safe(redacted(last.name))} {number(last.value)}{step}")
    if record.started_at is not None:
        seconds = int((datetime.now(timezone.utc) - record.started_at).total_seconds())
        parts.append(f"for {max(seconds, 0)} s" if seconds < _MINUTE_SECONDS else f"for {duration(seconds)}")
    return ", ".join(parts)


def log_data(text: str, start: int, *, is_complete: bool) -> dict[str, Any]:
    """Return new text of a log: whole lines, because a secret that is cut in two isn't recognized.

    Args:
        text: The log from character ``start`` on.
        start: Where it begins in the log.
        is_complete: Whether more of the last line can't come.

    Returns:
        ``text``, ``next`` (the character to continue at), and ``skipped`` (characters that were left out before it).
    """
    skipped = max(len(text) - _MAX_LOG_CHARS, 0)
    if skipped:
        skipped = text.find("\n", skipped) + 1 or skipped
    end = len(text)
    if not is_complete and end - (text.rfind("\n") + 1) < _MAX_LINE_CHARS:
        end = text.rfind("\n") + 1
    return {"text": safe(redacted(text[skipped:end])), "next": start + end, "skipped": skipped}


def _table(table: SummaryTable) -> dict[str, Any]:
    return {
        "title": safe(table.title),
        "headings": list(map(safe, table.headings)),
        "numeric": list(table.is_numeric),
        "rows": [_row(row) for row in table.rows],
        "folded": table.is_folded,
    }


def _row(row: Sequence[Cell]) -> list[str]:
    return list(map(_cell, row))


def _cell(value: Cell) -> str:
    return safe(shown(value))
