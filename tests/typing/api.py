"""The public API as a user's type checker sees it; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

from mnistkit import (
    DATA_FOLDER,
    ComputeBackend,
    Dataset,
    DataSource,
    ModelRegistry,
    ModelVersion,
    Run,
    RunState,
    ScriptJob,
    Trainer,
    best_run,
    get_context,
    load_dataset,
    load_model,
    promote,
)


def train(classifier: Any) -> None:
    """The lines of the README."""
    trainer = Trainer.local()
    run = trainer.train(classifier)
    runs = trainer.sweep(classifier, {"C": [0.1, 1, 10]}, parallel=2)
    model = trainer.register(best_run(runs, "accuracy"), "sklearn_mnist")
    script = trainer.submit(ScriptJob("my_folder", "train.py", ("--data-folder", DATA_FOLDER, "--regularization", 0.5)))
    assert_type(run, Run)
    assert_type(run.metrics, dict[str, float])
    assert_type(run.state, RunState)
    assert_type(script.logs(), str)
    assert_type(script.logs(follow=True), Iterator[str])
    assert_type(script.download("outputs/model.pkl"), Path)
    assert_type(model, ModelVersion)
    assert_type(promote(trainer.models, "sklearn_mnist:1", "champion"), ModelVersion)
    assert_type(trainer.compute, ComputeBackend)
    assert_type(trainer.models, ModelRegistry)
    assert_type(trainer.data, DataSource)
    load_model(trainer.models, "sklearn_mnist@champion")


def data() -> None:
    """Keras' shape and scikit-learn's."""
    dataset = load_dataset("mnist")
    assert_type(dataset, Dataset)
    (x_train, y_train), (_, y_test) = dataset.arrays()
    assert_type(x_train, NDArray[np.uint8])
    assert_type(y_train, NDArray[np.uint8])
    assert_type(y_test, NDArray[np.uint8])
    (X_train, labels), _ = dataset.as_sklearn()
    assert_type(X_train, NDArray[np.floating])
    assert_type(labels, NDArray[np.int64])


def script() -> None:
    """What a user's own script calls."""
    context = get_context()
    context.log("accuracy", 0.92, step=1)
    assert_type(context.outputs, Path)
    assert_type(context.should_stop, bool)
