"""Times in UTC."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

__all__ = ["CLOCK_VARIABLE", "utc_now", "utc_time"]

CLOCK_VARIABLE = "MNISTKIT_CLOCK_OFFSET"
"""The environment variable with the seconds that another machine's clock is ahead of this one's.

A backend sets it for the runs that it carries out for that machine, so that all times of a record are of one clock.
"""


_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)
_LATEST = datetime.max.replace(tzinfo=timezone.utc)


def utc_time(seconds: float) -> datetime:
    """Return the time of so many seconds since 1970, in UTC; of the years 1 and 9999 the first and the last moment.

    A damaged record may have a time of these years in another zone, which in UTC would be a year that Python lacks.
    """
    if not _EARLIEST.timestamp() < seconds < _LATEST.timestamp():
        return _EARLIEST if seconds < 0 else _LATEST
    return datetime.fromtimestamp(seconds, timezone.utc)


def utc_now(environ: Mapping[str, str] = os.environ) -> datetime:
    """Return the time now, in UTC, by the clock that runs are recorded with: `CLOCK_VARIABLE` in ``environ``."""
    offset = environ.get(CLOCK_VARIABLE)
    now = datetime.now(timezone.utc)
    return now + timedelta(seconds=float(offset)) if offset else now
