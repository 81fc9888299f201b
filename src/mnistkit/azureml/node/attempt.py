"""On the node: one attempt of a job, in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnistkit.azureml.node.layout import ERROR_FILE, JOB_FILE, PICTURES_FILE, RUN_FOLDER
from mnistkit.runs.context import FolderContext, using_context
from mnistkit.utils.documents import parse_json, read_text

__all__ = ["NodeContext", "main"]


class NodeContext(FolderContext):
    """Writes to the run folder on the node, and lists the pictures there for the process that forwards them."""

    def log_image(self, name: str, image: Any) -> Path:
        """Keep an image in the run folder and in the Azure run."""
        return self._noted("image", name, super().log_image(name, image))

    def log_confusion_matrix(self, name: str, matrix: Any, labels: Sequence[str]) -> Path:
        """Keep a confusion matrix in the run folder and in the Azure run."""
        return self._noted("confusion matrix", name, super().log_confusion_matrix(name, matrix, labels))

    def _noted(self, kind: str, name: str, path: Path) -> Path:
        line = json.dumps({"kind": kind, "name": name, "path": str(path)}) + "\n"
        with (self._folder / PICTURES_FILE).open("ab", buffering=0) as stream:
            stream.write(line.encode())
        return path


def main(flush: Callable[[], None]) -> None:
    """Run the script, or train, as the job says. The command line is ``FOLDER DATA_FOLDER``.

    Args:
        flush: Sends what a script has logged through an SDK itself; called before the interpreter shuts down.
    """
    folder, data_folder = Path(sys.argv[1]), sys.argv[2]
    spec = parse_json(read_text(folder / JOB_FILE, follow=True), folder / JOB_FILE)
    with using_context(NodeContext(folder / RUN_FOLDER)):
        if spec["kind"] == "script":
            _script(spec, data_folder, flush)
        else:
            _train(spec, folder, data_folder)


def _script(spec: dict[str, Any], data_folder: str, flush: Callable[[], None]) -> None:
    """Run the script as if the interpreter had been started with it."""
    entry, place = spec["entry"], spec["data_placeholder"]
    sys.argv = [entry, *(argument.replace(place, data_folder) for argument in spec["arguments"])]
    sys.path.insert(0, os.path.dirname(os.path.abspath(entry)))  # noqa: PTH100, PTH120 - as Python does it
    try:
        runpy.run_path(entry, run_name="__main__")
    finally:  # not at exit: by then the SDKs' threads accept nothing any more
        flush()


def _train(spec: dict[str, Any], folder: Path, data_folder: str) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("mnistkit").setLevel(logging.INFO)
    try:
        _fit(spec, folder, data_folder)
    except BaseException as error:
        told = {"error": "".join(traceback.format_exception_only(error)).strip()}
        (folder / RUN_FOLDER / ERROR_FILE).write_text(json.dumps(told), encoding="utf-8")
        raise


def _fit(spec: dict[str, Any], folder: Path, data_folder: str) -> None:
    from mnistkit.azureml.pins import identify
    from mnistkit.data.fetching import DataFolder, read_dataset
    from mnistkit.data.manifest import DatasetManifest
    from mnistkit.jobs.job import TrainingJob
    from mnistkit.runs.context import get_context
    from mnistkit.training import train
    from mnistkit.utils.serialization import from_json

    job = from_json(spec["job"], TrainingJob, folder / JOB_FILE)
    pins = [from_json(each, DatasetManifest, folder / JOB_FILE) for each in spec["pins"]]
    manifest = identify(Path(data_folder), pins)
    dataset = read_dataset(DataFolder(data_folder, spec["uri"], owned=False), manifest)
    train(job, dataset, get_context())
