"""The facade: data, compute, models and an experiment's name, tied together."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from mnistkit import plugins
from mnistkit.config import Config, find_config
from mnistkit.dataset import Dataset
from mnistkit.errors import NotFoundError, RunStateError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry
from mnistkit.jobs import Job, RetryCause, TrainingJob
from mnistkit.models import FORMAT_BY_SUFFIX, ModelVersion
from mnistkit.names import check_name
from mnistkit.persistence import load_model
from mnistkit.runs import Run, RunState
from mnistkit.settings import home_folder
from mnistkit.spec import ModelSpec
from mnistkit.training import check_classifier, fetch_dataset

__all__ = ["Trainer", "load_dataset"]


def load_dataset(uri: str) -> Dataset:
    """Load a dataset by its uri through the user's cache, verified.

    Args:
        uri: ``"mnist"``, ``"fashion-mnist"``, ``"digits"``, ``"idx:FOLDER"`` and so on.

    Raises:
        UnknownNameError: There is no such dataset; lists the ones there are.
        DataError: It can't be had, or isn't what it should be.
    """
    return fetch_dataset(plugins.data_source(uri))


class Trainer:
    """Trains classifiers on one dataset, keeps track of the runs, and registers the best.

    Attributes:
        data: Where the data comes from.
        compute: Where the code runs.
        models: Where models are registered.
        experiment: What groups the runs.
    """

    def __init__(
        self,
        *,
        data: str | DataSource,
        compute: ComputeBackend,
        models: ModelRegistry,
        experiment: str = "sklearn-mnist",
    ) -> None:
        self.data = plugins.data_source(data) if isinstance(data, str) else data
        self.compute = compute
        self.models = models
        self.experiment = check_name(experiment, "experiment name")

    @classmethod
    def local(
        cls,
        data: str | DataSource = "mnist",
        experiment: str = "sklearn-mnist",
        home: str | os.PathLike[str] | None = None,
        parallel: int | None = None,
    ) -> Trainer:
        """Everything on this machine, with nothing to set up.

        Args:
            data: A uri such as ``"mnist"`` or ``"idx:FOLDER"``, or a source.
            experiment: What groups the runs.
            home: Where runs and models are kept; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
            parallel: How many runs at a time; None for one per core.
        """
        options = {} if parallel is None else {"parallel": parallel}
        compute = {"backend": "in-process", **options}
        return cls._from(Config(experiment=experiment, home=str(home_folder(home)), compute=compute), data)

    @classmethod
    def from_config(cls, *, data: str | DataSource | None = None, experiment: str | None = None) -> Trainer:
        """What ``mnistkit.toml`` (or ``[tool.mnistkit]``), found from the working directory upwards, says.

        Without such a file the same as `local`. Arguments win over the file.

        Raises:
            ConfigError: The file can't be understood; names file, line and key.
        """
        config = find_config()
        if experiment is not None:
            config = attrs.evolve(config, experiment=experiment)
        return cls._from(config, config.data if data is None else data)

    @classmethod
    def _from(cls, config: Config, data: str | DataSource) -> Trainer:
        home = home_folder(config.home)
        compute, models = dict(config.compute), dict(config.models)
        return cls(
            data=data,
            compute=plugins.compute_backend(compute.pop("backend"), home, compute),
            models=plugins.model_registry(models.pop("backend"), home, models),
            experiment=config.experiment,
        )

    def dataset(self) -> Dataset:
        """The data itself, fetched if need be and verified."""
        return fetch_dataset(self.data)

    def job(
        self,
        estimator: Any,
        *,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        model_format: Literal["skops", "joblib"] = "skops",
        timeout: float | None = None,
        retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"),
    ) -> TrainingJob:
        """The job that `train` would submit.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one.
            seed: Reaches every ``random_state`` that isn't set.
            limit: Train on a stratified subset of so many images; None for all.
            tags: Free text by key.
            model_format: ``"skops"``, or ``"joblib"`` for the tutorial's ``outputs/sklearn_mnist_model.pkl``.
            timeout: Seconds that one attempt may take; None for no limit.
            retries: How many more attempts to make after one that ended badly.
            retry_on: Which bad ends are worth another: ``"killed"``, ``"error"``, ``"timeout"``.

        Raises:
            SpecError: The estimator can't predict classes, or can't be written as JSON.
        """
        check_classifier(estimator)
        return TrainingJob(
            model=ModelSpec.from_estimator(estimator),
            seed=seed,
            limit=limit,
            model_format=model_format,
            timeout=timeout,
            retries=retries,
            retry_on=tuple(retry_on),
            experiment=self.experiment,
            tags=dict(tags or {}),
        )

    def submit(self, job: Job, *, detach: bool = False) -> Run:
        """Submit a job and return at once.

        Args:
            job: A `ScriptJob` or `TrainingJob`; it joins this trainer's experiment unless it names one.
            detach: Whether the run outlives this process; `run` finds it again by its id.

        Raises:
            UsageError: ``detach``, and the backend's runs end with this process.
        """
        if job.experiment == "default":
            job = attrs.evolve(job, experiment=self.experiment)
        return Run(self.compute, self.compute.submit(job, self.data, detach=detach))

    def train(
        self,
        estimator: Any,
        *,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        model_format: Literal["skops", "joblib"] = "skops",
        timeout: float | None = None,
        retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"),
    ) -> Run:
        """Train a classifier and wait; see `job` for the arguments.

        Interrupting it (Ctrl-C) cancels the run.

        Raises:
            SpecError: The estimator can't predict classes, or can't be written as JSON.
            RunFailedError: The run failed; its log tells more.
        """
        job = self.job(
            estimator,
            seed=seed,
            limit=limit,
            tags=tags,
            model_format=model_format,
            timeout=timeout,
            retries=retries,
            retry_on=retry_on,
        )
        run = self.submit(job)
        with _canceling([run]):
            run.wait()
        run.raise_for_state()
        return run

    def sweep(
        self,
        estimator: Any,
        grid: Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]],
        *,
        parallel: int | None = None,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Run, ...]:
        """Train one run per combination of parameters, and wait for all; those that fail don't stop the others.

        Interrupting it (Ctrl-C) cancels what hasn't finished.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one; it isn't changed.
            grid: Values by parameter (all combinations), or the combinations themselves.
            parallel: At most so many runs at a time; None for as many as the backend takes.
            seed: As in `job`.
            limit: As in `job`.
            tags: As in `job`.

        Returns:
            The runs, in the order of the combinations, each in a terminal state.

        Raises:
            SpecError: A parameter doesn't exist or can't be written as JSON. Nothing was submitted.
        """
        if parallel is not None and parallel < 1:
            raise UsageError(f"parallel={parallel}: run at least one job at a time.")
        jobs = [self.job(each, seed=seed, limit=limit, tags=tags) for each in _combinations(estimator, grid)]
        runs: list[Run] = []
        with _canceling(runs):
            for job in jobs:
                _wait_until_fewer(runs, parallel)
                runs.append(self.submit(job))
            for run in runs:
                run.wait()
        return tuple(runs)

    def run(self, run_id: str) -> Run:
        """A handle on an earlier run, also of another process.

        Raises:
            RunNotFoundError: No run has that id.
        """
        return Run(self.compute, self.compute.get(run_id))

    def runs(self) -> tuple[Run, ...]:
        """The runs of this experiment, newest first."""
        return tuple(Run(self.compute, record) for record in self.compute.runs(self.experiment))

    def register(
        self,
        run: Run,
        name: str,
        *,
        file: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> ModelVersion:
        """Register the model of a completed run as the next version of ``name``, with its metrics.

        Args:
            run: A completed run.
            name: The model's name.
            file: Which of the run's files is the model, such as ``"outputs/sklearn_mnist_model.pkl"``; None
                to find it.
            tags: Free text by key, besides the run's.
            description: Free text.

        Raises:
            RunStateError: The run hasn't completed; says its state and error.
            NotFoundError: It left no model; lists its files.
            InvalidNameError: The name breaks the rule.
        """
        run.refresh()
        if run.state is not RunState.COMPLETED:
            detail = f": {run.error}" if run.error else ""
            raise RunStateError(f"Run {run.id} is {run.state}{detail}. Only a completed run can be registered.")
        file = file or _model_file(run)
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            run.download(file, folder)
            return self.models.register(
                name,
                Path(folder),
                format=FORMAT_BY_SUFFIX.get(Path(file).suffix, "files"),
                metrics=_finite(run.metrics),
                tags={**run.record.tags, **(tags or {})},
                description=description,
                run_id=run.id,
            )

    def load(self, ref: str, *, allow_pickle: bool = False, trusted: Iterable[str | type] = ()) -> Any:
        """Load a registered model, verified: ``name`` (the newest), ``name:3`` or ``name@champion``.

        Args:
            ref: The reference.
            allow_pickle: Also unpickle a joblib file, which can run any code: only for models that you trust.
            trusted: Types to allow in skops files besides those that are known to be harmless.

        Raises:
            ModelNotFoundError: There is no such model.
            IntegrityError: Its files were altered.
            UnsafeModelError: Loading it could run code.
        """
        return load_model(self.models, ref, allow_pickle=allow_pickle, trusted=trusted)


class _canceling:  # noqa: N801 - a block, not a noun
    """Cancel the runs of an interrupted block."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            for run in self._runs:
                run.cancel()


