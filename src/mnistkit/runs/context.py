"""The interface that training code logs to, inside a run and outside of one."""

from __future__ import annotations

import errno
import json
import math
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistkit.errors import DataFormatError, UsageError
from mnistkit.runs.drawings import as_drawn
from mnistkit.runs.record import MetricPoint
from mnistkit.utils.clock import utc_now
from mnistkit.utils.documents import MAX_LINES_BYTES, json_lines
from mnistkit.utils.files import read_regular
from mnistkit.utils.names import check_file
from mnistkit.utils.text import is_encodable

__all__ = [
    "CANCEL_FILE",
    "METRICS_FILE",
    "RUN_FOLDER_VARIABLE",
    "TAGS_FILE",
    "ConsoleContext",
    "FolderContext",
    "RunContext",
    "Stopped",
    "get_context",
    "read_points",
    "read_tags",
    "using_context",
]

RUN_FOLDER_VARIABLE = "MNISTKIT_RUN_FOLDER"
"""The environment variable that holds the run folder of a script."""

CANCEL_FILE = "cancel"
"""The file in a run folder whose presence requests the end of the run."""

METRICS_FILE = "metrics.jsonl"
"""The file in a run folder that holds its metrics, one JSON object a line."""

TAGS_FILE = "tags.jsonl"
"""The file in a run folder that holds the tags that the run set on itself, one JSON object a line."""

_MAX_NAME_CHARS = 1000
_MAX_TAG_CHARS = 16_000
_MAX_TAGS_BYTES = 1 << 20
_MAX_STEP = 2**63 - 1
_NOT_FINITE = ("nan", "inf", "-inf")


class RunContext(ABC):
    """Logs metrics, tags, images and files of a run."""

    @property
    @abstractmethod
    def outputs(self) -> Path:
        """The folder for what the run leaves behind; it exists."""

    @property
    @abstractmethod
    def should_stop(self) -> bool:
        """True if the end of the run was requested: long loops look from time to time, and return early."""

    @abstractmethod
    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log one value of a metric.

        Args:
            name: Such as ``"accuracy"``; the last value is the metric's, all together are its series.
            value: Anything that ``float`` takes; NaN and infinity are kept.
            step: The iteration or epoch: a whole number, of any type.

        Raises:
            UsageError: ``name`` isn't text, ``value`` isn't a number, ``step`` isn't a whole one, or 600,000 values
                have been logged.
        """

    @abstractmethod
    def tag(self, key: str, value: str) -> None:
        """Set a tag on the run; the last value holds.

        Args:
            key: Text, as is ``value``; numbers and bools are kept as their text.
            value: At most 16,000 characters.

        Raises:
            UsageError: One of them isn't that, or the tags would take more than 1 MiB.
        """

    def log_image(self, name: str, image: Any) -> Path:
        """Keep a figure or an image as ``outputs/<name>.png``, and return where it is.

        Args:
            name: Without the ending.
            image: A matplotlib Figure or Axes, a Pillow image, or an array ``(h, w)``, ``(h, w, 1)``, ``(h, w, 3)`` or
                ``(h, w, 4)``: whole numbers from 0 to 255, floats from 0 to 1, or bools.

        Raises:
            UsageError: ``image`` is none of these.
            MissingExtraError: An array was given and Pillow isn't installed.
        """
        drawn = as_drawn(image, name)
        path = self._file(f"{name}.png")
        drawn(path)
        return path

    def log_confusion_matrix(self, name: str, matrix: Any, labels: Sequence[str]) -> Path:
        """Keep a confusion matrix as ``outputs/<name>.json``, and return where it is.

        Args:
            name: Without the ending.
            matrix: ``(n, n)`` counts, or shares as of ``confusion_matrix(normalize="true")``: rows are true classes,
                columns predicted ones.
            labels: The n class names.

        Raises:
            UsageError: The sizes don't fit, or a value is none: not a number, not finite, or below 0.
        """
        rows = [[_count_or_share(name, value) for value in row] for row in matrix]
        if any(len(row) != len(labels) for row in rows) or len(rows) != len(labels):
            raise UsageError(f"log_confusion_matrix({name!r}): {len(labels)} labels need as many rows and columns.")
        path = self._file(f"{name}.json")
        path.write_text(json.dumps({"labels": list(labels), "matrix": rows}) + "\n", encoding="utf-8")
        return path

    def _file(self, name: str) -> Path:
        path = self.outputs / check_file(name, "picture or table name")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class FolderContext(RunContext):
    """Writes to a run folder: appends to ``metrics.jsonl`` and ``tags.jsonl``, one JSON object a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def outputs(self) -> Path:
        """``outputs`` in the run folder."""
        path = self._folder / "outputs"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def should_stop(self) -> bool:
        """True if the end of the run was requested."""
        return (self._folder / CANCEL_FILE).exists()

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Append to the run's metrics."""
        name, number, step = _point(name, value, step)
        shown = number if math.isfinite(number) else str(number)
        point: dict[str, object] = {"name": name, "value": shown, "step": step, "time": utc_now().isoformat()}
        _append(self._folder / METRICS_FILE, point, MAX_LINES_BYTES, "log values less often")

    def tag(self, key: str, value: str) -> None:
        """Append to the run's tags."""
        _append(self._folder / TAGS_FILE, _tag(key, value), _MAX_TAGS_BYTES, "set fewer or shorter tags")


