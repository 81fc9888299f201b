"""Saving and loading fitted models (model persistence, in scikit-learn's words).

skops is the default: it builds only objects of types that are known to be harmless. joblib unpickles, and a pickle
can run any code, so that it takes ``allow_pickle=True`` at the very call that loads; nothing that is stored with a
model can switch that on or add to the types that are trusted.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from mnistkit.errors import ModelError, UnsafeModelError, UsageError
from mnistkit.jobs.job import ModelFormat
from mnistkit.models.archives import check_skops
from mnistkit.models.files import FORMATS, MODEL_FILES, format_of, no_loader, parts
from mnistkit.models.probe import PROBE_FILE, Probe, load_mismatched, mismatches
from mnistkit.utils.files import write_atomically

__all__ = ["MODEL_FILES", "TRUSTED_TYPES", "loads_files", "loads_model", "save_model"]

TRUSTED_TYPES: Final = (
    "mnistkit.estimators.accurate.AccurateClassifier",
    "mnistkit.estimators.columns.ColumnSelector",
    "mnistkit.estimators.components.WithinClassComponents",
    "mnistkit.estimators.gradients.OrientedGradients",
    "mnistkit.estimators.liblinear.LiblinearLogisticRegression",
    "mnistkit.estimators.logistic.FastLogisticRegression",
    "mnistkit.estimators.nystroem_ridge.NystroemRidgeClassifier",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.RepeatedKFold",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
)
"""What is trusted beyond skops's own list: parts of calibrated classifiers, perceptrons, ensembles and searches.

