"""Runs as the command line reads and prints them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import asdict

from mnistkit.cli import output

if TYPE_CHECKING:  # loads numpy
    from mnistkit.runs.record import RunRecord
    from mnistkit.runs.table import RunTable

__all__ = ["digests", "note_experiments", "run_json", "run_table"]


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
        "host": record.host,
        "waits_for": record.waits_for,
        "phases": [
            {"state": str(p.state), "started_at": p.started_at, "seconds": p.seconds, "attempt": p.attempt}
            for p in record.phases
        ],
        "attempts": [asdict(attempt) for attempt in record.attempts],
    }


def digests(record: RunRecord) -> dict[str, str] | None:
    """Return the digest of each part of its fingerprint, and of the whole; None without one."""
    known = record.job.fingerprint
    return {**known.digests, "whole": known.digest} if known else None


def note_experiments(known: Iterable[str], experiment: str) -> None:
    """Print a note with the experiments that exist, for one that has no run."""
    names = ", ".join(sorted(known)) or "none yet"
    output.note(f"No run has the experiment {experiment!r:.80}; there are {names}.")


def run_table() -> RunTable:
    """Return all runs of the configured backend."""
    from mnistkit.config import find_config
    from mnistkit.plugins import configured_compute
    from mnistkit.runs.table import RunTable

    return RunTable.of(configured_compute(find_config()))
