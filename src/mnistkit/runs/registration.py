"""Registration: the model of a completed run becomes the next version of a name."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mnistkit.errors import (
    DataFormatError,
    IntegrityError,
    ModelNotFoundError,
    NotFoundError,
    RunStateError,
    UsageError,
)
from mnistkit.models.files import companions, format_of
from mnistkit.models.input import INPUT_FILE, InputSpec
from mnistkit.models.persistence import check_size
from mnistkit.models.probe import PROBE_FILE
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.registry import ModelRegistry, SupportsRunFiles
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.utils.arguments import check_type
from mnistkit.utils.serialization import read_json

__all__ = ["check_data", "register_run", "run_input", "run_model_file"]

_log = logging.getLogger(__name__)


def register_run(
    models: ModelRegistry,
    run: Run,
    name: str,
    *,
    file: str | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    allow_other_data: bool = False,
) -> ModelVersion:
    """Register the model of a completed run as the next version of ``name``, with its metrics.

    Args:
        models: Where to register it.
        run: A completed run.
        name: The model's name.
        file: Which of the run's files is the model; None to find it.
        tags: Free text by key, besides the run's.
        description: Free text.
        allow_other_data: Register it although the newest version of ``name`` is of other data, or of other images.

    Raises:
        UsageError: The newest version of ``name`` is of other data, and that isn't allowed. Nothing was registered.
        RunStateError: The run hasn't completed; the message has its state and error.
        NotFoundError: It left no model, or several; lists its files.
        InvalidNameError: The name breaks the rule.
        UnsafeModelError: A file is larger than any model that is loaded.
    """
    check_type(run, Run, "run", "the run that trainer.train(estimator) returns, or trainer.run(id)")
    if file is not None:
        check_type(file, str, "file", "one of the run's files, such as 'outputs/model.skops'")
    check_type({} if tags is None else tags, Mapping, "tags", "text by key, such as {'stage': 'trial'}")
    run.refresh()
    if run.state is not RunState.COMPLETED:
        detail = f": {run.error.rstrip('.')}" if run.error else ""
        raise RunStateError(f"Run {run.id} is {run.state}{detail}. Only a completed run can be registered.")
    file = file or run_model_file(run)
    files = (file, *companions(file, run.files))
    spec = run_input(run, file)
    if spec is not None and not allow_other_data:
        check_data(models, name, spec, f"Run {run.id}")
    info = ModelInfo(
        format=format_of(file),
        metrics={name: value for name, value in run.metrics.items() if math.isfinite(value)},
        tags={**run.record.tags, **(tags or {})},
        description=description,
        run_id=run.id,
        input=spec,
    )
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        for each in files:
            path = run.download(each, folder)
            if path.name == PROBE_FILE or info.format not in {"joblib", "files"}:
                check_size(path.stat().st_size, f"{each} of run {run.id}")
        if isinstance(models, SupportsRunFiles) and models.has_run(run.id):
            return models.register_from_run(name, files, info, copies=Path(folder))
        return models.register(name, Path(folder), info)


def run_input(run: Run, file: str) -> InputSpec | None:
    """Return what a run recorded of its model's input, beside the model file; None if there is no record.

    A record that can't be read is left out, with a warning in the log.

    Args:
        run: A completed run.
        file: Its model file.
    """
    source = f"{file.rpartition('/')[0]}/{INPUT_FILE}"
    if source not in run.files:
        return None
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        path = run.download(source, folder)
        try:
            spec: InputSpec = read_json(path, InputSpec)
        except (DataFormatError, UsageError, OSError) as error:  # a script's own file of that name
            _log.warning("%s of run %s doesn't describe the model's input, and is left out: %s", source, run.id, error)
            return None
    return spec


def run_model_file(run: Run) -> str:
    """Return which of a run's files is its model.

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


def check_data(models: ModelRegistry, name: str, spec: InputSpec, what: str) -> None:
    """Refuse to put a model of other data among the versions of a name: nobody expects it there.

    Args:
        models: Where it is to be registered.
        name: The model's name.
        spec: Its input.
        what: What is to be registered, as the subject of a sentence.

    Raises:
        UsageError: The newest version is of other data, or of other images.
    """
    try:
        newest = models.get(name)
    except (ModelNotFoundError, IntegrityError):
        return
    differences = "" if newest.input is None else spec.differences(newest.input)
    if differences:
        raise UsageError(
            f"{what} is no next version of {newest.id}: {differences}. Register it under another name, or allow "
            "it: in Python allow_other_data=True, on the command line --allow-other-data."
        )
