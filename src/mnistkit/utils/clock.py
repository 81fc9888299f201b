"""The current time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

__all__ = ["CLOCK_VARIABLE", "utc_now"]

CLOCK_VARIABLE = "MNISTKIT_CLOCK_OFFSET"
"""The environment variable with the seconds that another machine's clock is ahead of this one's.

A backend sets it for the runs that it carries out for that machine, so that all times of a record are of one clock.
"""


def utc_now(environ: Mapping[str, str] = os.environ) -> datetime:
    """Return the time now, in UTC, by the clock that runs are recorded with: `CLOCK_VARIABLE` in ``environ``."""
    offset = environ.get(CLOCK_VARIABLE)
    now = datetime.now(timezone.utc)
    return now + timedelta(seconds=float(offset)) if offset else now
