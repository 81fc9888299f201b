"""Export of fitted models to ONNX. Needs the extra ``onnx``."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any, Literal

from mnistkit.errors import MissingExtraError, ModelError, UsageError
from mnistkit.models.probe import PROBE_ROWS, Probe
from mnistkit.registry.loading import load_model, load_probe
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef, ModelVersion
from mnistkit.utils.files import write_atomically

__all__ = ["export_model", "export_version"]

_ABSOLUTE_TOLERANCE = 1e-4  # ONNX computes in float32


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    format: Literal["onnx"] = "onnx",  # noqa: A002 - the field's word for it
    probe: Any = None,
) -> Path:
    """Write a fitted classifier as ONNX, if it predicts as the model does, and return the file.

    The ONNX model takes ``X``, ``(n, d)`` float32, and returns ``label`` and ``probabilities`` (of a model without
    probabilities, its margins). Before it is written, onnxruntime runs it: labels must be equal, probabilities within
    1e-4 of the model's own.

    Args:
        model: A fitted scikit-learn classifier, or what `mnistkit.load_model` returned.
        path: The file.
        format: ``"onnx"``.
        probe: ``(n, d)``: rows to compare the predictions on, of which 16 are used; random ones if None. Real
            ones prove more.

    Raises:
        MissingExtraError: skl2onnx or onnxruntime isn't installed.
        UsageError: The format is unknown, or the model isn't fitted or can't be written as ONNX.
        ModelError: The ONNX model predicts differently. No file was left.
    """
    if format != "onnx":
        raise UsageError(f"format={format!r}: use 'onnx'.")
    rows = _random_rows(model) if probe is None else probe
    return _export(model, Path(path), Probe.record(model, rows))


def export_version(
    registry: ModelRegistry,
    ref: str | ModelRef | ModelVersion,
    path: str | os.PathLike[str],
    *,
    format: Literal["onnx"] = "onnx",  # noqa: A002 - the field's word for it
    **options: Any,
) -> Path:
    """Load a registered model and write it as ONNX, compared on the version's own probe.

    Args:
        registry: Where it is.
        ref: As for `mnistkit.load_model`.
        path: The file.
        format: As in `export_model`.
        options: Of `mnistkit.load_model`, such as ``allow_pickle``.

    Raises:
        MnistkitError: As `mnistkit.load_model` and `export_model`.
    """
    version = ref if isinstance(ref, ModelVersion) else resolve_model(registry, ref)
    model = load_model(registry, version, **options)
    probe = load_probe(registry, version)
    return export_model(model, path, format=format, probe=None if probe is None else probe.X)


def _export(model: Any, path: Path, probe: Probe) -> Path:
    X = probe.X.astype("float32")
    name = type(model).__name__
    try:
        content = _converted(model, X)
        labels, scores = _predictions(content, X)
    except ImportError as error:
        raise MissingExtraError(
            "Export to ONNX needs skl2onnx and onnxruntime: python -m pip install 'mnistkit[onnx]'."
        ) from error
    except Exception as error:
        raise UsageError(f"Can't write {name} as ONNX: {type(error).__name__}: {error!s:.300}") from error
    n = probe.probabilities.shape[1]
    difference = probe.compare(labels, scores if n else probe.probabilities, rtol=0, atol=_ABSOLUTE_TOLERANCE)
    if difference:
        raise ModelError(f"{name} as ONNX isn't the same model: {difference}, on {len(X)} rows. Nothing was written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path


def _converted(model: Any, X: Any) -> bytes:
    from mnistkit.registry.onnx_converters import to_onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter, about itself
        return to_onnx(_plain(model), X)


def _predictions(content: bytes, X: Any) -> tuple[Any, Any]:
    """Return the labels and the scores of an ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    labels, scores = session.run(None, {session.get_inputs()[0].name: X})
    return labels, scores


def _plain(model: Any) -> Any:
    """Return the model with scikit-learn's own classes in place of ours."""
    from sklearn.pipeline import Pipeline

    if isinstance(model, Pipeline):
        return Pipeline([(name, _plain(step)) for name, step in model.steps])
    return model.to_sklearn() if hasattr(model, "to_sklearn") else model


def _random_rows(model: Any) -> Any:
    import numpy as np

    with contextlib.suppress(AttributeError):
        return np.random.default_rng(0).random((PROBE_ROWS, model.n_features_in_), dtype=np.float32)
    raise UsageError(f"{type(model).__name__} isn't fitted, or has no number of features: give probe=X.")
