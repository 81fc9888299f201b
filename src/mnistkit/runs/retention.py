"""Deleting old runs: a plan that says what goes, what stays and why; then its execution, which looks again."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from attrs import frozen

from mnistkit.errors import MnistkitError, ModelNotFoundError, RunNotFoundError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.record import RunRecord
from mnistkit.utils.clock import utc_now

__all__ = [
    "DeletesRuns",
    "KeptRun",
    "PruningPlan",
    "parse_age",
    "plan_pruning",
    "prune",
    "registered_versions",
    "run_size",
]

_log = logging.getLogger(__name__)

_AGE = re.compile(r"([0-9]{1,5})\s*([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@runtime_checkable
class DeletesRuns(Protocol):
    """A compute backend that can delete runs; not all can."""

    def get(self, run_id: str) -> RunRecord:
        """The present record; see `mnistkit.interfaces.ComputeBackend.get`."""

    def delete_run(self, run_id: str) -> None:
        """Remove a run that has ended, with all its files.

        Raises:
            RunNotFoundError: No run has that id.
            RunStateError: It hasn't ended.
        """


@frozen(kw_only=True)
class KeptRun:
    """A run that stays.

    Attributes:
        record: The run.
        reason: Why, such as ``"digits:3 came from it"``.
    """

    record: RunRecord
    reason: str


@frozen(kw_only=True)
class PruningPlan:
    """Which runs go and which stay: each of those that were looked at is in one of the two.

    Attributes:
        delete: The runs that go, newest first.
        keep: The runs that stay, each with the reason, newest first.
    """

    delete: tuple[RunRecord, ...]
    keep: tuple[KeptRun, ...]


def plan_pruning(
    records: Iterable[RunRecord],
    models: Iterable[ModelVersion],
    *,
    keep: int | None = None,
    older_than: timedelta | None = None,
    now: datetime | None = None,
) -> PruningPlan:
    """Say which runs to delete. Nothing is deleted: `prune` does that.

    A run goes if it has ended, no registered version came from it, it isn't among the newest ``keep`` of its
    experiment, and it ended longer than ``older_than`` ago.

    Args:
        records: All runs, of one experiment or of several: ``trainer.compute.runs()``.
        models: All registered versions: ``registered_versions(trainer.models)``.
        keep: How many of the newest runs of each experiment stay, however they ended; None for no such rule.
        older_than: The age, counted from its end, up to which a run stays; None for no such rule.
        now: The time to count from; None for the present.

    Raises:
        UsageError: Neither ``keep`` nor ``older_than`` is given, or one of them is negative.
    """
    if keep is None and older_than is None:
        raise UsageError("Say what to keep: so many of the newest runs (keep), those of late (older_than), or both.")
    if (keep is not None and keep < 0) or (older_than is not None and older_than < timedelta()):
        raise UsageError(f"keep={keep}, older_than={older_than}: use none that is negative.")
    now = now or utc_now()
    origins: dict[str, list[str]] = {}
    _add_origins(origins, models)
    rank: Counter[str] = Counter()
    doomed, kept = [], []
    for record in sorted(records, key=lambda record: (record.created_at, record.id), reverse=True):
        rank[record.experiment] += 1
        age = now - (record.finished_at or now)
        reason = _tie(record, origins)
        if reason is None and keep is not None and rank[record.experiment] <= keep:
            reason = f"it is one of the newest {keep} of {record.experiment}"
        if reason is None and older_than is not None and age <= older_than:
            reason = f"it ended {_in_words(age)} ago"
        if reason is None:
            doomed.append(record)
        else:
            kept.append(KeptRun(record=record, reason=reason))
    return PruningPlan(delete=tuple(doomed), keep=tuple(kept))


def prune(plan: PruningPlan, compute: DeletesRuns, models: ModelRegistry) -> PruningPlan:
    """Delete the runs that a plan says, each after one more look at its state and at the models registered by then.

    One that can't be deleted doesn't stop the others. One that somebody else has deleted is in neither list.

    Args:
        plan: What to delete.
        compute: Where the runs are.
        models: Where models are registered.

    Returns:
        What was deleted; what stays, as planned or after all, and why.

    Raises:
        IntegrityError: It can't be told which run a version came from. What was deleted by then is gone.
    """
    looked_at: dict[str, int] = {}
    origins: dict[str, list[str]] = {}
    deleted, kept = [], list(plan.keep)
    for run in plan.delete:
        _add_origins(origins, _registered_since(models, looked_at))
        try:
            reason = _tie(compute.get(run.id), origins)
            if reason is None:
                compute.delete_run(run.id)
        except RunNotFoundError:
            continue
        except (MnistkitError, OSError) as error:
            reason = f"it can't be deleted: {error}"
        if reason is None:
            deleted.append(run)
        else:
            kept.append(KeptRun(record=run, reason=reason))
    return PruningPlan(delete=tuple(deleted), keep=tuple(kept))


def registered_versions(models: ModelRegistry) -> tuple[ModelVersion, ...]:
    """All versions of all models. Unlike `ModelRegistry.versions` it leaves none out.

    Raises:
        IntegrityError: One can't be read: what it came from can't be told.
    """
    return tuple(_registered_since(models, {}))


def run_size(record: RunRecord) -> int | None:
    """How many bytes the files of a run take; None if they aren't in a folder of this machine."""
    if not os.path.isdir(record.url):  # noqa: PTH112 - it may be a web address
        return None
    size = 0
    for folder, _, files in os.walk(record.url):
        for file in files:
            with contextlib.suppress(OSError):
                size += os.lstat(f"{folder}/{file}").st_size
    return size


def parse_age(text: str) -> timedelta:
    """A time span as people write it: ``12h``, ``30d``, ``2w``.

    Raises:
        UsageError: It isn't one.
    """
    match = _AGE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r:.60} is no time span: write hours, days or weeks, such as 12h, 30d or 2w.")
    return int(match[1]) * _UNITS[match[2]]


def _tie(record: RunRecord, origins: dict[str, list[str]]) -> str | None:
    """Why a run must stay whatever the rules say; None if nothing ties it."""
    if not record.state.is_terminal:
        return f"it is {record.state}"
    if record.id in origins:
        return f"{', '.join(origins[record.id])} came from it"
    return None


def _add_origins(origins: dict[str, list[str]], models: Iterable[ModelVersion]) -> None:
    """Add the ids of versions to those that came from the same run, by that run's id."""
    for model in models:
        if model.run_id is not None:
            origins.setdefault(model.run_id, []).append(model.id)


def _registered_since(models: ModelRegistry, looked_at: dict[str, int]) -> Iterator[ModelVersion]:
    """Yield the versions above the numbers in ``looked_at``, by model, and note there how far that was."""
    for name in models.names():
        with contextlib.suppress(ModelNotFoundError):  # deleted meanwhile
            newest, done = models.get(name).version, looked_at.get(name, 0)
            if newest > done:
                readable = {model.version: model for model in models.versions(name)}
                for number in range(done + 1, newest + 1):
                    with contextlib.suppress(ModelNotFoundError):
                        yield readable.get(number) or models.get(name, number)
                looked_at[name] = newest


def _in_words(age: timedelta) -> str:
    days, hours = age.days, max(int(age / timedelta(hours=1)), 0)
    return f"{days} days" if days > 1 else f"{hours} hours"
