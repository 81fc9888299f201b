"""The facade: data, compute, models and an experiment's name, tied together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import attrs

from mnistkit import plugins
from mnistkit.config import Config, find_config, home_folder
from mnistkit.data.arrays import Data, source_of
from mnistkit.data.source import DataSource
from mnistkit.jobs.job import ModelFormat, RetryCause, TrainingJob
from mnistkit.jobs.signatures import check_model
from mnistkit.jobs.spec import ModelSpec, check_classifier
from mnistkit.runs.observers import RunObserver
from mnistkit.runs.run import Run
from mnistkit.runs.submission import OnUpdate
from mnistkit.sweeps.running import run_optimization, run_sweep
from mnistkit.sweeps.search import Halving
from mnistkit.sweeps.sweep import Sweep
from mnistkit.trainer.models import ModelMethods
from mnistkit.trainer.runs import RunMethods

__all__ = ["Trainer"]


class Trainer(RunMethods, ModelMethods):
    """Trains classifiers on one dataset, tracks the runs, and registers the best.

    Attributes:
        data: Where the data comes from.
        compute: Where the code runs.
        models: Where models are registered.
        experiment: The experiment that groups the runs.
        home: The folder of this machine for runs, models and deployments.
    """

    @classmethod
    def local(
        cls, data: Data = "mnist", experiment: str = "sklearn-mnist",
        home: str | os.PathLike[str] | None = None, parallel: int | None = None, *,
        observers: Sequence[RunObserver] = (),
    ) -> Trainer:  # fmt: skip
        """Return a trainer that does everything on this machine, with nothing to set up.

        Args:
            data: A uri such as ``"mnist"`` or ``"idx:FOLDER"``, a source, a dataset, ``(X, y)``, or
                ``(X_train, y_train, X_test, y_test)``; see `Dataset.from_arrays` for what arrays may be.
            experiment: The experiment that groups the runs.
            home: The folder for runs and models; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
            parallel: The number of runs at a time; None for one per core.
            observers: Called for what the runs of this trainer do; see `mnistkit.runs.RunObserver`.
        """
        config = Config.local(data=data, experiment=experiment, home=home, parallel=parallel)
        return cls.from_config(config, observers=observers)

    @classmethod
    def azure(
        cls, data: Data = "azureml:mnist_opendataset", experiment: str = "sklearn-mnist", *,
        workspace: Any = None, config: str | os.PathLike[str] | None = None, sdk: Literal["v1", "v2"] | None = None,
        observers: Sequence[RunObserver] = (), **cluster: Any,
    ) -> Trainer:  # fmt: skip
        """Return a trainer that runs on a cluster of an Azure ML workspace. Needs the extra ``azure``, or ``azure-v1``.

        The nodes mount the data, and models are registered in the workspace. No request is sent before one is needed.
        ``data``, ``experiment`` and ``observers`` are as in `local`; see `Config.azure` for the others.

        Raises:
            UnknownNameError: A cluster has no such option; lists those that it has.
            MissingExtraError: None of Azure ML's SDKs is installed.
        """
        made = Config.azure(data=data, experiment=experiment, workspace=workspace, config=config, sdk=sdk, **cluster)
        return cls.from_config(made, observers=observers)

    @classmethod
    def from_config(
        cls, config: Config | None = None, *, data: str | DataSource | None = None, experiment: str | None = None,
        observers: Sequence[RunObserver] = (),
    ) -> Trainer:  # fmt: skip
        """Return a trainer as a configuration describes it, with other data or another experiment if these are given.

        Args:
            config: None for ``mnistkit.toml`` (or ``[tool.mnistkit]``), found from the working directory upwards;
                without such a file the same as `local`.
            data: A uri, or a source.
            experiment: The experiment that groups the runs.
            observers: As in `local`; the one of ``track`` in the file comes after them.

        Raises:
            ConfigError: The file can't be read; the message has file, line and key.
        """
        config = find_config() if config is None else config
        config = config if data is None else attrs.evolve(config, data=data, data_options={})
        source, home = config.data, home_folder(config.home)
        tracking = [] if config.track is None else [plugins.run_tracking(config.track, home)]
        return cls(
            data=plugins.data_source(source, config.source_options) if isinstance(source, str) else source_of(source),
            compute=plugins.configured_compute(config),
            models=plugins.configured_models(config),
            experiment=config.experiment if experiment is None else experiment,
            observers=[*observers, *tracking],
            home=home,
            model=config.model,
        )

    def job(
        self, estimator: Any, *, seed: int = 42, limit: int | None = None, tags: Mapping[str, str] | None = None,
        model_format: ModelFormat = "skops", timeout: float | None = None, retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"),
    ) -> TrainingJob:  # fmt: skip
        """Return the job that `train` would submit.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one; or the `mnistkit.jobs.ModelSpec` of
                one.
            seed: Seed for every ``random_state`` that isn't set.
            limit: The number of training images, a stratified subset; None for all.
            tags: Free text by key.
            model_format: ``"skops"``; ``"linear"`` for linear models and pipelines as plain numbers; ``"joblib"``
                for the tutorial's ``outputs/sklearn_mnist_model.pkl``.
            timeout: Seconds that one attempt may take; None for no limit.
            retries: How many more attempts to make after one that ended badly.
            retry_on: Which bad ends are worth another attempt: ``"killed"``, ``"error"``, ``"timeout"``.

        Raises:
            SpecError: The estimator can't predict classes, or can't be written as JSON.
        """
        if isinstance(estimator, ModelSpec):
            model = estimator
            check_model(model)
        else:
            check_classifier(estimator)
            model = ModelSpec.from_estimator(estimator)
        causes = (retry_on,) if isinstance(retry_on, str) else retry_on
        return TrainingJob(
            model=model, seed=seed, limit=limit, model_format=model_format,
            timeout=timeout, retries=retries, retry_on=causes, experiment=self.experiment,
            tags={} if tags is None else tags,
        )  # fmt: skip

    def train(
        self, estimator: Any, *, seed: int = 42, limit: int | None = None, tags: Mapping[str, str] | None = None,
        model_format: ModelFormat = "skops", timeout: float | None = None, retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"), reuse: bool = False, on_update: OnUpdate | None = None,
    ) -> Run:  # fmt: skip
        """Train a classifier and wait; see `job` for the arguments, `submit` for ``reuse``, `sweep` for ``on_update``.

        Interrupting it (Ctrl-C) cancels the run.

        Raises:
            SpecError: The estimator can't predict classes, or can't be written as JSON.
            RunFailedError: The run failed; the message ends with the last lines of its traceback.
        """
        job = self.job(
            estimator, seed=seed, limit=limit, tags=tags, model_format=model_format, timeout=timeout, retries=retries,
            retry_on=retry_on,
        )  # fmt: skip
        return self._submitter().train(job, reuse=reuse, on_update=on_update)

    def sweep(
        self, estimator: Any, grid: Mapping[str, Any] | Iterable[Mapping[str, Any]], *, n: int | None = None,
        halving: Halving | None = None, resume: bool = False, parallel: int | None = None, seed: int = 42,
        limit: int | None = None, tags: Mapping[str, str] | None = None, on_update: OnUpdate | None = None,
    ) -> Sweep:  # fmt: skip
        """Train one run per combination of parameters, and wait for all; those that fail don't stop the others.

        Interrupting it (Ctrl-C) cancels the unfinished runs, keeps the finished ones, and raises KeyboardInterrupt; the
        same call with ``resume=True`` runs what is missing. The result has the runs in the order of the combinations.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one; it isn't changed.
            grid: Values by parameter: all combinations, or ``n`` drawn from them. Or the combinations themselves.
            n: How many combinations to draw at random, from lists or scipy.stats distributions; see `combinations`.
            halving: Drop hopeless combinations early; None to train each on everything.
            resume: Take over runs of the same jobs that have completed before; see `completed_before`.
            parallel: The number of runs at a time, each started from scratch; None submits them as `submit_all` does.
            seed: As in `job`; also for the draw.
            limit: As in `job`.
            tags: As in `job`. ``tags["sweep"]`` names the sweep; by default it is a digest of the trials.
            on_update: Called after each submission and each poll with the runs submitted so far (of a `Halving`, those
                of the rung), and the number of jobs not yet submitted.

        Raises:
            SpecError: A parameter can't be written as JSON. Nothing was submitted.
            UsageError: A parameter doesn't exist, or there is nothing to try. Nothing was submitted.
        """
        make_job = partial(self.job, seed=seed, limit=limit, tags=tags)
        return run_sweep(
            self._submitter(), make_job, estimator, grid, n=n, halving=halving, resume=resume, parallel=parallel,
            seed=seed, on_update=on_update,
        )  # fmt: skip

    def optimize(
        self, estimator: Any, space: Mapping[str, Any], *, n: int, sampler: Any = None, metric: str = "accuracy",
        mode: Literal["max", "min"] = "max", parallel: int = 1, seed: int = 42, limit: int | None = None,
        tags: Mapping[str, str] | None = None, on_update: OnUpdate | None = None,
    ) -> Sweep:  # fmt: skip
        """Train ``n`` runs with parameters that one of Optuna's samplers chooses, given how the earlier ones came out.

        Needs the extra ``optuna``. ``space`` has ``optuna.distributions`` by parameter, such as
        ``{"C": FloatDistribution(0.01, 10, log=True)}``; ``sampler`` is any of ``optuna.samplers``, by default a
        ``TPESampler`` with this ``seed``; ``metric`` is maximized, or minimized with ``mode="min"``. The larger
        ``parallel`` is, the less the sampler learns before each choice. The other arguments are those of `sweep`. It
        can't be resumed: the choices depend on the order of the results.

        Raises:
            MissingExtraError: Optuna isn't installed.
            UsageError: A parameter doesn't exist, or isn't given one of Optuna's distributions. Nothing was submitted.
            SpecError: The estimator can't predict classes, or can't be written as JSON. Nothing was submitted.
        """
        make_job = partial(self.job, seed=seed, limit=limit, tags=tags)
        return run_optimization(
            self._submitter(), make_job, estimator, space, n=n, sampler=sampler, metric=metric, mode=mode,
            parallel=parallel, seed=seed, on_update=on_update,
        )  # fmt: skip
