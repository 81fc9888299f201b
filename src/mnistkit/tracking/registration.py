"""Registration of what the user fitted: a classifier of this program, or a model file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mnistkit.data.dataset import Dataset
from mnistkit.errors import NotFoundError, UsageError
from mnistkit.evaluation.scores import evaluate
from mnistkit.jobs.job import ModelFormat
from mnistkit.models.files import FORMAT_BY_SUFFIX, companions, format_of, parts
from mnistkit.models.fitted import check_fitted
from mnistkit.models.input import InputSpec
from mnistkit.models.persistence import check_size, loads_files
from mnistkit.models.probe import PROBE_FILE, Probe
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.registration import check_data
from mnistkit.training import input_spec, probe_of, write_model
from mnistkit.utils.names import check_name

__all__ = ["register_classifier", "register_file"]


def register_classifier(
    models: ModelRegistry,
    classifier: Any,
    name: str,
    *,
    dataset: Callable[[], Dataset] | None = None,
    model_format: ModelFormat = "skops",
    tags: Mapping[str, str] | None = None,
    description: str = "",
    allow_other_data: bool = False,
) -> ModelVersion:
    """Register a fitted classifier as the next version of ``name``.

    Args:
        models: Where to register it.
        classifier: Any fitted scikit-learn classifier, or a Pipeline that ends in one.
        name: The model's name.
        dataset: Returns the data that it is for, once it is known to be a fitted classifier: it is evaluated on the
            test images, and its input and a probe are recorded as for a run's model. None registers it without.
        model_format: As in `Trainer.job`.
        tags: Free text by key.
        description: Free text.
        allow_other_data: Register it although the newest version of ``name`` is of other data, or of other images.

    Raises:
        SpecError: It isn't a classifier.
        UsageError: It isn't fitted, can't be written in this format, takes images of another size, or the newest
            version is of other data. Nothing was registered.
        InvalidNameError: The name breaks the rule.
    """
    check_name(name, "model name")
    check_fitted(classifier)
    data = None if dataset is None else dataset()
    metrics, spec = _judged(classifier, data)
    if spec is not None and not allow_other_data:
        check_data(models, name, spec, f"This {type(classifier).__name__}")
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        file = write_model(classifier, Path(folder), model_format, data)
        info = ModelInfo(
            format=format_of(file.name), metrics=metrics, tags=tags or {}, description=description, input=spec
        )
        return models.register(name, Path(folder), info)


def register_file(
    models: ModelRegistry,
    path: str | os.PathLike[str],
    name: str,
    *,
    dataset: Callable[[], Dataset] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    allow_other_data: bool = False,
    allow_pickle: bool = False,
    trusted: Iterable[str | type] = (),
) -> ModelVersion:
    """Register a model file as the next version of ``name``; the file is kept byte by byte.

    It is loaded, to see that it is a fitted classifier.

    Args:
        models: Where to register it.
        path: A ``.skops`` or ``.joblib`` file, or the ``.linear.json`` of a model of plain numbers.
        name: The model's name.
        dataset: As in `register_classifier`.
        tags: As there.
        description: As there.
        allow_other_data: As there.
        allow_pickle: Load a joblib file, which can run any code: only for files that you made.
        trusted: Types to allow in a skops file besides those that are known to be harmless.

    Raises:
        NotFoundError: There is no such file.
        UnsafeModelError: Loading it could run code, and isn't allowed.
        ModelError: It can't be read.
        VersionMismatchError: Another release of the libraries made it, as the probe beside it says.
        UsageError: It isn't a model file; or as from `register_classifier`. Nothing was registered.
    """
    check_name(name, "model name")
    path = Path(path)
    kind = format_of(path.name)
    if kind == "files":
        raise UsageError(
            f"{path} isn't a model file by its name: it ends in none of {', '.join(FORMAT_BY_SUFFIX)}. If it is a "
            f"run's id, give the run: trainer.run({str(path)!r})."
        )
    if missing := [part for part in parts(path.name) if not (path.parent / part).is_file()]:
        raise NotFoundError(f"There is no file {path.parent / missing[0]}.")
    beside = [each.name for each in path.parent.iterdir() if each.is_file()]
    names = {*parts(path.name), *companions(path.name, beside)}
    for each in names:
        if kind != "joblib" or not allow_pickle or each == PROBE_FILE:
            check_size((path.parent / each).stat().st_size, str(path.parent / each))
    contents = {each: (path.parent / each).read_bytes() for each in names}
    model = loads_files(contents, path.name, {}, allow_pickle=allow_pickle, trusted=trusted, source=str(path))
    if kind != "linear":  # which is no scikit-learn classifier, and has nothing that could be unfitted
        check_fitted(model)
    data = None if dataset is None else dataset()
    metrics, spec = _judged(model, data)
    if spec is not None and not allow_other_data:
        check_data(models, name, spec, str(path))
    info = ModelInfo(format=kind, metrics=metrics, tags=tags or {}, description=description, input=spec)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        for each, content in contents.items():
            (Path(folder) / each).write_bytes(content)
        if data is not None and PROBE_FILE not in contents:
            Probe.record(model, probe_of(data)).save(Path(folder))
        return models.register(name, Path(folder), info)


def _judged(model: Any, dataset: Dataset | None) -> tuple[dict[str, float], InputSpec | None]:
    """Return the scores of a model on the test images of its data, and how images are prepared for it."""
    if dataset is None:
        return {}, None
    scores = evaluate(model, dataset)
    metrics = {"accuracy": scores.accuracy}
    if scores.log_loss is not None:
        metrics["log loss"] = scores.log_loss
    return metrics, input_spec(dataset)
