"""A run as one row of a list: the few values that runs are chosen by, without its log, files and history."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from mnistkit.errors import DataFormatError
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.parameters import Scalar, job_parameters
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.documents import parse_json

__all__ = ["RunRow"]

_TEXTS = ("id", "experiment", "state", "data", "model", "error", "note", "host")
_TIMES = ("started_at", "finished_at")
_MAX_TIME_SECONDS = 250_000_000_000  # in the year 9892
_STATES = frozenset(state.value for state in RunState)


@frozen(kw_only=True)
class RunRow:
    """One run in a list. Times are seconds since 1970-01-01 UTC.

    Attributes:
        id: The run's id.
        experiment: The group that it belongs to.
        state: One of the words of `RunState`.
        created_at: When it was submitted.
        started_at: When its code began to run; None if it hasn't.
        finished_at: When it ended; None if it hasn't.
        data: The uri of its data.
        model: The class of its estimator, or the name of its script.
        params: The parameters that were set, by name: ``C``, or ``classify__C`` of a step of a pipeline.
        defaults: The parameters that had their default values.
        metrics: The last value of each metric.
        tags: Free text by key.
        seed: Of a training job; None for scripts.
        limit: The number of training images that it was limited to; None for all.
        error: One line, if it failed.
        note: Text that a person added.
        host: The machine that runs it, as its backend names it; empty if that isn't known.
    """

    id: str
    experiment: str
    state: str
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    data: str = ""
    model: str = ""
    params: Mapping[str, Scalar] = field(factory=dict)
    defaults: Mapping[str, Scalar] = field(factory=dict)
    metrics: Mapping[str, float] = field(factory=dict)
    tags: Mapping[str, str] = field(factory=dict)
    seed: int | None = None
    limit: int | None = None
    error: str = ""
    note: str = ""
    host: str = ""

    @classmethod
    def of(cls, record: RunRecord) -> RunRow:
        """Return the row of a record."""
        job = record.job
        started, finished = record.started_at, record.finished_at
        return cls(
            id=record.id,
            experiment=record.experiment,
            state=record.state.value,
            created_at=record.created_at.timestamp(),
            started_at=started.timestamp() if started else None,
            finished_at=finished.timestamp() if finished else None,
            data=record.data,
            model=_model(job),
            params=job_parameters(job),
            defaults=_defaults(record),
            metrics=record.metrics,
            tags=dict(record.tags),
            seed=job.seed if isinstance(job, TrainingJob) else None,
            limit=job.limit if isinstance(job, TrainingJob) else None,
            error=record.error or "",
            note=record.note,
            host=record.host,
        )

    @property
    def duration(self) -> float | None:
        """The seconds from its start, or its submission if it never started, to its end; None if it hasn't ended."""
        if self.finished_at is None:
            return None
        start = self.created_at if self.started_at is None else self.started_at
        return max(self.finished_at - start, 0.0)

    def param(self, name: str) -> Scalar:
        """Return the value of a parameter, set or by default; None if it has no such parameter."""
        return self.params[name] if name in self.params else self.defaults.get(name)

    def to_plain(self) -> dict[str, Any]:
        """Return it as values of JSON; metrics that aren't finite are text, and the defaults are left out."""
        metrics = {name: value if math.isfinite(value) else str(value) for name, value in self.metrics.items()}
        plain = {name: getattr(self, name) for name in (*_TEXTS, "created_at", *_TIMES, "seed", "limit")}
        return {**plain, "params": dict(self.params), "metrics": metrics, "tags": dict(self.tags)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], defaults: Mapping[str, Scalar]) -> RunRow:
        """Return the row that `to_plain` wrote, with these defaults, which many rows share.

        Raises:
            ValueError: It is none: any program may have written it.
        """
        params, metrics, tags = (plain.get(name) for name in ("params", "metrics", "tags"))
        is_one = (
            all(type(plain.get(name)) is str for name in _TEXTS)
            and plain["state"] in _STATES
            and _is_time(plain.get("created_at"))
            and all(plain.get(name) is None or _is_time(plain[name]) for name in _TIMES)
            and all(type(plain.get(name)) in {int, type(None)} for name in ("seed", "limit"))
            and isinstance(params, dict)
            and isinstance(metrics, dict)
            and isinstance(tags, dict)
            and not any(isinstance(value, (dict, list)) for value in params.values())
            and all(type(value) is str for value in tags.values())
        )
        if not is_one:
            raise ValueError("It isn't a row of a run.")
        numbers: Any = metrics
        try:
            return cls(
                **{**plain, "defaults": defaults, "metrics": {name: float(value) for name, value in numbers.items()}}
            )
        except TypeError as error:
            raise ValueError(f"It isn't a row of a run: {error}.") from error


def _defaults(record: RunRecord) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, text in (record.provenance.defaults if record.provenance else {}).items():
        with contextlib.suppress(DataFormatError):
            value = parse_json(text, name)
            if not isinstance(value, (dict, list)):
                found[name] = value
    return found


def _model(job: Job) -> str:
    if isinstance(job, TrainingJob):
        return job.model.type.rpartition(".")[2]
    return job.entry_script if isinstance(job, ScriptJob) else job.name


def _is_time(value: object) -> bool:
    return type(value) is float and 0 <= value <= _MAX_TIME_SECONDS
