"""Output of commands: data on standard output, notes and errors on standard error."""

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
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import rich  # noqa: F401 - missing, it is missed at once; its modules take a moment, and are imported for terminals alone

from mnistkit.cli.pipes import discard
from mnistkit.utils import text as words
from mnistkit.utils.summary import Summary
from mnistkit.utils.text import json_safe, safe, shown

if TYPE_CHECKING:  # takes a moment to load
    from rich.console import Console

__all__ = [
    "STATE_STYLES",
    "be_quiet",
    "complain",
    "configure",
    "console",
    "duration",
    "error_console",
    "is_debug",
    "is_live",
    "is_terminal",
    "local_time",
    "metric",
    "note",
    "place_name",
    "print_json",
    "print_summary",
    "print_table",
    "safe",
    "say",
    "short_time",
]

STATE_STYLES: Final = {"Completed": "green", "Failed": "red", "Canceled": "yellow"}
"""Of terminal states; the others are cyan."""

_FORCING_VARIABLES = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Those by which rich may take what is no terminal for one."""

_debug = False
_quiet = False


def configure(*, debug: bool, quiet: bool) -> None:
    """Apply the global options, and show the library's warnings as notes."""
    global _debug, _quiet
    _debug, _quiet = debug, quiet
    logger = logging.getLogger("mnistkit")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _NoteHandler)]
    logger.addHandler(_NoteHandler())
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)


def be_quiet() -> None:
    """Apply the option --quiet of a command."""
    global _quiet  # noqa: PLW0603 - as `configure` does
    _quiet = True


def is_debug() -> bool:
    """Return True if tracebacks are to be shown."""
    return _debug


def is_live() -> bool:
    """Return True if progress may move: standard error is a terminal, and no option or variable forbids it."""
    return (not _is_plain(sys.stderr) and error_console().is_terminal) and not (
        _quiet or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )


def is_terminal() -> bool:
    """Return True if standard output is a terminal."""
    return not _is_plain(sys.stdout) and console().is_terminal


def console() -> Console:
    """Return the console on standard output. Text is taken literally: no markup."""
    return _console_type()(markup=False, emoji=False, highlight=False)


@cache
def error_console() -> Console:
    """Return the console on standard error: one, so that notes stay above what moves."""
    return _console_type()(stderr=True, markup=False, emoji=False, highlight=False)


def say(text: str = "", style: str = "") -> None:
    """Print a result."""
    if not is_terminal():
        sys.stdout.write(f"{safe(text)}\n")
        return
    from rich.text import Text

    console().print(Text(safe(text).expandtabs(), style), overflow="ignore", crop=False)


def note(text: str) -> None:
    """Print a note on standard error, unless --quiet is set or its reader has gone."""
    if not _quiet:
        _print_prose("", text, "")


def complain(text: str, label: str = "Error") -> None:
    """Print an error, unless the reader of standard error has gone."""
    _print_prose(f"{label}: ", text, "bold red")


def print_json(value: object) -> None:
    """Print a JSON document: times in ISO 8601 with their zone, what isn't finite as null; safe to show."""
    document = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(f"{json_safe(document)}\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, highlight: int | None = None, state_column: str = ""
) -> None:
    """Print a table: fitted to a terminal, plain aligned columns of full width elsewhere.

    Args:
        columns: The headings; one that ends in ``#`` is for numbers and times, which are never broken.
        rows: Text, a cell per column.
        highlight: The row to set off, if any.
        state_column: The heading of a column that holds states, which have colours.
    """
    headings = [column.removesuffix("#") for column in columns]
    if not is_terminal():
        for line in _aligned([headings, *rows], [False] * len(headings)):
            sys.stdout.write(f"{line}\n")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        is_number = columns[i].endswith("#")
        justify: Literal["left", "right"] = "right" if is_number else "left"
        table.add_column(heading, justify=justify, no_wrap=is_number or i == 0, overflow="ellipsis")
    for i, row in enumerate(rows):
        cells = [Text(safe(_one_line(cell))) for cell in row]
        if state_column in headings:
            position = headings.index(state_column)
            cells[position].stylize(STATE_STYLES.get(row[position], "cyan"))
        table.add_row(*cells, style="bold green" if i == highlight else "")
    console().print(table)


def print_summary(summary: Summary) -> None:
    """Print what a value shows of itself: title, state and facts, then tables and texts below their titles."""
    say(_one_line(summary.title))
    facts = {"State": summary.state, **summary.facts} if summary.state else dict(summary.facts)
    width = max(map(len, facts), default=0) + 2
    for name, value in facts.items():
        lines = shown(value).splitlines()
        say(f"{name + ':':<{width}}" + f"\n{' ' * width}".join(lines))
    for table in summary.tables:
        if table.rows:
            say(f"{table.title}:")
            rows = [table.headings, *([shown(value) for value in row] for row in table.rows)]
            for line in _aligned(rows, table.is_numeric):
                say(f"  {line}")
    for text in summary.texts:
        if text.text:
            say(f"{text.title}:")
        for line in text.text.splitlines():
            say(f"  {line}")
    if summary.note:
        say(summary.note)


def local_time(time: datetime | None) -> str:
    """Return a time in the local zone: ``2026-11-23 14:05:09``."""
    return words.local_time(time) if time else "-"


def place_name(place: str) -> str:
    """Return ``"url"`` for an address of the web, and ``"folder"`` for a path."""
    return "url" if "://" in place else "folder"


def short_time(time: datetime) -> str:
    """Return a time for a table: ``Nov 23 14:05``."""
    return f"{words.localized(time):%b %d %H:%M}"


def duration(start: datetime | None, end: datetime | None) -> str:
    """Return the time between two times: ``4.2 s``, ``3:05``, ``1:02:33``."""
    if start is None or end is None:
        return "-"
    return words.duration((end - start).total_seconds())


def metric(metrics: Mapping[str, float], name: str) -> str:
    """Return a metric as a cell: four significant digits, ``-`` if it is missing."""
    return words.number(metrics[name]) if name in metrics else "-"


def _is_plain(stream: TextIO) -> bool:
    """Return True if a stream is surely no terminal: what is written there needs no rich."""
    return not stream.isatty() and not any(os.environ.get(name) for name in _FORCING_VARIABLES)


@cache
def _console_type() -> type[Console]:
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command."""
            raise BrokenPipeError

    return PipedConsole


def _one_line(text: str) -> str:
    """Return text with its line breaks written out: a name with one makes no row or line of its own."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _aligned(rows: Sequence[Sequence[str]], is_right: Sequence[bool]) -> list[str]:
    """Return rows of cells as lines of aligned columns, control characters written out."""
    cells = [[safe(_one_line(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_right, strict=True)
        ).rstrip()
        for row in cells
    ]


def _print_prose(label: str, text: str, style: str) -> None:
    """Print on standard error: broken at words on a terminal, line by line elsewhere."""
    if _is_plain(sys.stderr) or not error_console().is_terminal:
        try:
            sys.stderr.write(f"{label}{safe(text)}\n")
        except BrokenPipeError:  # no reader: what the command does, and its exit code, don't depend on one
            discard(sys.stderr)
        return
    from rich.text import Text

    out = error_console()
    lines = f"{label}{safe(text)}".splitlines()
    wrapped = [textwrap.fill(line, out.width, break_long_words=False, break_on_hyphens=False) for line in lines]
    prose = Text("\n".join(wrapped))
    prose.stylize(style, 0, len(label))
    out.print(prose, overflow="ignore", crop=False)


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
