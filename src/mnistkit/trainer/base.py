"""The values that a trainer holds."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mnistkit import plugins
from mnistkit.config import home_folder
from mnistkit.data.arrays import Data, source_of
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_name, fetch_dataset
from mnistkit.registry.registry import ModelRegistry
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.observers import ObservedCompute, RunObserver
from mnistkit.utils.markup import render
from mnistkit.utils.names import check_name, default_model_name
from mnistkit.utils.summary import Summary

__all__ = ["TrainerBase"]


class TrainerBase:
    """Trains classifiers on one dataset, tracks the runs, and registers the best.

    Attributes:
        data: Where the data comes from.
        compute: Where the code runs.
        models: Where models are registered.
        experiment: The experiment that groups the runs.
        home: The folder of this machine for runs, models and deployments.
    """

    def __init__(
        self, *, data: Data, compute: ComputeBackend, models: ModelRegistry, experiment: str = "sklearn-mnist",
        observers: Sequence[RunObserver] = (), home: str | os.PathLike[str] | None = None, model: str | None = None,
    ) -> None:  # fmt: skip
        """Tie data, compute and models together.

        Args:
            data: A uri, a source, a dataset or arrays, as in `Trainer.local`.
            compute: Where the code runs.
            models: Where models are registered.
            experiment: The experiment that groups the runs.
            observers: Called for what the runs of this trainer do; see `mnistkit.runs.RunObserver`.
            home: The folder of this machine for local deployments; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
            model: The name of its models; None to name them after the dataset.
        """
        self.data = plugins.data_source(data) if isinstance(data, str) else source_of(data)
        self.compute = ObservedCompute(compute, observers) if observers else compute
        self.models = models
        self.experiment = check_name(experiment, "experiment name")
        self.home = home_folder(home)
        self._model = model if model is None else check_name(model, "model name")

    def __repr__(self) -> str:
        compute, models = type(self.compute).__name__, type(self.models).__name__
        return f"Trainer({self.data.uri!r}, experiment={self.experiment!r}, compute={compute}, models={models})"

    def describe(self) -> Summary:
        """Return what it ties together: data, experiment, where code runs, and where models are registered."""
        return Summary(
            title="Trainer",
            facts={
                "Data": self.data.uri,
                "Experiment": self.experiment,
                "Runs on": type(self.compute).__name__,
                "Models in": type(self.models).__name__,
                "Home": str(self.home),
            },
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def _dataset_of(self, data: Data | None) -> Dataset:
        """Return a dataset in any of the forms that a trainer takes; None for this trainer's own."""
        if isinstance(data, Dataset):
            return data
        if data is None:
            return self.dataset()
        return fetch_dataset(plugins.data_source(data) if isinstance(data, str) else source_of(data))

    @property
    def model_name(self) -> str:
        """Return the name to register models under: the configured one, or for MNIST ``sklearn_mnist``, and so on."""
        return self._model or default_model_name(dataset_name(self.data))

    def default_model(self) -> str:
        """Return the model to use where none is named: `model_name`, or the only one if none is configured."""
        names = () if self._model else self.models.names()
        return names[0] if len(names) == 1 else self.model_name

    def dataset(self) -> Dataset:
        """Return the data itself, fetched if need be and verified."""
        return fetch_dataset(self.data)
