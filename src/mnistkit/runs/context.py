"""The interface that training code logs to, inside a run and outside of one."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mnistkit.errors import UsageError
from mnistkit.runs.lines import (
    MAX_TAGS_BYTES,
    METRICS_FILE,
    TAGS_FILE,
    add_points,
    append_line,
    checked_point,
    checked_tag,
    read_points,
    read_tags,
)
from mnistkit.runs.points import MetricPoint
from mnistkit.utils.clock import utc_now
from mnistkit.utils.names import check_file

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
        from mnistkit.runs.drawings import as_drawn  # loads numpy

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
        return os.path.lexists(self._folder / CANCEL_FILE)  # also a link that leads nowhere

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Append to the run's metrics."""
        name, number, step = checked_point(name, value, step)
        add_points(self._folder, [MetricPoint(name, number, step, utc_now())])

    def tag(self, key: str, value: str) -> None:
        """Append to the run's tags."""
        append_line(self._folder / TAGS_FILE, checked_tag(key, value), MAX_TAGS_BYTES, "set fewer or shorter tags")


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
        name, number, step = checked_point(name, value, step)
        at = "" if step is None else f" (step {step})"
        print(f"{name} = {number:g}{at}")  # noqa: T201 - the console is where this context logs

    def tag(self, key: str, value: str) -> None:
        """Print ``key: value``."""
        print("{key}: {value}".format_map(checked_tag(key, value)))  # noqa: T201 - the console is where this context logs


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


class Stopped(BaseException):
    """Raised in a run whose end was requested, at the next moment at which it can stop."""
