"""Saving and loading fitted models (scikit-learn's word for it: model persistence).

skops is the default: it builds only objects of types that are known to be harmless. joblib unpickles, and a pickle
can run any code, so that it takes ``allow_pickle=True`` at the very call that loads; nothing that is stored with a
model can switch that on or add to the types that are trusted.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

from mnistkit.errors import IntegrityError, ModelError, UnsafeModelError, UsageError
from mnistkit.files import FileInfo, sha256_hex, write_atomically
from mnistkit.interfaces.model_registry import ModelRegistry
from mnistkit.models import FORMAT_BY_SUFFIX, FORMATS, ModelRef, ModelVersion
from mnistkit.promotion import resolve_model

__all__ = ["MODEL_FILES", "TRUSTED_TYPES", "load_model", "loads_model", "save_model"]

MODEL_FILES: Final = {"skops": "model.skops", "joblib": "sklearn_mnist_model.pkl"}
"""The file that `save_model` writes, by format; the second is the tutorial's."""

TRUSTED_TYPES: Final = (
    "mnistkit.estimators.logistic.FastLogisticRegression",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
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

_MAX_SIZE = 512 << 20
_MAX_MEMBERS = 10_000


def save_model(model: Any, folder: str | Path, *, format: Literal["skops", "joblib"] = "skops") -> Path:  # noqa: A002 - the field's word for it
    """Write a fitted model into a folder, and return the file: whole, or not there.

    Args:
        model: Any scikit-learn estimator.
        folder: Created if need be.
        format: ``"skops"``, or ``"joblib"`` for programs that can read nothing else.

    Raises:
        UsageError: The format is unknown, or the model holds what it can't express.
    """
    if format not in MODEL_FILES:
        raise UsageError(f"format={format!r}: use one of {', '.join(MODEL_FILES)}.")
    try:
        data = _dumps(model, format)
    except Exception as error:
        raise UsageError(f"Can't write {type(model).__name__} as {format}: {type(error).__name__}: {error}") from error
    path = Path(folder) / MODEL_FILES[format]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    return path


def load_model(
    registry: ModelRegistry,
    model: str | ModelRef | ModelVersion,
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str | type] = (),
) -> Any:
    """Load a registered model: its bytes are read once, compared with the manifest, and these very bytes are loaded.

    Args:
        registry: Where it is.
        model: ``"name"`` for the newest, ``"name:3"``, ``"name@champion"``, or a version at hand.
        allow_pickle: Load joblib files, which can run any code: only for files that you made.
        trusted: Types to allow in skops files besides those that are known to be harmless.

    Raises:
        ModelNotFoundError: There is no such model, version or alias.
        IntegrityError: Its files aren't those that were registered.
        UnsafeModelError: It holds types that nobody trusted, or is a pickle and pickles aren't allowed.
        ModelError: It holds no model that can be loaded: its format is ``files``, or this release can't read it.
    """
    version = model if isinstance(model, ModelVersion) else resolve_model(registry, model)
    file = _model_file(version)
    if version.format == "joblib" and not allow_pickle:
        raise _pickle_refused(version.id)
    if version.format == "skops":
        _check_size(version.files[file].size, version.id)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        data = (registry.download(version, Path(folder) / "files") / file).read_bytes()
    got = FileInfo(len(data), sha256_hex(data))
    if got != version.files[file]:
        raise IntegrityError(
            f"{version.id}: {file} has sha256 {got.sha256}, registered was {version.files[file].sha256}."
        )
    return loads_model(
        data, version.format, allow_pickle=allow_pickle, trusted=trusted, source=f"{version.id} ({file})"
    )


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
            raise _pickle_refused(source)
        return _unpickle(data, source)
    if format in FORMATS:
        raise _no_loader(source, format)
    raise UsageError(f"format={format!r}: use one of {', '.join(MODEL_FILES)}.")


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
    _check_size(len(data), source)
    try:
        _check_archive(data, source)
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            return skops.io.loads(data, trusted=sorted(allowed))
        except UntrustedTypesFoundException as error:
            unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - allowed)
            raise UnsafeModelError(
                f"{source} holds types that aren't known to be harmless: {', '.join(unknown)}. "
                f"If you made it, or trust who did: load_model(..., trusted={unknown!r})."
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


def _check_size(size: int, source: str) -> None:
    if size > _MAX_SIZE:
        raise UnsafeModelError(
            f"{source} has {size} bytes; a skops file may have {_MAX_SIZE}. Keep it as format 'files'."
        )


def _check_archive(data: bytes, source: str) -> None:
    """Refuse what could fill the memory before a single type is looked at."""
    if data.count(b"PK\x01\x02") > _MAX_MEMBERS:  # each member has this signature: counted before any is parsed
        raise UnsafeModelError(f"{source} has more than {_MAX_MEMBERS} members: no skops file of a model has so many.")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise UnsafeModelError(
                f"{source}: its member {member.filename!r:.80} is compressed and could unpack to any size. "
                "Save the model again, with mnistkit.save_model or without compression."
            )
    if sum(max(member.file_size, member.compress_size) for member in members) > len(data):
        raise UnsafeModelError(f"{source}: its members claim more bytes than it has: it was forged or damaged.")


def _type_names(types: Iterable[str | type]) -> list[str]:
    if isinstance(types, (str, bool)):
        raise UsageError(f"trusted={types!r}: use a list of types or of their full names, as in the error message.")
    return [name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}" for name in types]


def _model_file(model: ModelVersion) -> str:
    """The file of a version that holds the model."""
    if model.format not in MODEL_FILES:
        raise _no_loader(model.id, model.format)
    if MODEL_FILES[model.format] in model.files:
        return MODEL_FILES[model.format]
    suffixes = tuple(suffix for suffix, kind in FORMAT_BY_SUFFIX.items() if kind == model.format)
    found = [file for file in model.files if file.endswith(suffixes)]
    if len(found) != 1:
        raise ModelError(
            f"{model.id} should hold {MODEL_FILES[model.format]}, or one other {' or '.join(suffixes)} "
            f"file; its files: {', '.join(sorted(model.files))}. Use registry.download and load it yourself."
        )
    return found[0]


def _pickle_refused(source: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"{source} is a joblib file: loading it runs whatever code is in it, and its checksum says nothing about that. "
        "If you made it, or trust who did: load_model(..., allow_pickle=True). Better, register it as skops."
    )


def _no_loader(source: str, format: str) -> ModelError:  # noqa: A002 - the field's word for it
    return ModelError(f"{source} has format {format!r}, which is the caller's to load: use registry.download.")


def _unreadable(source: str, format: str, error: Exception) -> ModelError:  # noqa: A002 - the field's word for it
    return ModelError(
        f"Can't load {source} as {format}: {type(error).__name__}: {error}. It is damaged, or was written with "
        "versions of the libraries that these can't read: see its `versions`."
    )