def _combinations(estimator: Any, grid: Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    from sklearn.base import clone
    from sklearn.model_selection import ParameterGrid

    check_classifier(estimator)
    try:
        combinations = list(ParameterGrid(grid)) if isinstance(grid, Mapping) else [dict(each) for each in grid]
    except (TypeError, ValueError) as error:
        raise UsageError(f"The grid of a sweep maps parameters to lists of values: {error}") from error
    if not combinations:
        raise UsageError("The sweep has nothing to try: give at least one value for a parameter.")
    for combination in combinations:
        try:
            yield clone(estimator).set_params(**combination)
        except ValueError as error:
            raise UsageError(f"{combination} can't be tried: {error}") from error


def _wait_until_fewer(runs: Sequence[Run], parallel: int | None) -> None:
    while parallel is not None and sum(not run.state.is_terminal for run in runs) >= parallel:
        time.sleep(0.02)
        for run in runs:
            if not run.state.is_terminal:
                run.refresh()


def _model_file(run: Run) -> str:
    models = [file for file in run.files if file.startswith("outputs/") and Path(file).suffix in FORMAT_BY_SUFFIX]
    if len(models) == 1:
        return models[0]
    found = (
        f"several models ({', '.join(models)}): say which, with file="
        if models
        else f"no model; it left {', '.join(run.files) or 'no files'}"
    )
    raise NotFoundError(f"Run {run.id} left {found}.")


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
