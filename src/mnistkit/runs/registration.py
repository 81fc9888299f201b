"""Registration: the model of a completed run becomes the next version of a name."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mnistkit.errors import NotFoundError, RunStateError
from mnistkit.models.files import companions, format_of
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.registry import ModelRegistry, SupportsRunFiles
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run

__all__ = ["register_run", "run_model_file"]


def register_run(
    models: ModelRegistry,
    run: Run,
    name: str,
    *,
    file: str | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
) -> ModelVersion:
    """Register the model of a completed run as the next version of ``name``, with its metrics.

    Args:
        models: Where to register it.
        run: A completed run.
        name: The model's name.
        file: Which of the run's files is the model; None to find it.
        tags: Free text by key, besides the run's.
        description: Free text.

    Raises:
        RunStateError: The run hasn't completed; the message has its state and error.
        NotFoundError: It left no model, or several; lists its files.
        InvalidNameError: The name breaks the rule.
    """
    run.refresh()
    if run.state is not RunState.COMPLETED:
        detail = f": {run.error.rstrip('.')}" if run.error else ""
        raise RunStateError(f"Run {run.id} is {run.state}{detail}. Only a completed run can be registered.")
    file = file or run_model_file(run)
    files = (file, *companions(file, run.files))
    info = ModelInfo(
        format=format_of(file),
        metrics={name: value for name, value in run.metrics.items() if math.isfinite(value)},
        tags={**run.record.tags, **(tags or {})},
        description=description,
        run_id=run.id,
    )
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        for each in files:
            run.download(each, folder)
        if isinstance(models, SupportsRunFiles) and models.has_run(run.id):
            return models.register_from_run(name, files, info, copies=Path(folder))
        return models.register(name, Path(folder), info)


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
