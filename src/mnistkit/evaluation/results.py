"""Results of a run: its model, the evaluation, and the data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Any

from mnistkit import plugins
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import fetch_dataset
from mnistkit.errors import DataFormatError, UsageError
from mnistkit.evaluation.scores import EVALUATION_FILE, Evaluation
from mnistkit.models.files import companions, format_of
from mnistkit.models.persistence import check_size, loads_files
from mnistkit.models.raw import classifier_of_rows
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.registration import run_model_file
from mnistkit.runs.run import Run
from mnistkit.utils.documents import read_text
from mnistkit.utils.serialization import from_json

__all__ = ["classifier_of", "model_name", "run_dataset", "run_evaluation", "run_model", "run_model_file"]


def run_model(
    run: Run, *, allow_pickle: bool = False, trusted: Iterable[str | type] = (), allow_version_mismatch: bool = False
) -> Any:
    """Load the model that a run left. It isn't verified: a registered version has checksums, a run's file has none.

    Args:
        run: Of any backend.
        allow_pickle: Also unpickle a joblib file, which can run any code: only for runs that you trust.
        trusted: Types to allow in skops files besides the harmless ones.
        allow_version_mismatch: Load what another release of the libraries made, if it predicts as recorded.

    Raises:
        NotFoundError: It left no model, or several; lists its files.
        UnsafeModelError: Loading it could run code.
        VersionMismatchError: Another release of the libraries made it.
        ModelError: It can't be read.
    """
    file = run_model_file(run)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        paths = [run.download(each, folder) for each in (file, *companions(file, run.files))]
        for path in paths:
            if format_of(path.name) != "joblib" or not allow_pickle:
                check_size(path.stat().st_size, f"{path.name} of run {run.id}")
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


def classifier_of(model: Run | str | ModelVersion | Any, models: ModelRegistry) -> Any:
    """Return the fitted classifier of a run, a reference or a version; a classifier is returned as it is.

    Args:
        model: A run, a reference such as ``name@champion``, a version, or a fitted classifier.
        models: The registry of references and versions.

    Raises:
        NotFoundError: The run left no model, or there is no such version.
        UnsafeModelError: Loading it could run code.
    """
    if isinstance(model, Run):
        return run_model(model)
    if isinstance(model, (str, ModelVersion)):
        return load_model(models, model)
    if isinstance(model, type) or not hasattr(model, "predict"):
        raise UsageError(
            f"The model is {model!r:.80}: use a run, a version, a reference such as 'name:3', or a fitted classifier."
        )
    return classifier_of_rows(model)


def model_name(model: Run | str | ModelVersion | Any, models: ModelRegistry, default: str) -> str:
    """Return a name to show for what `classifier_of` takes; ``default`` for a fitted classifier."""
    if isinstance(model, Run):
        return f"run {model.id}"
    if isinstance(model, str):
        return resolve_model(models, model).id
    return model.id if isinstance(model, ModelVersion) else default


def run_evaluation(run: Run) -> Evaluation:
    """Return how good a run's model was on the test images, as the run itself measured.

    Raises:
        NotFoundError: It left no ``evaluation.json``; a script may have written none.
        DataFormatError: That file isn't one of ours.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        path = run.download(f"outputs/{EVALUATION_FILE}", folder)
        try:
            text = read_text(path)
        except OSError as error:
            raise DataFormatError(f"{EVALUATION_FILE} of run {run.id} can't be read: {error.strerror}.") from error
        evaluation: Evaluation = from_json(text, Evaluation, EVALUATION_FILE)
    return evaluation


def run_dataset(run: Run) -> Dataset:
    """Return the data of a run, fetched if need be and verified, with all its training images.

    Raises:
        UnknownNameError: Its uri names a source that is defined only in the program that ran it.
        DataError: It can't be fetched, or isn't what is pinned.
        NotFoundError: The place that it names doesn't exist any more.
    """
    return fetch_dataset(plugins.data_source(run.record.data))
