"""Read files that another program could have written: bounded, strict, in linear time.

Whoever can write into a folder that mnistkit reads can put anything there: a pipe that never ends, a sparse file of
100 GB, numbers of a million digits, lists nested a million deep. Here is the one way to read such files. It raises
`OSError` for what the system refuses, as for a file that is no regular one, and `DataFormatError`, which names the
file, for what the file holds.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from mnistkit.errors import DataFormatError
from mnistkit.utils.regular import read_regular

__all__ = [
    "MAX_LINES_BYTES",
    "MAX_LINE_BYTES",
    "MAX_RECORD_BYTES",
    "json_lines",
    "parse_json",
    "parse_toml",
    "read_text",
]

MAX_RECORD_BYTES: Final = 16 << 20
"""The largest file of one value that is read: a job, a record, a manifest of data."""

MAX_LINES_BYTES: Final = 64 << 20
"""The largest file of one value a line that is read, such as a run's metrics: some 600,000 of them."""

MAX_LINE_BYTES: Final = 1 << 16
"""The longest line of such a file that is read."""

_MAX_DEPTH = 64
# What the JSON parser takes and nothing else does: halves of characters, floats that become infinite, and integers too
# long for a float. Few documents hold anything of this form, so few are searched value by value.
_SUSPICIOUS_PATTERN = re.compile(r"\\u[dD]|\d[eE]\+?\d{3}|\d{200}")
_TOML_TEXT_PATTERN = re.compile(  # texts, also one without an end, which needs no second try; and comments
    r'''"""(?:[^\\]|\\.)*?(?:"""|\\?\Z)|\'{3}.*?(?:\'{3}|\Z)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|\#[^\n]*''', re.DOTALL
)
_LONG_KEY_PATTERN = re.compile(r"(?:\.[ \t]*[\w-]+[ \t]*){64}")  # as many parts as `_MAX_DEPTH`
_SURROGATE_PATTERN = re.compile("[\ud800-\udfff]")


def read_text(path: Path, *, max_bytes: int = MAX_RECORD_BYTES, follow: bool = False) -> str:
    """Return the content of a UTF-8 file.

    Args:
        path: The file.
        max_bytes: The most that it may hold.
        follow: Whether it may be a symbolic link: in folders that users lay out, not in those that programs write.

    Raises:
        FileNotFoundError: It isn't there.
        OSError: As from `mnistkit.utils.regular.read_regular`.
        DataFormatError: It isn't UTF-8.
    """
    return _decoded(read_regular(path, max_bytes, follow=follow), path)


def parse_json(data: bytes | str, source: str | Path) -> Any:
    """Return what a JSON document holds: plain values, nested at most 64 deep, with finite numbers and whole text.

    Args:
        data: The document, in UTF-8 if it is bytes.
        source: Where it came from, for the message.

    Raises:
        DataFormatError: It isn't that.
    """
    text = data if isinstance(data, str) else _decoded(data, source)
    try:
        value = _DECODER.decode(text)
        if _SUSPICIOUS_PATTERN.search(text) or text.count("[") + text.count("{") > _MAX_DEPTH:
            _check(value)
    except RecursionError:
        raise DataFormatError(f"{source} is nested too deeply.") from None
    except ValueError as error:
        raise DataFormatError(f"{source} can't be read: {error}.") from error
    return value


def parse_toml(text: str, source: str | Path) -> dict[str, Any]:
    """Return the table of a TOML document, nested at most 64 deep.

    Raises:
        DataFormatError: It is none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # where jobs run there may be no such package, and no TOML either
        import tomli as tomllib

    # The parser takes a time that grows with the square of the number of parts of a dotted key.
    if _LONG_KEY_PATTERN.search(_TOML_TEXT_PATTERN.sub("x", text)):
        raise DataFormatError(f"{source} is nested too deeply.")
    try:
        table = tomllib.loads(text)
        _check(table, any_number=True)
    except RecursionError:
        raise DataFormatError(f"{source} is nested too deeply.") from None
    except ValueError as error:
        raise DataFormatError(f"{source}: {error}.") from error
    return table


def json_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file that holds one a line; a line that is torn, too long or strange is left out."""
    for line in data.split(b"\n"):
        if not line.startswith(b"{") or len(line) > MAX_LINE_BYTES:
            continue
        try:
            item = parse_json(line, "a line")
        except DataFormatError:
            continue
        if isinstance(item, dict):
            yield item


def _decoded(data: bytes, source: str | Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{source} isn't UTF-8 text: {error.reason} at byte {error.start}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)  # `json.loads` would make one for each line of metrics


def _check(value: Any, *, any_number: bool = False) -> None:
    """Refuse halves of characters, numbers that no float holds, and deep nesting; level by level, not by recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if _SURROGATE_PATTERN.search(item):
                    raise ValueError("it holds half a character")
            elif isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, (int, float)) and not any_number and not _is_finite(item):
                raise ValueError("it holds a number that is too large")
        if not below:
            return
        level = below
    raise RecursionError


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
