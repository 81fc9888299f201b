"""What people and programs see: data on standard output, notes and errors on standard error."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from mnistkit.utils import text as words
from mnistkit.utils.text import safe

__all__ = [
    "complain",
    "configure",
    "console",
    "duration",
    "error_console",
    "is_debug",
    "is_live",
    "local_time",
    "metric",
    "note",
    "place_name",
    "print_facts",
    "print_json",
    "print_table",
    "safe",
    "say",
    "short_time",
]

_debug = False
_quiet = False


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command."""
        raise BrokenPipeError


def configure(*, debug: bool, quiet: bool) -> None:
    """Set what the global options say, and show the library's warnings as notes."""
    global _debug, _quiet
    _debug, _quiet = debug, quiet
    logger = logging.getLogger("mnistkit")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _NoteHandler)]
    logger.addHandler(_NoteHandler())
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)


def is_debug() -> bool:
    """Whether tracebacks are wanted."""
    return _debug


def is_live() -> bool:
    """Whether progress may move: standard error is a terminal and nobody asked for less."""
    return error_console().is_terminal and not (
        _quiet or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )


def console() -> Console:
    """The console on standard output. Text is taken literally: no markup."""
    return _Console(markup=False, emoji=False, highlight=False)


@cache
def error_console() -> Console:
    """The console on standard error: one, so that notes stay above what moves."""
    return _Console(stderr=True, markup=False, emoji=False, highlight=False)


def say(text: str = "", style: str = "") -> None:
    """Print a result."""
    out = console()
    if out.is_terminal:
        out.print(Text(safe(text).expandtabs(), style), overflow="ignore", crop=False)
    else:
        out.file.write(text + "\n")


def note(text: str) -> None:
    """Tell people something on standard error, unless they want quiet."""
    if not _quiet:
        _print_prose("", text, "")


def complain(text: str, label: str = "Error") -> None:
    """Print what went wrong."""
    _print_prose(f"{label}: ", text, "bold red")


def print_json(value: object) -> None:
    """Print a JSON document: times in ISO 8601 with their zone, what isn't finite as null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, highlight: int | None = None) -> None:
    """Print a table: fitted to a terminal, plain aligned columns of full width elsewhere.

    Args:
        columns: The headings; one that ends in ``#`` is for numbers and times, which are never broken.
        rows: Text, a cell per column.
        highlight: The row to set off, if any.
    """
    out = console()
    headings = [column.rstrip("#") for column in columns]
    if not out.is_terminal:
        widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
        for row in (headings, *rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            sys.stdout.write(line.rstrip() + "\n")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        is_number = columns[i].endswith("#")
        justify: Literal["left", "right"] = "right" if is_number else "left"
        table.add_column(heading, justify=justify, no_wrap=is_number or i == 0, overflow="ellipsis")
    for i, row in enumerate(rows):
        table.add_row(*(safe(cell) for cell in row), style="bold green" if i == highlight else "")
    out.print(table)


def print_facts(facts: Mapping[str, str | None], sections: Mapping[str, Sequence[str]]) -> None:
    """Print values by name, then lists of lines under headings; what is empty is left out."""
    for key, value in facts.items():
        if value:
            say(f"{key + ':':<13}{value}")
    for title, lines in sections.items():
        if lines:
            say(f"{title}:")
        for line in lines:
            say("  " + line.replace("\n", "\\n"))  # a name with a line break makes no line of its own


def local_time(time: datetime | None) -> str:
    """A time as people here write it: ``2026-11-23 14:05:09``."""
    return words.local_time(time) if time else "-"


def place_name(place: str) -> str:
    """What to call where something is kept: a folder, or, where that isn't on this machine, a url."""
    return "url" if "://" in place else "folder"


def short_time(time: datetime) -> str:
    """A time in a table: ``Nov 23 14:05``."""
    return f"{time.astimezone():%b %d %H:%M}"


def duration(start: datetime | None, end: datetime | None) -> str:
    """The time between two: ``4.2 s``, ``3:05``, ``1:02:33``."""
    if start is None or end is None:
        return "-"
    return words.duration((end - start).total_seconds())


def metric(metrics: Mapping[str, float], name: str) -> str:
    """A metric as a cell: four digits, ``-`` if it is missing."""
    return f"{metrics[name]:.4f}" if name in metrics else "-"


def _print_prose(label: str, text: str, style: str) -> None:
    """Print on standard error: broken at words on a terminal, line by line elsewhere."""
    out = error_console()
    if not out.is_terminal:
        out.file.write(f"{label}{text}\n")
        return
    lines = f"{label}{safe(text)}".splitlines()
    wrapped = [textwrap.fill(line, out.width, break_long_words=False, break_on_hyphens=False) for line in lines]
    words = Text("\n".join(wrapped))
    words.stylize(style, 0, len(label))
    out.print(words, overflow="ignore", crop=False)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class _NoteHandler(logging.Handler):
    """Shows the library's warnings as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.levelname.capitalize()}: {record.getMessage()}")
