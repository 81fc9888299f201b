"""The files that make a version an MLflow model: written without loading it, and the loader of linear models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mnistkit.errors import ModelError
from mnistkit.mlflow._sdk import sdk
from mnistkit.models.files import FORMAT_BY_SUFFIX, parts
from mnistkit.models.persistence import TRUSTED_TYPES, check_size, loads_files
from mnistkit.models.probe import PROBE_FILE, Probe
from mnistkit.registry.manifest import Manifest

if TYPE_CHECKING:  # loads numpy
    from numpy.typing import NDArray

__all__ = ["FILES_FOLDER", "write_mlmodel"]

FILES_FOLDER: Final = "mnistkit"
"""The folder of an MLflow model that holds the version's files."""

_EXAMPLE_FILE = "input_example.json"
_SERVING_FILE = "serving_input_example.json"


def write_mlmodel(stage: Path, manifest: Manifest, run_id: str) -> None:
    """Write MLflow's files around those of a version.

    ``MLmodel`` is written as JSON, which is YAML: nothing is loaded, and nothing is unpickled. skops files have the
    flavor ``sklearn``, linear models a Python function of mnistkit's; other formats are kept without a flavor of
    MLflow's, which would unpickle them.

    Args:
        stage: A folder; holds the version's files in `FILES_FOLDER`.
        manifest: Theirs.
        run_id: MLflow's run that the model is logged to.
    """
    version = sdk().__version__
    libraries = {name: number for name, number in manifest.versions.items() if name != "python"}
    pins = [f"mlflow=={version}", *(f"{name}=={number}" for name, number in libraries.items())]
    python = manifest.versions.get("python", "")
    dependencies = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    conda = ["python=" + python, "pip", {"pip": pins}]
    _write(stage / "requirements.txt", "\n".join(pins) + "\n")
    _write_json(stage / "python_env.yaml", dependencies)
    _write_json(stage / "conda.yaml", {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": conda})
    plain: dict[str, Any] = {
        "run_id": run_id,
        "utc_time_created": f"{manifest.created_at:%Y-%m-%d %H:%M:%S.%f}",
        "mlflow_version": version,
        "model_uuid": manifest.nonce,
        "flavors": _flavors(manifest),
        **_signature(stage),
    }
    _write_json(stage / "MLmodel", plain)


def _flavors(manifest: Manifest) -> dict[str, Any]:
    flavors: dict[str, Any] = {"mnistkit": {"format": manifest.format, "files": FILES_FOLDER}}
    suffixes = tuple(suffix for suffix, kind in FORMAT_BY_SUFFIX.items() if kind == manifest.format)
    models = [file for file in manifest.files if suffixes and file.endswith(suffixes)]
    if len(models) != 1:
        return flavors
    environment = {"virtualenv": "python_env.yaml", "conda": "conda.yaml"}
    function = {"env": environment, "python_version": manifest.versions.get("python", "")}
    path = f"{FILES_FOLDER}/{models[0]}"
    if manifest.format == "skops":
        function |= {"loader_module": "mlflow.sklearn", "model_path": path, "predict_fn": "predict"}
        flavors["python_function"] = function
        flavors["sklearn"] = {
            "pickled_model": path,
            "sklearn_version": manifest.versions.get("scikit-learn", ""),
            "serialization_format": "skops",
            "skops_trusted_types": list(TRUSTED_TYPES),
            "code": None,
        }
    elif manifest.format == "linear" and set(parts(models[0])) <= manifest.files.keys():
        flavors["python_function"] = {**function, "loader_module": __name__, "data": FILES_FOLDER}
    return flavors


def _signature(stage: Path) -> dict[str, Any]:
    """Return the signature and the input example that a probe gives, and write the example; empty without a probe."""
    try:
        probe = Probe.parse((stage / FILES_FOLDER / PROBE_FILE).read_bytes(), PROBE_FILE)
    except (OSError, ModelError):
        return {}
    rows = probe.X[:2].tolist()
    _write_json(stage / _EXAMPLE_FILE, rows)
    _write_json(stage / _SERVING_FILE, {"inputs": rows})
    example = {
        "artifact_path": _EXAMPLE_FILE,
        "serving_input_path": _SERVING_FILE,
        "type": "ndarray",
        "format": "tf-serving",
    }
    return {
        "signature": {"inputs": _tensor(probe.X), "outputs": _tensor(probe.labels), "params": None},
        "saved_input_example_info": example,
    }


def _tensor(array: NDArray[Any]) -> str:
    dtype = "str" if array.dtype.kind == "U" else str(array.dtype)
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *array.shape[1:]]}}])


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=1) + "\n")


def _load_pyfunc(path: str) -> Any:
    """Return what MLflow's ``pyfunc`` calls for a linear model: MLflow finds this function by its name."""
    files = [file for file in Path(path).iterdir() if file.is_file()]
    for file in files:
        check_size(file.stat().st_size, str(file))
    contents = {file.name: file.read_bytes() for file in files}
    [model] = [name for name in contents if name.endswith(".linear.json")]
    return _LinearFunction(loads_files(contents, model, {}))


class _LinearFunction:
    """A linear model with the method that MLflow calls."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow's signature
        """Return the labels of rows, ``(n, d)``; of a data frame, its values."""
        import numpy as np

        return self._model.predict(np.asarray(data))
