"""Text for people: control characters written out, durations, metrics."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timedelta

__all__ = ["duration", "is_encodable", "json_safe", "local_time", "localized", "number", "safe", "shown"]

# Control characters, those that reorder what follows them, and halves of characters: they could rewrite what a
# terminal or a page shows, or can't be encoded.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MINUTE_SECONDS = 60
_MIN_WHOLE_NUMBER, _MAX_WHOLE_NUMBER = 1e3, 1e7
_LONGEST_SECONDS = 1e12


def safe(text: str) -> str:
    """Return ``text`` with control characters written out, so that it can't steer a terminal or reorder a page.

    Newlines and tabs stay; a carriage return becomes a newline.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSAFE.sub(lambda match: _written_out(match[0]), text)


def json_safe(document: str) -> str:
    """Return a JSON document with the characters that `safe` writes out as escapes of JSON: it means the same."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def duration(seconds: float) -> str:
    """Return a time span as text: ``4.2 s``, ``3:05``, ``1:02:33``; never below 0."""
    seconds = max(seconds, 0.0)
    if not _MINUTE_SECONDS <= seconds < _LONGEST_SECONDS:  # nothing lasts longer, but a damaged record may say so
        return f"{seconds:.1f} s" if seconds < _MINUTE_SECONDS else f"{seconds:.3g} s"
    return str(timedelta(seconds=round(seconds))).removeprefix("0:").removeprefix("0")


def number(value: float) -> str:
    """Return a number with four significant digits: ``0.9264``, ``12346``, ``1.5e-07``, ``nan``."""
    return f"{value:.0f}" if _MIN_WHOLE_NUMBER <= abs(value) < _MAX_WHOLE_NUMBER else f"{value:.4g}"


def local_time(time: datetime) -> str:
    """Return a time in the local zone: ``2026-11-23 14:05:09``."""
    return f"{localized(time):%Y-%m-%d %H:%M:%S}"


def localized(time: datetime) -> datetime:
    """Return a time in the local zone; as it is where that zone has no such time, as in the years 1 and 9999."""
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return time.astimezone()
    return time


def shown(value: object) -> str:
    """Return a value as people read it: a float with four, None as a dash, anything else as its ``str``."""
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)


def is_encodable(text: str) -> bool:
    """Return True if ``text`` can be written as UTF-8: False for halves of characters, which only programs make."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
