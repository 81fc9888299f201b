"""The metrics and tags of a run as files of lines: checked before they are written, and read with care."""

from __future__ import annotations

import errno
import json
import math
import operator
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

from mnistkit.errors import DataFormatError, UsageError
from mnistkit.runs.points import MetricPoint
from mnistkit.utils.documents import MAX_LINE_BYTES, MAX_LINES_BYTES, json_lines
from mnistkit.utils.regular import open_below, read_regular
from mnistkit.utils.text import is_encodable

__all__ = [
    "MAX_TAGS_BYTES",
    "METRICS_FILE",
    "TAGS_FILE",
    "add_points",
    "append_line",
    "checked_point",
    "checked_tag",
    "read_lines",
    "read_points",
    "read_tags",
]

METRICS_FILE = "metrics.jsonl"
"""The file in a run folder that holds its metrics, one JSON object a line."""

TAGS_FILE = "tags.jsonl"
"""The file in a run folder that holds the tags that the run set on itself, one JSON object a line."""

_MAX_NAME_CHARS = 1000
_MAX_TAG_CHARS = 16_000
_MAX_STEP = 2**63 - 1
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO, errno.ENODEV})
"""The numbers of errors that mean that a path has no regular file."""
_NOT_FINITE = ("nan", "inf", "-inf")
MAX_TAGS_BYTES: Final = 1 << 20
"""The largest file of tags that is written or read."""


def read_points(folder: Path) -> tuple[MetricPoint, ...]:
    """Return the metrics of a run folder, in order; lines that are torn or strange are left out.

    Raises:
        DataFormatError: The file is larger than `RunContext.log` lets it become.
    """
    points = []
    for item in read_lines(folder / METRICS_FILE, MAX_LINES_BYTES):
        name, value, step, time = (item.get(key) for key in ("name", "value", "step", "time"))
        # A number, or what `log` writes for one that JSON doesn't have.
        if not (isinstance(name, str) and (type(value) in {int, float} or value in _NOT_FINITE)):
            continue
        if not (step is None or type(step) is int):
            continue
        try:
            at = datetime.fromisoformat(str(time))
        except ValueError:
            continue
        if at.tzinfo is not None:
            points.append(MetricPoint(name, float(value or 0), step, at))
    return tuple(points)


def read_tags(folder: Path) -> dict[str, str]:
    """Return the tags that a run set on itself; lines that are torn or strange are left out.

    Raises:
        DataFormatError: The file is larger than `RunContext.tag` lets it become.
    """
    items = read_lines(folder / TAGS_FILE, MAX_TAGS_BYTES)
    pairs = ((item.get("key"), item.get("value")) for item in items)
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def add_points(folder: Path, points: Iterable[MetricPoint]) -> None:
    """Append metrics to those of a run folder, as `RunContext.log` writes them.

    Raises:
        UsageError: The file would become larger than is read.
    """
    for point in points:
        append_line(folder / METRICS_FILE, point_json(point), MAX_LINES_BYTES, "log values less often")


def point_json(point: MetricPoint) -> dict[str, object]:
    """Return a metric as it is written; JSON has no number for NaN and infinity."""
    value = point.value if math.isfinite(point.value) else str(point.value)
    return {"name": point.name, "value": value, "step": point.step, "time": point.time.isoformat()}


def checked_point(name: Any, value: Any, step: Any) -> tuple[str, float, int | None]:
    """Return what `RunContext.log` was given, of the types that are kept."""
    given = f"log({name!r:.80}, {value!r:.80})"
    if not isinstance(name, str) or not name or len(name) > _MAX_NAME_CHARS or not is_encodable(name):
        raise UsageError(f"{given}: the name of a metric is text of 1 to {_MAX_NAME_CHARS} characters.")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{given}: a metric is a single number.") from error
    except OverflowError as error:
        raise UsageError(f"log({name!r:.80}): the value is larger than any float: log its logarithm.") from error
    return name, number, None if step is None else _step(step, given)


def _step(step: Any, given: str) -> int:
    """Return a step as an int: also numpy's integers, whole floats, and text of digits."""
    try:
        whole = int(step) if isinstance(step, str) else _whole(step)
    except (TypeError, ValueError, OverflowError):
        whole = _MAX_STEP + 1
    if abs(whole) > _MAX_STEP:
        raise UsageError(f"{given}: step={step!r:.80} isn't a whole number: use the epoch or the iteration, or None.")
    return whole


def _whole(number: Any) -> int:
    try:
        return operator.index(number)
    except TypeError:
        if not float(number).is_integer():
            raise
        return int(number)


def checked_tag(key: Any, value: Any) -> dict[str, object]:
    """Return what `RunContext.tag` was given, as text that can be kept."""
    allowed = (str, int, float, bool)
    texts = {"key": str(key), "value": str(value)} if isinstance(key, str) and isinstance(value, allowed) else {}
    if not texts or not key or not all(map(is_encodable, texts.values())) or len(texts["value"]) > _MAX_TAG_CHARS:
        raise UsageError(
            f"tag({key!r:.80}, {value!r:.80}): a tag is text, or a number, of at most {_MAX_TAG_CHARS} characters."
        )
    if len(key) > _MAX_NAME_CHARS:
        raise UsageError(f"tag({key!r:.80}): the key of a tag has at most {_MAX_NAME_CHARS} characters.")
    return dict(texts)


def append_line(path: Path, item: dict[str, object], max_bytes: int, instead: str) -> None:
    """Append a JSON object to a file; ``instead`` says what to do where it would be too large to be read.

    Raises:
        UsageError: The file, or the line, would be too large.
        OSError: As the system says, or a link, a pipe or a device is in the file's place.
    """
    # One write of one line in append mode: lines of threads and processes don't mix.
    line = (json.dumps(item, ensure_ascii=False) + "\n").encode()
    if len(line) > MAX_LINE_BYTES:
        raise UsageError(f"{path} would hold a line of {len(line):,} bytes, which nothing reads: {instead}.")
    descriptor = open_below(path.parent, path.name, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    with FileIO(descriptor, "ab+") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size + len(line) > max_bytes:
            raise UsageError(f"{path} would hold more than {max_bytes >> 20} MiB, which nothing reads: {instead}.")
        if size and (stream.seek(size - 1), stream.read(1))[1] != b"\n":  # the disk was full in the middle of a line
            line = b"\n" + line
        if stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def read_lines(path: Path, max_bytes: int) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file that a job could have replaced by anything; a link or a pipe counts as no file.

    Raises:
        DataFormatError: It holds more than ``max_bytes``, or is there and can't be read.
    """
    try:
        content = read_regular(path, max_bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise DataFormatError(f"{path} holds more than {max_bytes >> 20} MiB.") from error
        if error.errno in _NO_FILE:
            return
        raise DataFormatError(f"{path} can't be read: {error.strerror or error}.") from error
    yield from json_lines(content)
