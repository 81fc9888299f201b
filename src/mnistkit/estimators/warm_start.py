"""Jobs that gain from being run one after another, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import RegularizationPath


__all__ = ["new_path", "paths"]

_FAST = "mnistkit.estimators.FastLogisticRegression"


def paths(jobs: Sequence[Job]) -> list[list[int]]:
    """Which jobs gain from being run one after another: those that differ in a `FastLogisticRegression`'s C alone.

    Returns:
        Groups of positions in ``jobs``, each in order of growing C; a job that none other is like is its own group.
    """
    groups: dict[object, list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(_path_key(job) or i, []).append(i)
    return [sorted(group, key=lambda i: _inverse_rate(jobs[i])) for group in groups.values()]


def new_path(n: int) -> RegularizationPath | None:
    """What ``n`` jobs of one group (see `paths`) share; None for a job on its own."""
    if n == 1:
        return None
    from mnistkit.estimators import RegularizationPath

    return RegularizationPath()


def _path_key(job: Job) -> bytes | None:
    """What jobs of one path have in common; None for a job that isn't part of any."""
    if not isinstance(job, TrainingJob) or job.model.type != _FAST:
        return None
    params = {name: value for name, value in job.model.params.items() if name != "C"}
    return to_json([params, job.seed, job.limit, job.model_format, job.experiment])


def _inverse_rate(job: Job) -> float:
    C = job.model.params.get("C", 1.0) if isinstance(job, TrainingJob) else 1.0
    return float(C) if isinstance(C, (int, float)) else 0.0
