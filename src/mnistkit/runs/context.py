"""What training code writes to: the same surface inside a run and outside of one."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.runs.record import MetricPoint
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import open_regular
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
"""Tells a script which run folder it belongs to."""

CANCEL_FILE = "cancel"
"""The file in a run folder whose presence asks the run to stop."""

METRICS_FILE = "metrics.jsonl"
"""The file in a run folder that holds its metrics, one JSON object a line."""

TAGS_FILE = "tags.jsonl"
"""The file in a run folder that holds the tags that the run set on itself, one JSON object a line."""


class RunContext(ABC):
    """What training code writes to."""

    @property
    @abstractmethod
    def outputs(self) -> Path:
        """The folder for what the run leaves behind; it exists."""

    @property
    @abstractmethod
    def should_stop(self) -> bool:
        """Whether somebody asked the run to stop: long loops look from time to time, and return early."""

    @abstractmethod
    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log one value of a metric.

        Args:
            name: Such as ``"accuracy"``; the last value is the metric's, all together are its series.
            value: Anything that ``float`` takes; NaN and infinity are kept.
            step: The iteration or epoch.

        Raises:
            UsageError: ``value`` isn't a number.
        """

    @abstractmethod
    def tag(self, key: str, value: str) -> None:
        """Set a tag on the run; the last value holds."""

    def log_image(self, name: str, image: Any) -> Path:
        """Keep a picture as ``outputs/<name>.png``, and return where it is.

        Args:
            name: Without the ending.
            image: A matplotlib Figure, or ``(h, w)`` or ``(h, w, 3) uint8``.

        Raises:
            MissingExtraError: An array was given and Pillow isn't installed.
        """
        path = self._file(f"{name}.png")
        if hasattr(image, "savefig"):
            image.savefig(path)
            return path
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtraError("Writing pictures needs Pillow: python -m pip install 'mnistkit[plot]'.") from error
        Image.fromarray(image).save(path)
        return path

    def log_confusion_matrix(self, name: str, matrix: Any, labels: Sequence[str]) -> Path:
        """Keep a confusion matrix as ``outputs/<name>.json``, and return where it is.

        Args:
            name: Without the ending.
            matrix: ``(n, n)`` counts: rows are true classes, columns predicted ones.
            labels: The n class names.

        Raises:
            UsageError: The sizes don't fit.
        """
        rows = [[int(count) for count in row] for row in matrix]
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
        """Whether the run's cancellation was asked for."""
        return (self._folder / CANCEL_FILE).exists()

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Append to the run's metrics."""
        number = _number(name, value)
        shown = number if math.isfinite(number) else str(number)
        point: dict[str, object] = {"name": name, "value": shown, "step": step, "time": utc_now().isoformat()}
        _append(self._folder / METRICS_FILE, point)

    def tag(self, key: str, value: str) -> None:
        """Append to the run's tags."""
        _append(self._folder / TAGS_FILE, {"key": str(key), "value": str(value)})


class ConsoleContext(RunContext):
    """Outside a run: says what is logged on standard output, and keeps files in ``./outputs``."""

    @property
    def outputs(self) -> Path:
        """``outputs`` in the working directory."""
        path = Path("outputs")
        path.mkdir(exist_ok=True)
        return path

    @property
    def should_stop(self) -> bool:
        """Never: Ctrl-C is how to stop a script."""
        return False

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Say ``name = value``."""
        at = "" if step is None else f" (step {step})"
        print(f"{name} = {_number(name, value):g}{at}")  # noqa: T201 - the console is where this context logs

    def tag(self, key: str, value: str) -> None:
        """Say ``key: value``."""
        print(f"{key}: {value}")  # noqa: T201 - the console is where this context logs


_current: ContextVar[RunContext] = ContextVar("mnistkit_context")


def get_context() -> RunContext:
    """The context of the run that this code is part of; outside a run, one that logs to the console."""
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
    """The metrics of a run folder, in order; lines that are torn or strange are left out."""
    points = []
    for item in _lines(folder / METRICS_FILE):
        try:
            step = item["step"]
            points.append(
                MetricPoint(
                    str(item["name"]),
                    float(item["value"]),
                    None if step is None else int(step),
                    datetime.fromisoformat(item["time"]),
                )
            )
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(points)


def read_tags(folder: Path) -> dict[str, str]:
    """The tags that a run set on itself; lines that are torn or strange are left out."""
    items = _lines(folder / TAGS_FILE)
    return {str(item["key"]): str(item["value"]) for item in items if {"key", "value"} <= item.keys()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"log({name!r}, {value!r:.80}): a metric is a single number.") from error


def _append(path: Path, item: dict[str, object]) -> None:
    # One write of one line in append mode: lines of threads and processes don't mix.
    with path.open("ab", buffering=0) as stream:
        stream.write((json.dumps(item, ensure_ascii=False) + "\n").encode())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open_regular(path) as stream:
            data = stream.read()
    except FileNotFoundError:
        return
    for line in data.split(b"\n"):
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if isinstance(item, dict):
            yield item


class Stopped(BaseException):
    """Raised in a run that was asked to stop, at the next moment at which it can."""
