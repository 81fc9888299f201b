"""The facade: data, compute, models and an experiment's name, tied together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs

from mnistkit import plugins
from mnistkit.config import Config, find_config, home_folder
from mnistkit.data.arrays import Data, source_of
from mnistkit.data.dataset import Dataset, Split
from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.source import DataSource
from mnistkit.evaluation.comparison import Comparison, compare
from mnistkit.evaluation.images import read_images
from mnistkit.evaluation.predictions import Predictions, predict_images, predictor_of
from mnistkit.evaluation.results import classifier_of, model_name
from mnistkit.evaluation.scores import Evaluation, evaluate
from mnistkit.jobs.job import Job, ModelFormat, RetryCause, TrainingJob
from mnistkit.jobs.spec import ModelSpec, check_classifier
from mnistkit.registry.loading import load_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.registration import register_run
from mnistkit.runs.reuse import ReuseDecision
from mnistkit.runs.run import Run
from mnistkit.runs.submission import OnUpdate, Submitter
from mnistkit.serving.server import ModelServer
from mnistkit.sweeps.running import run_optimization, run_sweep
from mnistkit.sweeps.search import Halving
from mnistkit.sweeps.sweep import Sweep
from mnistkit.utils.names import check_name

__all__ = ["Trainer"]


class Trainer:
    """Trains classifiers on one dataset, tracks the runs, and registers the best.

    Attributes:
        data: Where the data comes from.
        compute: Where the code runs.
        models: Where models are registered.
        experiment: The experiment that groups the runs.
    """

    def __init__(
        self, *, data: Data, compute: ComputeBackend, models: ModelRegistry,
        experiment: str = "sklearn-mnist",
    ) -> None:  # fmt: skip
        self.data = plugins.data_source(data) if isinstance(data, str) else source_of(data)
        self.compute = compute
        self.models = models
        self.experiment = check_name(experiment, "experiment name")

    def __repr__(self) -> str:
        compute, models = type(self.compute).__name__, type(self.models).__name__
        return f"Trainer({self.data.uri!r}, experiment={self.experiment!r}, compute={compute}, models={models})"

    @classmethod
    def local(
        cls, data: Data = "mnist", experiment: str = "sklearn-mnist",
        home: str | os.PathLike[str] | None = None, parallel: int | None = None,
    ) -> Trainer:  # fmt: skip
        """Return a trainer that does everything on this machine, with nothing to set up.

        Args:
            data: A uri such as ``"mnist"`` or ``"idx:FOLDER"``, a source, a dataset, ``(X, y)``, or
                ``(X_train, y_train, X_test, y_test)``; see `Dataset.from_arrays` for what arrays may be.
            experiment: The experiment that groups the runs.
            home: The folder for runs and models; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
            parallel: The number of runs at a time; None for one per core.
        """
        return cls.from_config(Config.local(data=data, experiment=experiment, home=home, parallel=parallel))

    @classmethod
    def azure(
        cls, data: Data = "azureml:mnist_opendataset", experiment: str = "sklearn-mnist", *,
        workspace: Any = None, config: str | os.PathLike[str] | None = None, **cluster: Any,
    ) -> Trainer:  # fmt: skip
        """Return a trainer that runs on a cluster of an Azure Machine Learning workspace. Needs the extra ``azure-v1``.

        The nodes mount the data, and models are registered in the workspace. No request is sent before one is needed.
        ``data`` and ``experiment`` are as in `local`; see `Config.azure` for the others.

        Raises:
            UnknownNameError: A cluster has no such option; lists those that it has.
        """
        made = Config.azure(data=data, experiment=experiment, workspace=workspace, config=config, **cluster)
        return cls.from_config(made)

    @classmethod
    def from_config(
        cls, config: Config | None = None, *, data: str | DataSource | None = None, experiment: str | None = None
    ) -> Trainer:
        """Return a trainer as a configuration describes it, with other data or another experiment if these are given.

        Args:
            config: None for ``mnistkit.toml`` (or ``[tool.mnistkit]``), found from the working directory upwards;
                without such a file the same as `local`.
            data: A uri, or a source.
            experiment: The experiment that groups the runs.

        Raises:
            ConfigError: The file can't be read; the message has file, line and key.
        """
        config = find_config() if config is None else config
        config = config if data is None else attrs.evolve(config, data=data, data_options={})
        source, home = config.data, home_folder(config.home)
        compute, models = dict(config.compute), dict(config.models)
        return cls(
            data=plugins.data_source(source, config.data_options) if isinstance(source, str) else source_of(source),
            compute=plugins.compute_backend(compute.pop("backend"), home, compute),
            models=plugins.model_registry(models.pop("backend"), home, models),
            experiment=config.experiment if experiment is None else experiment,
        )

    def dataset(self) -> Dataset:
        """Return the data itself, fetched if need be and verified."""
        return fetch_dataset(self.data)

    def job(
        self, estimator: Any, *, seed: int = 42, limit: int | None = None, tags: Mapping[str, str] | None = None,
        model_format: ModelFormat = "skops", timeout: float | None = None, retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"),
    ) -> TrainingJob:  # fmt: skip
        """Return the job that `train` would submit.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one.
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
        check_classifier(estimator)
        return TrainingJob(
            model=ModelSpec.from_estimator(estimator), seed=seed, limit=limit, model_format=model_format,
            timeout=timeout, retries=retries, retry_on=tuple(retry_on), experiment=self.experiment,
            tags=dict(tags or {}),
        )  # fmt: skip

    def submit(self, job: Job, *, detach: bool = False, reuse: bool = False) -> Run:
        """Submit a job and return at once.

        Args:
            job: A `ScriptJob` or `TrainingJob`; it joins this trainer's experiment unless it names one.
            detach: Let the run outlive this process; `run` finds it again by its id.
            reuse: Return an earlier completed run of the same experiment instead, if it had the same code, parameters,
                data, libraries and seed; `explain_reuse` returns which.

        Raises:
            UsageError: ``detach``, and the backend's runs end with this process.
        """
        return self._submitter().submit(job, detach=detach, reuse=reuse)

    def submit_all(self, jobs: Sequence[Job]) -> list[Run]:
        """Submit several jobs at once and return their runs, in order; interrupted (Ctrl-C), it cancels them.

        Jobs that differ in the C of a `FastLogisticRegression` alone run one after another, if the backend can do
        that: each starts from the solution of the one before, which takes less time in all.
        """
        return self._submitter().submit_all(jobs)

    def explain_reuse(self, job: Job) -> ReuseDecision:
        """Return which run ``submit(job, reuse=True)`` would return, and if none, why; ``print`` it for the text.

        Raises:
            UsageError: The data source has no digests.
            MnistkitError: The job's code or data can't be read; see `mnistkit.jobs.Fingerprint`.
        """
        return self._submitter().explain_reuse(job)

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

    def run(self, run_id: str) -> Run:
        """Return a handle on an earlier run, also of another process.

        Raises:
            RunNotFoundError: No run has that id.
        """
        return Run(self.compute, self.compute.get(run_id))

    def runs(self) -> tuple[Run, ...]:
        """Return the runs of this experiment, newest first."""
        return tuple(Run(self.compute, record) for record in self.compute.runs(self.experiment))

    def register(
        self, run: Run, name: str, *, file: str | None = None, tags: Mapping[str, str] | None = None,
        description: str = "", allow_other_data: bool = False,
    ) -> ModelVersion:  # fmt: skip
        """Register the model of a completed run as the next version of ``name``, with its metrics and tags.

        ``file`` is for a run that left several models: ``"outputs/model.skops"``. ``tags`` are added to the run's.

        Raises:
            UsageError: The newest version is of other data or other images, and ``allow_other_data`` isn't given.
            RunStateError: The run hasn't completed; the message has its state and error.
            NotFoundError: It left no model, or several; lists its files.
        """
        return register_run(
            self.models, run, name, file=file, tags=tags, description=description, allow_other_data=allow_other_data
        )

    def load(
        self, ref: str | ModelVersion, *, allow_pickle: bool = False, trusted: Iterable[str | type] = (),
        expect_digest: str | None = None, verify_key: str | os.PathLike[str] | None = None,
        allow_version_mismatch: bool = False, raw: bool = False,
    ) -> Any:  # fmt: skip
        """Load a registered model, verified: ``name`` (the newest), ``name:3`` or ``name@champion``.

        Takes the arguments of `mnistkit.load_model`, and raises the same errors.
        """
        return load_model(
            self.models, ref, allow_pickle=allow_pickle, trusted=trusted, expect_digest=expect_digest,
            verify_key=verify_key, allow_version_mismatch=allow_version_mismatch, raw=raw,
        )  # fmt: skip

    def predict(self, images: Any, model: Run | str | ModelVersion | Any = None, *, proba: bool = False) -> Predictions:
        """Predict images of any form, prepared as the model's training data was; ``proba`` adds the probabilities.

        ``images`` are arrays, tables or lists of pixels (0 to 255, or 0 to 1), paths of image files, ``.npy`` files or
        folders, patterns, Pillow images, a split or a dataset; ``model`` is as in `evaluate`, by default the newest
        version of the configured name.

        Raises:
            DataFormatError: An array isn't one of the model's images, or no file is an image that can be read.
            NotFoundError: There is no such model or file.
            UnsafeModelError: Loading the model could run code: give what `load` returned.
        """
        predictor = predictor_of(find_config().model if model is None else model, self.models)
        return predict_images(predictor, read_images(images, predictor.spec), proba=proba)

    def serve(self, ref: str, **options: Any) -> ModelServer:
        """Serve a registered model over HTTP, and return the running server; needs the extra ``serve``.

        ``with trainer.serve("sklearn_mnist@champion", port=0) as server:`` closes it at the end of the block. Takes the
        options of `mnistkit.serving.ModelServer`, and raises the same errors.
        """
        return ModelServer(self.models, ref, **options).start()

    def evaluate(self, model: Run | str | ModelVersion | Any, data: Dataset | Split | None = None) -> Evaluation:
        """Predict every test image, and return the scores.

        Args:
            model: A run, a reference such as ``name@champion``, a version, or a fitted classifier.
            data: A dataset, of which the test split is used, or a split; None for this trainer's data.

        Raises:
            UsageError: The model takes images of another size.
            NotFoundError: The run left no model, or there is no such version.
            UnsafeModelError: Loading it could run code: give what `load` or `mnistkit.evaluation.run_model` returned.
        """
        return evaluate(classifier_of(model, self.models), self.dataset() if data is None else data)

    def compare(
        self, first: Run | str | ModelVersion | Any, second: Run | str | ModelVersion | Any,
        data: Dataset | Split | None = None,
    ) -> Comparison:  # fmt: skip
        """Compare two models on the same test images; ``print`` the result to read whether one is better.

        Takes models and data as `evaluate` does, and raises the same errors.
        """
        names = (model_name(first, self.models, "the first"), model_name(second, self.models, "the second"))
        data = self.dataset() if data is None else data
        return compare(classifier_of(first, self.models), classifier_of(second, self.models), data, names=names)

    def report(self, of: Run | Sweep, path: str | os.PathLike[str] | None = None) -> Path:
        """Write everything known about a run or a sweep as one HTML file, and return its path.

        It loads nothing and names what is missing. It is ``report-ID.html`` by default; an existing one is replaced.

        Raises:
            StorageError: It can't be written.
        """
        from mnistkit.reports.reporting import report

        return report(of, path)

    def _submitter(self) -> Submitter:
        return Submitter(compute=self.compute, data=self.data, experiment=self.experiment)
