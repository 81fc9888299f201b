"""A registration and a listing in an MLflow registry: next to plain MLflow, and to the folder registry.

All keep the same fitted model, on sqlite and on this machine's disk. Plain MLflow's way is
``mlflow.sklearn.log_model(..., registered_model_name=...)``, which loads the model once more to check it.
``python benchmarks/mlflow_registry.py [--quick]`` prints the table alone.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Result, compare, table

from mnistkit.local import FolderRegistry
from mnistkit.mlflow import MlflowRegistry
from mnistkit.models import save_model
from mnistkit.registry import ModelInfo

__all__ = ["results"]

_NAME = "model"
_N_FEATURES = 784


def results(*, quick: bool) -> Iterator[Result]:
    """One registration, and a listing of all versions, three ways."""
    if importlib.util.find_spec("mlflow") is None:
        print("MLflow isn't installed, so it is left out: pip install --group peers", file=sys.stderr)
        return
    n, count = (3, 20) if quick else (10, 200)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        folder = Path(temporary)
        model = _fitted()
        save_model(model, folder / "files", probe=_rows())
        own, local = MlflowRegistry(f"sqlite:///{folder}/own/mlflow.db"), FolderRegistry(folder / "home")
        theirs, listed = _plain(f"sqlite:///{folder}/plain.db", folder / "plain", model)
        info = ModelInfo(format="skops", metrics={"accuracy": 0.9})
        in_mlflow: Callable[[], Any] = lambda: own.register(_NAME, folder / "files", info)  # noqa: E731 - a way to time
        in_folder: Callable[[], Any] = lambda: local.register(_NAME, folder / "files", info)  # noqa: E731
        for way in (theirs, in_mlflow, in_folder):
            way()  # loads what is loaded once
        what = "a registration of a logistic regression, one writer"
        yield compare(what, ("MLflow's log_model", theirs), ("MlflowRegistry", in_mlflow), n=n)
        yield compare(what, ("FolderRegistry", in_folder), ("MlflowRegistry", in_mlflow), n=n)
        for way in (theirs, in_mlflow, in_folder):
            for _ in range(count - 2 * n - 1):
                way()
        for registry in (own, local):
            if len(registry.versions(_NAME)) < count - n:
                raise RuntimeError(f"not all versions of {registry} are listed")
        what = f"a listing of about {count} versions"
        yield compare(what, ("MLflow's client", listed), ("MlflowRegistry", lambda: own.versions(_NAME)), n=n)
        yield compare(
            what,
            ("FolderRegistry", lambda: local.versions(_NAME)),
            ("MlflowRegistry", lambda: own.versions(_NAME)),
            n=n,
        )


def _plain(uri: str, artifacts: Path, model: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return plain MLflow's registration and its listing."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    experiment = mlflow.create_experiment("plain", artifact_location=artifacts.as_uri())
    example = _rows()[:2]

    def register() -> None:
        with mlflow.start_run(experiment_id=experiment):
            mlflow.log_metric("accuracy", 0.9)
            mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name=_NAME,
                input_example=example,
                serialization_format="skops",
                pip_requirements=["scikit-learn"],
            )

    client = mlflow.MlflowClient(uri, uri)
    return register, lambda: client.search_model_versions(f"name = '{_NAME}'", max_results=10_000)


def _rows() -> Any:
    import numpy as np

    return np.random.default_rng(0).random((200, _N_FEATURES)).astype(np.float32)


def _fitted() -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=20).fit(_rows(), np.arange(200) % 10)


if __name__ == "__main__":
    print(table(list(results(quick="--quick" in sys.argv))))
