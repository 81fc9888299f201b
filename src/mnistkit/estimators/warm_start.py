"""Warm starts: which jobs to run one after another, and what these share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators.logistic import WarmStart


__all__ = ["new_warm_start", "warm_start_groups"]

_FAST = "mnistkit.estimators.FastLogisticRegression"


def warm_start_groups(jobs: Sequence[Job]) -> list[list[int]]:
    """Return which jobs to run one after another: those that differ in a `FastLogisticRegression`'s C alone.

    Returns:
        Groups of positions in ``jobs``, each in order of growing C; a job like no other is a group of its own.
    """
    groups: dict[object, list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(_group_key(job) or i, []).append(i)
    return [sorted(group, key=lambda i: _inverse_rate(jobs[i])) for group in groups.values()]


def new_warm_start(n: int) -> WarmStart | None:
    """Return what ``n`` jobs of one group (see `warm_start_groups`) share; None for a job on its own."""
    if n == 1:
        return None
    from mnistkit.estimators.logistic import WarmStart

    return WarmStart()


def _group_key(job: Job) -> bytes | None:
    """Return what the jobs of one group have in common; None for a job that is in no group."""
    if not isinstance(job, TrainingJob) or job.model.type != _FAST:
        return None
    params = {name: value for name, value in job.model.params.items() if name != "C"}
    return to_json([params, job.seed, job.limit, job.model_format, job.experiment])


def _inverse_rate(job: Job) -> float:
    C = job.model.params.get("C", 1.0) if isinstance(job, TrainingJob) else 1.0
    return float(C) if isinstance(C, (int, float)) else 0.0
