"""The scoring script of an MLflow model in an online deployment without one; it is copied into the deployment."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

_model: Any = None


def init() -> None:
    """Load the model."""
    global _model  # noqa: PLW0603 - as every scoring script keeps its model
    _model = load()


def load() -> Any:
    """Return the model: by mlflow where that is installed with pandas, else a scikit-learn model by its own file."""
    folder = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("MLmodel")).parent
    is_function = "python_function:" in (folder / "MLmodel").read_text(encoding="utf-8")
    if is_function and all(importlib.util.find_spec(name) for name in ("mlflow", "pandas")):
        from mlflow import pyfunc

        return pyfunc.load_model(str(folder))
    return _sklearn_model(folder)


def run(text: str) -> Any:
    """Return the predictions for the ``input_data`` of a request: rows, or a table with ``columns`` and ``data``."""
    import numpy as np

    sent = json.loads(text)
    rows = sent.get("input_data", sent.get("inputs")) if isinstance(sent, dict) else sent
    if isinstance(rows, dict):
        rows = _table(rows)
    found = _model.predict(rows if hasattr(rows, "columns") else np.asarray(rows))
    return np.asarray(found).tolist()


def _table(sent: dict[str, Any]) -> Any:
    """Return a table of pandas where that is installed, else its rows."""
    try:
        import pandas as pd
    except ImportError:
        return sent["data"]
    return pd.DataFrame(sent["data"], columns=sent.get("columns"), index=sent.get("index"))


def _sklearn_model(folder: Path) -> Any:
    """Return the model in the file that a folder's ``MLmodel`` names for scikit-learn."""
    lines = (folder / "MLmodel").read_text(encoding="utf-8").splitlines()
    values = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    file = folder / values.get("pickled_model", values.get("model_path", "model.pkl")).strip("'\"")
    if file.suffix == ".skops":
        import skops.io

        return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    import joblib

    return joblib.load(file)  # a pickle, which the client that deployed it trusts
