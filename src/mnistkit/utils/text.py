"""Text for people: control characters written out, durations, metrics."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

__all__ = ["duration", "local_time", "number", "safe"]

# Control characters, those that reorder what follows them, and halves of characters: they could rewrite what a
# terminal or a page shows, or can't be encoded.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MINUTE = 60


def safe(text: str) -> str:
    """``text`` with control characters written out, so that it can't steer a terminal or reorder a page.

    Newlines and tabs stay; a carriage return becomes a newline.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSAFE.sub(lambda match: _written_out(match[0]), text)


def duration(seconds: float) -> str:
    """A time span: ``4.2 s``, ``3:05``, ``1:02:33``; never below 0."""
    seconds = max(seconds, 0.0)
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds))).removeprefix("0:").removeprefix("0")


def number(value: float) -> str:
    """A metric's value with six digits: ``0.9264``, ``12345.6``, ``nan``."""
    return f"{value:.6g}"


def local_time(time: datetime) -> str:
    """A time as people here write it: ``2026-11-23 14:05:09``."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
