"""Metrics, parameters and tags in the form that MLflow takes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from mnistkit.mlflow._sdk import client, entities, retried, sdk
from mnistkit.mlflow.address import Address
from mnistkit.runs.record import MetricPoint
from mnistkit.utils.clock import utc_time

__all__ = [
    "RUN_TAG",
    "from_milliseconds",
    "is_key",
    "log_values",
    "metric_name",
    "metric_points",
    "metrics_of",
    "milliseconds",
    "params_of",
    "tags_of",
]

RUN_TAG: Final = "mnistkit.run"
"""The tag of an MLflow run that holds the id of the run that it mirrors."""

_OTHER_PATTERN = re.compile(r"[^\w .:/-]")
_MAX_KEY_CHARS = 250
_MAX_PARAM_CHARS = 6000
_MAX_TAG_CHARS = 8000
_MAX_METRICS = 1000
_MAX_VALUES = 100


def milliseconds(at: datetime) -> int:
    """Return a time in MLflow's unit, milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def from_milliseconds(at: int) -> datetime:
    """Return the time of MLflow's milliseconds since 1970, in UTC."""
    return utc_time(at / 1000)


def is_key(name: str) -> bool:
    """Return True if MLflow takes a name for a metric, parameter or tag as it is."""
    return name == metric_name(name)


def metric_name(name: str) -> str:
    """Return a name that MLflow takes: what it forbids becomes ``_``, also in names that are no plain path."""
    text = _OTHER_PATTERN.sub("_", name)[:_MAX_KEY_CHARS] or "_"
    is_path = posixpath.normpath(text) == text and text != "." and not text.startswith(("/", ".."))
    return text if is_path else re.sub("[/.]", "_", text)


def metrics_of(values: Mapping[str, float], at: datetime) -> list[Any]:
    """Return MLflow's metrics of values by name, logged at one time."""
    return metric_points([MetricPoint(name, value, None, at) for name, value in values.items()])


def metric_points(points: Iterable[MetricPoint]) -> list[Any]:
    """Return MLflow's metrics of logged points; those without a step are of step 0, as MLflow counts."""
    metric = sdk("mlflow.entities").Metric
    return [metric(metric_name(p.name), p.value, milliseconds(p.time), p.step or 0) for p in points]


def params_of(values: Mapping[str, object]) -> list[Any]:
    """Return MLflow's parameters of values by name, cut to the length that MLflow takes."""
    texts = {metric_name(name): str(value)[:_MAX_PARAM_CHARS] for name, value in values.items()}
    return entities("Param", texts)


def tags_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return tags with names and values that MLflow takes; values are cut, empty ones left out."""
    return {metric_name(name): value[:_MAX_TAG_CHARS] for name, value in values.items() if value}


def log_values(
    address: Address,
    run_id: str,
    *,
    metrics: Sequence[Any] = (),
    params: Sequence[Any] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log values to a run, in as many requests as MLflow's limits take. Logging them again changes nothing."""
    made, marks = client(address), entities("RunTag", tags or {})
    for first in range(0, max(len(params), len(marks)), _MAX_VALUES):
        part = slice(first, first + _MAX_VALUES)
        retried(address, lambda: made.log_batch(run_id, params=params[part], tags=marks[part]))  # noqa: B023 - called at once
    for first in range(0, len(metrics), _MAX_METRICS):
        batch = metrics[first : first + _MAX_METRICS]
        retried(address, lambda: made.log_batch(run_id, metrics=batch))  # noqa: B023 - called at once
