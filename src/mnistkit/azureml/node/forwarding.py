"""On the node: what a job writes to its run folder, told to the Azure run as it comes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mnistkit.azureml.v1._sdk import scalar, submitted_run, translated
from mnistkit.errors import MnistkitError

__all__ = ["PICTURES_FILE", "Forwarder"]

PICTURES_FILE = "pictures.jsonl"
"""The file in a run folder on a node that names the pictures and matrices that were logged, one JSON object a line."""

_FILES = ("metrics.jsonl", "tags.jsonl", PICTURES_FILE)
_log = logging.getLogger(__name__)


class Forwarder:
    """Follows the files of a run folder, and logs what they say to the Azure run that this process belongs to.

    What Azure doesn't take is logged and left out: a job doesn't fail for its metrics. Where there is no Azure run,
    as in a test of a script on one's own machine, nothing is forwarded.

    Attributes:
        points: How many metric points it has forwarded since `rewind`.
        properties: Of the run, to be told with the next `tell`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = submitted_run()
        self.properties: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self.rewind()

    def rewind(self) -> None:
        """Begin the files anew, for another attempt."""
        self._read = dict.fromkeys(_FILES, 0)
        self.points = 0

    def forward(self) -> None:
        """Forward what is new."""
        if self._run is None:
            return
        for item in self._new(_FILES[0]):
            with _left_out("a metric"):
                self._log_point(item)
        for item in self._new(_FILES[1]):
            with _left_out("a tag"):
                self._tags[str(item["key"])] = str(item["value"])
                self._run.tag(str(item["key"]), str(item["value"]))
        for item in self._new(_FILES[2]):
            with _left_out("a picture"):
                self._log_picture(item)

    def forget_tags(self, given: dict[str, str]) -> None:
        """Take back the tags of an attempt that isn't the last, but for those that the job came with."""
        if self._run is not None and self._tags:
            with _left_out("the tags of an earlier attempt"):
                self._run.remove_tags([tag for tag in self._tags if tag not in given])
                self._run.set_tags({tag: given[tag] for tag in self._tags if tag in given})
        self._tags.clear()

    def tell(self) -> None:
        """Tell the properties, and wait until Azure has all metrics."""
        if self._run is None:
            return
        with _left_out("the last metrics"):
            if self.points:
                self._run.flush()
        with _left_out("how the attempt ended"):
            self._run.add_properties(self.properties)
        self.properties = {}

    def _log_point(self, item: dict[str, Any]) -> None:
        at = datetime.fromisoformat(item["time"]).astimezone(timezone.utc)
        scalar(self._run, str(item["name"]), float(item["value"]), item["step"], at)
        self.points += 1

    def _log_picture(self, item: dict[str, Any]) -> None:
        name, path = str(item["name"]), Path(item["path"])
        if item["kind"] == "image":
            # Its path is also its name in the workspace, where outputs are uploaded under theirs: it needs another.
            copy = self._folder.parent / "pictures" / f"{name}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            self._run.log_image(name, path=os.path.relpath(copy))
            return
        table = json.loads(path.read_text(encoding="utf-8"))
        data = {"class_labels": table["labels"], "matrix": table["matrix"]}
        self._run.log_confusion_matrix(
            name, {"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": data}
        )

    def _new(self, name: str) -> Iterator[dict[str, Any]]:
        """The whole lines that were added to a file; odd ones are left out, as `mnistkit.runs.context` does."""
        try:
            with (self._folder / name).open("rb") as stream:
                stream.seek(self._read[name])
                data = stream.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read[name] += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                item = json.loads(line)
                if isinstance(item, dict):
                    yield item


@contextlib.contextmanager
def _left_out(what: str) -> Iterator[None]:
    try:
        with translated(f"logging {what}"):
            yield
    except MnistkitError as error:
        _log.warning("%s is left out: %s", what, error)
