"""The scoring script of an MLflow model in a batch deployment without one: it predicts tables in files."""

from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

_LOADER_FILE = Path(__file__).with_name("mlflow_scoring.py")
_model: Any = None


def init() -> None:
    """Load the model, as online deployments do."""
    global _model  # noqa: PLW0603 - as every scoring script keeps its model
    spec = importlib.util.spec_from_file_location("mlflow_scoring", _LOADER_FILE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_LOADER_FILE} isn't there.")
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    _model = loader.load()


def run(mini_batch: list[str]) -> list[str]:
    """Return a line for each row of the files: its number in its file, the prediction, and the file's name."""
    lines = []
    for place in map(Path, mini_batch):
        for number, value in enumerate(_predictions(place)):
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow([number, value, place.name])
            lines.append(line.getvalue())
    return lines


def _predictions(file: Path) -> list[Any]:
    import numpy as np

    found: list[Any] = np.asarray(_model.predict(_table(file))).tolist()
    return found


def _table(file: Path) -> Any:
    """Return the table in a file, as pandas' where that is installed, else the numbers of a CSV file."""
    kind = file.suffix.lower()
    if kind not in {".csv", ".parquet", ".pqt"}:
        raise ValueError(f"{file.name} is neither .csv nor .parquet: other files need a scoring script.")
    if importlib.util.find_spec("pandas"):
        import pandas as pd

        table = pd.read_csv(file) if kind == ".csv" else pd.read_parquet(file)
        return table.astype(_types(list(table.columns)))
    if kind != ".csv":
        raise ValueError(f"{file.name} can't be read without pandas.")
    import numpy as np

    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    return np.array([[float(value) for value in row] for row in rows[1:]])


def _types(columns: list[str]) -> dict[str, Any]:
    """Return the types that the model's signature has for columns; none where it has no signature."""
    metadata = getattr(_model, "metadata", None)
    inputs = getattr(getattr(metadata, "signature", None), "inputs", None)
    if inputs is None or not inputs.has_input_names():
        return {}
    types = zip(inputs.input_names(), inputs.pandas_types(), strict=True)
    return {name: kind for name, kind in types if name in columns}
