"""A run as the command line prints it: a row of a table, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict

from mnistkit.cli import output

if TYPE_CHECKING:  # loads numpy
    from mnistkit.runs.record import RunRecord

__all__ = ["digests", "run_json", "run_row"]


def run_json(record: RunRecord) -> dict[str, object]:
    """Return a run as ``--json`` shows it."""
    return {
        "id": record.id,
        "experiment": record.experiment,
        "state": str(record.state),
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "job": record.job.describe().title,
        "data": record.data,
        "metrics": record.metrics,
        "tags": record.tags,
        "note": record.note,
        "files": record.files,
        "error": record.error,
        "url": record.url,
        "phases": [
            {"state": str(p.state), "started_at": p.started_at, "seconds": p.seconds, "attempt": p.attempt}
            for p in record.phases
        ],
        "attempts": [asdict(attempt) for attempt in record.attempts],
    }


def run_row(record: RunRecord) -> tuple[str, ...]:
    """Return the cells of ``mnistkit runs list``."""
    return (
        record.id,
        str(record.state),
        output.short_time(record.created_at),
        output.duration(record.created_at, record.finished_at),
        output.metric(record.metrics, "accuracy"),
        record.job.describe().title,
        record.experiment,
    )


def digests(record: RunRecord) -> dict[str, str] | None:
    """Return the digest of each part of its fingerprint, and of the whole; None without one."""
    known = record.job.fingerprint
    return {**known.digests, "whole": known.digest} if known else None
