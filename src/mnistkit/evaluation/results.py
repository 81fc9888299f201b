"""What a run left: its model, how good that was, and the data that it was judged on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Any

from mnistkit import plugins
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import fetch_dataset
from mnistkit.errors import NotFoundError
from mnistkit.evaluation.scores import EVALUATION_FILE, Evaluation
from mnistkit.models.files import companions, format_of
from mnistkit.models.persistence import loads_files
from mnistkit.runs.run import Run
from mnistkit.utils.serialization import from_json

__all__ = ["run_dataset", "run_evaluation", "run_model", "run_model_file"]


def run_model(
    run: Run, *, allow_pickle: bool = False, trusted: Iterable[str | type] = (), allow_version_mismatch: bool = False
) -> Any:
    """Load the model that a run left. Nothing vouches for it: a registered version has checksums, a run's file hasn't.

    Args:
        run: Of any backend.
        allow_pickle: Also unpickle a joblib file, which can run any code: only for runs that you trust.
        trusted: Types to allow in skops files besides those that are known to be harmless.
        allow_version_mismatch: Load what another release of the libraries made, if it answers as recorded.

    Raises:
        NotFoundError: It left no model, or several; lists its files.
        UnsafeModelError: Loading it could run code.
        VersionMismatchError: Another release of the libraries made it.
        ModelError: It can't be read.
    """
    file = run_model_file(run)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        paths = [run.download(each, folder) for each in (file, *companions(file, run.files))]
        contents = {path.name: path.read_bytes() for path in paths}
    return loads_files(
        contents,
        file.rpartition("/")[2],
        run.record.versions,
        allow_pickle=allow_pickle,
        trusted=trusted,
        allow_version_mismatch=allow_version_mismatch,
        source=f"the model of run {run.id}",
    )


def run_model_file(run: Run) -> str:
    """Which of a run's files is its model.

    Raises:
        NotFoundError: It left none, or several; lists them.
    """
    models = [file for file in run.files if file.startswith("outputs/") and format_of(file) != "files"]
    if len(models) == 1:
        return models[0]
    found = (
        f"several models ({', '.join(models)}): say which, with file="
        if models
        else f"no model; it left {', '.join(run.files) or 'no files'}"
    )
    raise NotFoundError(f"Run {run.id} left {found}.")


def run_evaluation(run: Run) -> Evaluation:
    """How good a run's model was on the test images, as the run itself found.

    Raises:
        NotFoundError: It left no ``evaluation.json``, as a script of yours does that writes none.
        DataFormatError: That file isn't one of ours.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        path = run.download(f"outputs/{EVALUATION_FILE}", folder)
        evaluation: Evaluation = from_json(path.read_bytes(), Evaluation, EVALUATION_FILE)
    return evaluation


def run_dataset(run: Run) -> Dataset:
    """The data of a run, fetched if need be and verified, with all its training images.

    Raises:
        UnknownNameError: Its uri is of a source that only the program that ran it knew.
        DataError: It can't be had, or isn't what it should be.
        NotFoundError: The place that it names doesn't exist any more.
    """
    return fetch_dataset(plugins.data_source(run.record.data))
