"""The points of a run's metrics; a module of its own, so that a script in a run starts without what runs need."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

__all__ = ["MetricPoint"]


@frozen
class MetricPoint:
    """One logged value.

    Attributes:
        name: Such as ``"accuracy"``.
        value: A float; may be NaN or infinite.
        step: The iteration, if the logger said.
        time: When, UTC.
    """

    name: str
    value: float
    step: int | None
    time: datetime
