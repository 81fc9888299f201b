"""Retention: plan which old runs to delete and which to keep, with reasons; then delete, with a second check."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from attrs import frozen

from mnistkit.errors import MnistkitError, ModelNotFoundError, RunNotFoundError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.backend import SupportsDelete
from mnistkit.runs.record import RunRecord
from mnistkit.utils.clock import utc_now
from mnistkit.utils.folders import walk_folders

__all__ = [
    "KeptRun",
    "PruningPlan",
    "parse_age",
    "plan_pruning",
    "prune",
    "registered_versions",
    "run_size",
]

_log = logging.getLogger(__name__)

_AGE_PATTERN = re.compile(r"([0-9]{1,5})\s*([hdw])")
_AGE_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@frozen(kw_only=True)
class KeptRun:
    """A run to keep.

    Attributes:
        record: The run.
        reason: The reason, such as ``"digits:3 came from it"``.
    """

    record: RunRecord
    reason: str


@frozen(kw_only=True)
class PruningPlan:
    """The runs to delete and the runs to keep: each run that was considered is in one of the two.

    Attributes:
        delete: The runs to delete, newest first.
        keep: The runs to keep, each with the reason, newest first.
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
    """Return which runs to delete and which to keep. Nothing is deleted: `prune` does that.

    A run is deleted if it has finished, no registered version came from it, it isn't among the newest ``keep`` of its
    experiment, and it finished longer than ``older_than`` ago.

    Args:
        records: All runs, of one experiment or of several: ``trainer.compute.runs()``.
        models: All registered versions: ``registered_versions(trainer.models)``.
        keep: The number of newest runs of each experiment to keep, whatever their state; None for no such rule.
        older_than: The age, counted from its end, up to which a run is kept; None for no such rule.
        now: The time to count from; None for the present.

    Raises:
        UsageError: Neither ``keep`` nor ``older_than`` is given, or one of them is negative.
    """
    if keep is None and older_than is None:
        raise UsageError("Set keep (the number of newest runs), older_than (an age such as 30d), or both.")
    if (keep is not None and keep < 0) or (older_than is not None and older_than < timedelta()):
        raise UsageError(f"keep={keep}, older_than={older_than}: they can't be negative.")
    now = now or utc_now()
    origins: dict[str, list[str]] = {}
    _add_origins(origins, models)
    rank: Counter[str] = Counter()
    to_delete, kept = [], []
    for record in sorted(records, key=lambda record: (record.created_at, record.id), reverse=True):
        rank[record.experiment] += 1
        age = now - (record.finished_at or now)
        reason = _required_by(record, origins)
        if reason is None and keep is not None and rank[record.experiment] <= keep:
            reason = f"it is one of the newest {keep} of {record.experiment}"
        if reason is None and older_than is not None and age <= older_than:
            reason = f"it finished {_in_words(age)} ago"
        if reason is None:
            to_delete.append(record)
        else:
            kept.append(KeptRun(record=record, reason=reason))
    return PruningPlan(delete=tuple(to_delete), keep=tuple(kept))


def prune(plan: PruningPlan, compute: SupportsDelete, models: ModelRegistry) -> PruningPlan:
    """Delete the runs of a plan, each after its state and the models registered by then have been checked again.

    One that can't be deleted doesn't stop the others. One that another process has deleted is in neither list.

    Args:
        plan: What to delete.
        compute: Where the runs are.
        models: Where models are registered.

    Returns:
        The runs that were deleted, and those that were kept, as planned or after the check, with reasons.

    Raises:
        IntegrityError: A version can't be read, so that its run is unknown. Runs deleted by then stay deleted.
    """
    checked: dict[str, int] = {}
    origins: dict[str, list[str]] = {}
    deleted, kept = [], list(plan.keep)
    for run in plan.delete:
        _add_origins(origins, _registered_since(models, checked))
        try:
            reason = _required_by(compute.get(run.id), origins)
            if reason is None:
                compute.delete_run(run.id)
        except RunNotFoundError:
            continue
        except (MnistkitError, OSError) as error:
            reason = f"it can't be deleted: {str(error).rstrip('.')}"
        if reason is None:
            deleted.append(run)
        else:
            kept.append(KeptRun(record=run, reason=reason))
    return PruningPlan(delete=tuple(deleted), keep=tuple(kept))


def registered_versions(models: ModelRegistry) -> tuple[ModelVersion, ...]:
    """Return all versions of all models. Unlike `ModelRegistry.versions` it leaves none out.

    Raises:
        IntegrityError: One can't be read, so that its run is unknown.
    """
    return tuple(_registered_since(models, {}))


def run_size(record: RunRecord) -> int | None:
    """Return the size of a run's files in bytes; None if they aren't in a folder of this machine."""
    if not os.path.isdir(record.url):  # noqa: PTH112 - it may be a web address
        return None
    size = 0
    for folder, _, files in walk_folders(record.url):
        for file in files:
            with contextlib.suppress(OSError):
                size += os.lstat(f"{folder}/{file}").st_size
    return size


def parse_age(text: str) -> timedelta:
    """Return the time span of a text such as ``12h``, ``30d`` or ``2w``.

    Raises:
        UsageError: It isn't one.
    """
    match = _AGE_PATTERN.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r:.60} isn't a time span: write hours, days or weeks, such as 12h, 30d or 2w.")
    return int(match[1]) * _AGE_UNITS[match[2]]


def _required_by(record: RunRecord, origins: dict[str, list[str]]) -> str | None:
    """Return why a run must be kept whatever the rules are; None if nothing requires it."""
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


def _registered_since(models: ModelRegistry, checked: dict[str, int]) -> Iterator[ModelVersion]:
    """Yield the versions above the numbers in ``checked``, by model, and update these numbers."""
    for name in models.names():
        with contextlib.suppress(ModelNotFoundError):  # deleted meanwhile
            newest, done = models.get(name).version, checked.get(name, 0)
            if newest > done:
                readable = {model.version: model for model in models.versions(name)}
                for number in range(done + 1, newest + 1):
                    with contextlib.suppress(ModelNotFoundError):
                        yield readable.get(number) or models.get(name, number)
                checked[name] = newest


def _in_words(age: timedelta) -> str:
    days, hours = age.days, max(int(age / timedelta(hours=1)), 0)
    return f"{days} days" if days > 1 else f"{hours} hours"
