"""The classifier and the dataset of a figure: as given, or those of a run."""

from __future__ import annotations

from typing import Any

from mnistkit.data.dataset import Dataset
from mnistkit.errors import UsageError
from mnistkit.evaluation.results import run_dataset, run_model
from mnistkit.runs.run import Run

__all__ = ["classifier_and_data", "classifier_of"]


def classifier_of(model: Any) -> Any:
    """Return the classifier itself: a run's is loaded."""
    return run_model(model) if isinstance(model, Run) else model


def classifier_and_data(model: Any, dataset: Dataset | None) -> tuple[Any, Dataset]:
    """Return the classifier, and the dataset: that of the run if none is given.

    Raises:
        UsageError: No dataset is given, and the model isn't a run.
    """
    if dataset is None and not isinstance(model, Run):
        raise UsageError(f"Which images? A {type(model).__name__} has no data of its own: give the dataset as well.")
    return classifier_of(model), run_dataset(model) if dataset is None else dataset
