"""On the node: metrics, tags and pictures of a run folder, copied to the Azure run while the job runs."""

from __future__ import annotations

import contextlib
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mnistkit.azureml.calls import translated
from mnistkit.azureml.node.layout import PICTURES_FILE
from mnistkit.errors import MnistkitError
from mnistkit.utils.documents import MAX_LINES_BYTES, json_lines, parse_json, read_text
from mnistkit.utils.regular import open_regular

__all__ = ["Forwarder", "RunWriter"]

_FILES = ("metrics.jsonl", "tags.jsonl", PICTURES_FILE)
_log = logging.getLogger(__name__)


class RunWriter(ABC):
    """Writes to the Azure run that this process belongs to, through one of the SDKs. Its errors are the SDK's."""

    @abstractmethod
    def log_scalar(self, name: str, value: float, step: int | None, at: datetime) -> None:
        """Log one value of a metric with the time at which it was measured."""

    @abstractmethod
    def log_image(self, name: str, path: Path) -> None:
        """Log a PNG file."""

    @abstractmethod
    def log_matrix(self, name: str, matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> None:
        """Log a confusion matrix."""

    @abstractmethod
    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; others stay."""

    @abstractmethod
    def remove_tags(self, names: Sequence[str]) -> None:
        """Remove tags."""

    @abstractmethod
    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties, which can't be changed afterwards."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until Azure has all metrics."""


class Forwarder:
    """Follows the files of a run folder, and writes their new lines to the Azure run.

    What Azure refuses is logged and left out: a job doesn't fail for its metrics. Without a writer nothing is
    forwarded, as in a test of a script on one's own machine.

    Attributes:
        points: The number of metric points that it has forwarded since `rewind`.
        properties: Of the run, written by the next `finish_attempt`.
    """

    def __init__(self, folder: Path, writer: RunWriter | None) -> None:
        self._folder = folder
        self._writer = writer
        self.properties: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self.rewind()

    def rewind(self) -> None:
        """Start again at the beginning of the files, for another attempt."""
        self._read = dict.fromkeys(_FILES, 0)
        self.points = 0

    def forward(self) -> None:
        """Forward the new lines of the files."""
        if self._writer is None:
            return
        for item in self._new(_FILES[0]):
            with _left_out("a metric"):
                at = datetime.fromisoformat(item["time"]).astimezone(timezone.utc)
                self._writer.log_scalar(str(item["name"]), float(item["value"]), item["step"], at)
                self.points += 1
        for item in self._new(_FILES[1]):
            with _left_out("a tag"):
                self._tags[str(item["key"])] = str(item["value"])
                self._writer.set_tags({str(item["key"]): str(item["value"])})
        for item in self._new(_FILES[2]):
            with _left_out("a picture"):
                self._log_picture(self._writer, item)

    def reset_tags(self, given: Mapping[str, str]) -> None:
        """Restore the tags that the job came with, after an attempt that isn't the last."""
        if self._writer is not None and self._tags:
            with _left_out("the tags of an earlier attempt"):
                self._writer.remove_tags([tag for tag in self._tags if tag not in given])
                self._writer.set_tags({tag: given[tag] for tag in self._tags if tag in given})
        self._tags.clear()

    def finish_attempt(self) -> None:
        """Write the properties, and wait until Azure has all metrics."""
        if self._writer is None:
            return
        with _left_out("the last metrics"):
            if self.points:
                self._writer.flush()
        with _left_out("how the attempt ended"):
            self._writer.add_properties(self.properties)
        self.properties = {}

    def _log_picture(self, writer: RunWriter, item: dict[str, Any]) -> None:
        name, path = str(item["name"]), Path(item["path"])
        if item["kind"] == "image":
            # Its path is also its name in the workspace, where outputs are uploaded under theirs: it needs another.
            copy = self._folder.parent / "pictures" / f"{name}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            writer.log_image(name, copy)
            return
        table = parse_json(read_text(path), path)
        writer.log_matrix(name, table["matrix"], table["labels"])

    def _new(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the complete lines that were added to a file; skip malformed ones, as `mnistkit.runs.context` does."""
        try:
            with open_regular(self._folder / name) as stream:
                stream.seek(self._read[name])
                data = stream.read(MAX_LINES_BYTES)
        except OSError:  # it isn't there, or the job has put something else in its place
            return
        whole = data if len(data) == MAX_LINES_BYTES else data[: data.rfind(b"\n") + 1]
        self._read[name] += len(whole)
        yield from json_lines(whole)


@contextlib.contextmanager
def _left_out(what: str) -> Iterator[None]:
    try:
        with translated(f"logging {what}"):
            yield
    except MnistkitError as error:
        _log.warning("%s is left out: %s", what, error)