class ConsoleContext(RunContext):
    """Outside a run: prints what is logged, and keeps files in ``./outputs``."""

    @property
    def outputs(self) -> Path:
        """``outputs`` in the working directory."""
        path = Path("outputs")
        path.mkdir(exist_ok=True)
        return path

    @property
    def should_stop(self) -> bool:
        """False: Ctrl-C stops a script."""
        return False

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Print ``name = value``."""
        name, number, step = _point(name, value, step)
        at = "" if step is None else f" (step {step})"
        print(f"{name} = {number:g}{at}")  # noqa: T201 - the console is where this context logs

    def tag(self, key: str, value: str) -> None:
        """Print ``key: value``."""
        print("{key}: {value}".format_map(_tag(key, value)))  # noqa: T201 - the console is where this context logs


_current: ContextVar[RunContext] = ContextVar("mnistkit_context")


def get_context() -> RunContext:
    """Return the context of the run that this code is part of; outside a run, one that logs to the console."""
    context = _current.get(None)
    if context is not None:
        return context
    folder = os.environ.get(RUN_FOLDER_VARIABLE)
    return FolderContext(Path(folder)) if folder else ConsoleContext()


@contextmanager
def using_context(context: RunContext) -> Iterator[None]:
    """Make ``context`` what `get_context` returns, in this thread, while the block runs."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def read_points(folder: Path) -> tuple[MetricPoint, ...]:
    """Return the metrics of a run folder, in order; lines that are torn or strange are left out.

    Raises:
        DataFormatError: The file is larger than `RunContext.log` lets it become.
    """
    points = []
    for item in json_lines(_content(folder / METRICS_FILE, MAX_LINES_BYTES)):
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
    items = json_lines(_content(folder / TAGS_FILE, _MAX_TAGS_BYTES))
    pairs = ((item.get("key"), item.get("value")) for item in items)
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def _point(name: Any, value: Any, step: Any) -> tuple[str, float, int | None]:
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


def _tag(key: Any, value: Any) -> dict[str, object]:
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


def _count_or_share(name: str, value: Any) -> float:
    """Return a whole number as an int, so that counts are written as such, and any other as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(
            f"log_confusion_matrix({name!r}): {value!r:.80} is neither a count nor a share: use 0 or more."
        )
    return int(number) if number.is_integer() else number


def _append(path: Path, item: dict[str, object], max_bytes: int, instead: str) -> None:
    # One write of one line in append mode: lines of threads and processes don't mix.
    line = (json.dumps(item, ensure_ascii=False) + "\n").encode()
    with path.open("ab+", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        if size + len(line) > max_bytes:
            raise UsageError(f"{path} would hold more than {max_bytes >> 20} MiB, which nothing reads: {instead}.")
        if size and (stream.seek(size - 1), stream.read(1))[1] != b"\n":  # the disk was full in the middle of a line
            line = b"\n" + line
        if stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _content(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that a job could have replaced by anything; a link or a pipe counts as no file."""
    try:
        return read_regular(path, max_bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise DataFormatError(f"{path} holds more than {max_bytes >> 20} MiB.") from error
        return b""


class Stopped(BaseException):
    """Raised in a run whose end was requested, at the next moment at which it can stop."""
