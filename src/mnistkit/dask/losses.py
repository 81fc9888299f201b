"""The record of a run whose worker was lost: as far as it was reported, and then another attempt or none."""

from __future__ import annotations

from datetime import datetime

from mnistkit.runs.folder.attempts import may_retry
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import Attempt, RunRecord, RunState
from mnistkit.utils.files import write_atomically

__all__ = ["has_begun", "record_loss", "restore"]


def has_begun(record: RunRecord) -> bool:
    """Return True if an attempt at a run has begun and hasn't ended otherwise."""
    return record.state is not RunState.QUEUED


def restore(store: RunStore, run_id: str, record: bytes, owner: Owner) -> RunRecord:
    """Write what a node reported as a run's record, for its owner, and return it."""
    write_atomically(store.folder(run_id) / "record.json", record)
    store.hand_over(run_id, owner)
    return store.read(run_id)


def record_loss(store: RunStore, run_id: str, host: str, now: datetime) -> None:
    """Record that the worker of a run's present attempt was lost: Queued again if its job allows that, else Failed."""
    record = store.read(run_id)
    began = max(
        (t.at for t in record.transitions if t.state in {RunState.QUEUED, RunState.PREPARING}),
        default=record.created_at,
    )
    error = f"The worker that ran it was lost: {host}."
    attempt = Attempt(started_at=began, ended_at=max(now, began), cause="killed", error=error)
    job = record.job
    if may_retry("killed", len(record.attempts) + 1, retries=job.retries, retry_on=job.retry_on):
        store.advance(run_id, RunState.QUEUED, attempt=attempt)
    else:
        store.advance(run_id, RunState.FAILED, attempt=attempt, error=error)
