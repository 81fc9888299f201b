"""The current time."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["utc_now"]


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(timezone.utc)
