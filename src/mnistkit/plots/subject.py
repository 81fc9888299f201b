"""Whose answers a plot shows: a fitted classifier, or what a run left, and the images to ask it for."""

from __future__ import annotations

from typing import Any

from mnistkit.data.dataset import Dataset
from mnistkit.errors import UsageError
from mnistkit.evaluation.results import run_dataset, run_model
from mnistkit.runs.run import Run

__all__ = ["classifier_and_data", "classifier_of"]


def classifier_of(model: Any) -> Any:
    """The classifier itself: a run's is loaded."""
    return run_model(model) if isinstance(model, Run) else model


def classifier_and_data(model: Any, dataset: Dataset | None) -> tuple[Any, Dataset]:
    """The classifier, and the dataset: that of the run if none is given.

    Raises:
        UsageError: No dataset is given, and the model isn't a run.
    """
    if dataset is None and not isinstance(model, Run):
        raise UsageError(f"Which images? A {type(model).__name__} doesn't know its data: give the dataset as well.")
    return classifier_of(model), run_dataset(model) if dataset is None else dataset