Plain Python objects that hold parameters. No trees: scikit-learn doesn't check their node numbers, and a forged
tree crashes the process.
"""

_MAX_MODEL_BYTES = 512 << 20
_MAX_LISTED_TYPES = 50


def save_model(
    model: Any,
    folder: str | Path,
    *,
    format: ModelFormat = "skops",  # noqa: A002 - the field's word for it
    probe: Any = None,
) -> Path:
    """Write a fitted model into a folder, all of it or nothing, and return the file.

    Args:
        model: Any scikit-learn estimator.
        folder: Created if need be.
        format: ``"skops"``; ``"linear"`` for linear classifiers and pipelines of scalers that end in one, as two files
            that any language reads (the one with the JSON is returned); or ``"joblib"`` for programs that can read
            nothing else.
        probe: ``(n, d)`` numbers, of which the first 16 rows and the model's predictions are kept in ``probe.npz``
            beside it. Another release of the libraries must predict the same to load the model; without a probe,
            None, no other release loads it.

    Raises:
        UsageError: The format is unknown, the model holds what it can't express, or it can't predict the probe.
    """
    if format not in MODEL_FILES:
        raise UsageError(f"format={format!r}: use one of {', '.join(MODEL_FILES)}.")
    folder = Path(folder)
    recorded = None if probe is None else Probe.record(model, probe)
    if format == "linear":
        from mnistkit.models.linear import save_linear
        from mnistkit.models.linear_export import to_linear_model

        linear = to_linear_model(model)
        folder.mkdir(parents=True, exist_ok=True)
        path = save_linear(linear, folder)
    else:
        try:
            data = _dumps(model, format)
        except Exception as error:
            what = f"{type(model).__name__} as {format}: {type(error).__name__}: {str(error).rstrip('.')}"
            advice = " Use the format 'joblib', a pickle, if nothing else will do." if format == "skops" else ""
            raise UsageError(f"Can't write {what}.{advice}") from error
        path = folder / MODEL_FILES[format]
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    if recorded is not None:
        recorded.save(folder)
    return path


def loads_files(
    contents: Mapping[str, bytes],
    file: str,
    versions: Mapping[str, str],
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str | type] = (),
    allow_version_mismatch: bool = False,
    source: str = "the model",
) -> Any:
    """Load a model from the content of its files, and compare it with its probe if another release made it.

    Args:
        contents: Of the files by name: those that the model consists of, and its probe if it has one.
        file: The one that is the model, or stands for it.
        versions: Of the libraries that made it, by name, as far as they are known.
        allow_pickle: As in `load_model`.
        trusted: As in `load_model`.
        allow_version_mismatch: As in `load_model`.
        source: What it is, for messages.

    Raises:
        UnsafeModelError: As from `load_model`.
        VersionMismatchError: As from `load_model`.
        ModelError: As from `load_model`.
    """
    kind, named = format_of(file), f"{source} ({file})"
    if kind == "linear":
        from mnistkit.models.linear import loads_linear

        header, arrays = (contents[part] for part in parts(file))
        return loads_linear(header, arrays, named)
    probe = Probe.parse(contents[PROBE_FILE], f"{source} ({PROBE_FILE})") if PROBE_FILE in contents else None
    found = mismatches(versions if probe is None else probe.versions, kind)
    load = partial(loads_model, contents[file], kind, allow_pickle=allow_pickle, trusted=trusted, source=named)
    return load_mismatched(load, probe, found, source, allow=allow_version_mismatch) if found else load()


def loads_model(
    data: bytes,
    format: str,  # noqa: A002 - the field's word for it
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str | type] = (),
    source: str = "the model",
) -> Any:
    """Load a model from the bytes that `save_model` wrote.

    Args:
        data: The content of the file.
        format: ``"skops"`` or ``"joblib"``.
        allow_pickle: Load joblib files, which can run any code: only for files that you made.
        trusted: Types to allow in skops files besides those that are known to be harmless.
        source: What it is, for messages.

    Raises:
        UnsafeModelError: It holds types that nobody trusted, or is a pickle and pickles aren't allowed.
        ModelError: It can't be read.
        UsageError: The format is unknown.
    """
    if format == "skops":
        return _loads_skops(data, trusted, source)
    if format == "joblib":
        if allow_pickle is not True:
            raise pickle_refused(source)
        return _unpickle(data, source)
    if format == "linear":
        raise UsageError(f"{source} is linear, which is two files: use mnistkit.models.linear.loads_linear.")
    if format in FORMATS:
        raise no_loader(source, format)
    raise UsageError(f"format={format!r}: use one of skops, joblib.")


def _dumps(model: Any, format: str) -> bytes:  # noqa: A002 - the field's word for it
    if format == "skops":
        import skops.io

        data: bytes = skops.io.dumps(model)
        return data
    import joblib

    stream = io.BytesIO()
    joblib.dump(model, stream)
    return stream.getvalue()


def _loads_skops(data: bytes, trusted: Iterable[str | type], source: str) -> Any:
    allowed = {*TRUSTED_TYPES, *_type_names(trusted)}
    check_size(len(data), source)
    try:
        check_skops(data, source)
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            return skops.io.loads(data, trusted=sorted(allowed))
        except UntrustedTypesFoundException as error:
            unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - allowed)
            if len(unknown) > _MAX_LISTED_TYPES:
                listed = ", ".join(unknown[:_MAX_LISTED_TYPES])
                raise UnsafeModelError(
                    f"{source} holds {len(unknown)} types that aren't known to be harmless, such as {listed:.1000}: no "
                    "model needs so many."
                ) from error
            raise UnsafeModelError(
                f"{source} holds types that aren't known to be harmless: {', '.join(unknown)}. "
                f"If you made it, or trust who did: load_model(..., trusted={unknown!r}), on the command line "
                f"{' '.join(f'--trusted {name}' for name in unknown)}."
            ) from error
    except ModelError:
        raise
    except Exception as error:
        raise _unreadable(source, "skops", error) from error


def _unpickle(data: bytes, source: str) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(data))
    except Exception as error:
        raise _unreadable(source, "joblib", error) from error


def check_size(size: int, source: str) -> None:
    if size > _MAX_MODEL_BYTES:
        raise UnsafeModelError(f"{source} has {size} bytes; it may have {_MAX_MODEL_BYTES}. Keep it as format 'files'.")


def _type_names(types: Iterable[str | type]) -> list[str]:
    kinds: list[Any] = list(types) if isinstance(types, Iterable) and not isinstance(types, (str, bytes)) else [None]
    if not all(isinstance(kind, (str, type)) for kind in kinds):
        raise UsageError(f"trusted={types!r:.80}: use a list of types or of their full names, as in the error message.")
    return [name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}" for name in kinds]


def pickle_refused(source: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"{source} is a joblib file: loading it runs any code in it, and a matching checksum doesn't change that. "
        "If you made it, or trust who did: load_model(..., allow_pickle=True), or --allow-pickle on the command line. "
        "Better, register it as skops."
    )


def _unreadable(source: str, format: str, error: Exception) -> ModelError:  # noqa: A002 - the field's word for it
    return ModelError(
        f"Can't load {source} as {format}: {type(error).__name__}: {error}. It is damaged, or was written with "
        "versions of the libraries that these can't read: see its `versions`."
    )
