"""The facade: data, compute, models and an experiment's name, tied together."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import attrs

from mnistkit import plugins
from mnistkit.config import Config, default_compute, find_config, home_folder
from mnistkit.data.dataset import Dataset, Split
from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.source import DataSource
from mnistkit.errors import RunStateError
from mnistkit.estimators.warm_start import paths
from mnistkit.evaluation.comparison import Comparison, compare
from mnistkit.evaluation.results import run_model, run_model_file
from mnistkit.evaluation.scores import Evaluation, evaluate
from mnistkit.jobs.job import Job, ModelFormat, RetryCause, TrainingJob
from mnistkit.jobs.spec import ModelSpec, check_classifier
from mnistkit.models.files import companions, format_of
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry, RegistersRuns
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.backend import ComputeBackend, GroupBackend
from mnistkit.runs.record import RunState
from mnistkit.runs.reuse import Explanation, explain, fingerprint, fingerprinted
from mnistkit.runs.run import Run
from mnistkit.sweeps.search import Halving, check_parameters, combinations, configured
from mnistkit.sweeps.sweep import Sweep, Trial
from mnistkit.sweeps.trials import canceling, check_parallel, completed_before, named, run_halved, run_trials
from mnistkit.utils.names import check_name

__all__ = ["Trainer", "load_dataset"]

_log = logging.getLogger(__name__)


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

    def __repr__(self) -> str:
        compute, models = type(self.compute).__name__, type(self.models).__name__
        return f"Trainer({self.data.uri!r}, experiment={self.experiment!r}, compute={compute}, models={models})"

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
        compute = {"backend": default_compute(), **options}
        return cls._from(Config(experiment=experiment, home=str(home_folder(home)), compute=compute), data)

    @classmethod
    def azure(
        cls,
        data: str | DataSource = "azureml:mnist_opendataset",
        experiment: str = "sklearn-mnist",
        *,
        workspace: Any = None,
        config: str | os.PathLike[str] | None = None,
        **cluster: Any,
    ) -> Trainer:
        """Runs on a cluster of an Azure Machine Learning workspace, and models in it. Needs the extra ``azure``.

        Nothing is asked of Azure before it is needed.

        Args:
            data: A uri or a source, which the nodes mount: Azure's own MNIST, or whatever `local` takes.
            experiment: What groups the runs.
            workspace: What `mnistkit.azureml.connect` returns; None for the one that ``config.json`` names.
            config: That file, or the folder to look for it from upwards; None for the working directory.
            cluster: Options of `mnistkit.azureml.AmlCompute`, such as ``name``, ``vm_size`` and ``max_nodes``.

        Raises:
            UnknownNameError: A cluster has no such option; lists the ones it has.
        """
        where = {} if workspace is None else {"workspace": workspace}
        where |= {} if config is None else {"config": os.fspath(config)}
        compute = {"backend": "amlcompute", **where, **cluster}
        models = {"backend": "workspace", **where}
        if isinstance(data, str) and data.startswith("azureml:"):
            data = plugins.data_source(data, where)
        return cls._from(Config(experiment=experiment, compute=compute, models=models), data)

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
        model_format: ModelFormat = "skops",
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
            model_format: ``"skops"``; ``"linear"`` for linear models and pipelines as plain numbers; ``"joblib"``
                for the tutorial's ``outputs/sklearn_mnist_model.pkl``.
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

    def submit(self, job: Job, *, detach: bool = False, reuse: bool = False) -> Run:
        """Submit a job and return at once.

        Args:
            job: A `ScriptJob` or `TrainingJob`; it joins this trainer's experiment unless it names one.
            detach: Whether the run outlives this process; `run` finds it again by its id.
            reuse: Return an earlier completed run of the same experiment instead, if it had the same code, parameters,
                data, libraries and seed; `explain` tells which would be.

        Raises:
            UsageError: ``detach``, and the backend's runs end with this process.
        """
        job = fingerprinted(self._joined(job), self.data)
        if reuse and job.fingerprint is not None:
            found = explain(job.fingerprint, self.compute.runs(job.experiment))
            if found.reuses and found.run_id is not None:
                _log.info("reused run %s: the same code, parameters, data, libraries and seed", found.run_id)
                return self.run(found.run_id)
        return Run(self.compute, self.compute.submit(job, self.data, detach=detach))

    def explain(self, job: Job) -> Explanation:
        """Say whether there is a run that ``submit(job, reuse=True)`` would return, and if not, what stands against it.

        Nothing is submitted or fetched; ``print(trainer.explain(job))`` tells it in words.

        Raises:
            UsageError: The data source doesn't say what it holds, or a script's folder is too large.
            NotFoundError: A script, or the data, isn't there.
            SpecError: The estimator can't be imported, or its source changed after it was.
        """
        job = self._joined(job)
        return explain(fingerprint(job, self.data), self.compute.runs(job.experiment))

    def _joined(self, job: Job) -> Job:
        return attrs.evolve(job, experiment=self.experiment) if job.experiment == "default" else job

    def submit_all(self, jobs: Sequence[Job]) -> list[Run]:
        """Submit several jobs at once and return their runs, in order; interrupted (Ctrl-C), it cancels them.

        Args:
            jobs: As for `submit`.
        """
        order: list[int] = []
        runs: list[Run] = []
        with canceling(runs):
            for group in paths(jobs) if isinstance(self.compute, GroupBackend) else [[i] for i in range(len(jobs))]:
                runs += self._submit_group([jobs[i] for i in group])
                order += group
        return [run for _, run in sorted(zip(order, runs, strict=True), key=itemgetter(0))]

    def _submit_group(self, jobs: Sequence[Job]) -> list[Run]:
        if len(jobs) == 1 or not isinstance(self.compute, GroupBackend):
            return [self.submit(job) for job in jobs]
        jobs = [fingerprinted(self._joined(job), self.data) for job in jobs]
        return [Run(self.compute, record) for record in self.compute.submit_group(jobs, self.data)]

    def train(
        self,
        estimator: Any,
        *,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        model_format: ModelFormat = "skops",
        timeout: float | None = None,
        retries: int = 0,
        retry_on: Iterable[RetryCause] = ("killed", "error"),
        reuse: bool = False,
    ) -> Run:
        """Train a classifier and wait; see `job` for the arguments, and `submit` for ``reuse``.

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
        run = self.submit(job, reuse=reuse)
        with canceling([run]):
            for _ in run.looks():
                pass
        run.raise_for_state()
        return run

    def sweep(
        self,
        estimator: Any,
        grid: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        n: int | None = None,
        halving: Halving | None = None,
        resume: bool = False,
        parallel: int | None = None,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Sweep:
        """Train one run per combination of parameters, and wait for all; those that fail don't stop the others.

        Interrupting it (Ctrl-C) cancels what goes on, keeps what has ended, and raises KeyboardInterrupt; the same call
        with ``resume=True`` runs what is missing.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one; it isn't changed.
            grid: Values by parameter: all combinations, or ``n`` drawn from them. Or the combinations themselves.
            n: How many combinations to draw at random, from lists or scipy.stats distributions; see `combinations`.
            halving: Give up hopeless combinations early; None to train each on everything.
            resume: Take over runs of the same jobs that have completed before; see `completed_before`.
            parallel: At most so many runs at a time; None for as many as the backend takes.
            seed: As in `job`; also of the draw.
            limit: As in `job`.
            tags: As in `job`. ``tags["sweep"]`` names the sweep; by default it is a digest of the trials.

        Returns:
            The runs, in the order of the combinations, each in a terminal state.

        Raises:
            SpecError: A parameter can't be written as JSON. Nothing was submitted.
            UsageError: A parameter doesn't exist, or there is nothing to try. Nothing was submitted.
        """
        check_parallel(parallel)
        params = combinations(grid, n=n, seed=seed)
        jobs = [self.job(each, seed=seed, limit=limit, tags=tags) for each in configured(estimator, params)]
        jobs = named(jobs, self.data.uri)

        def run(
            jobs: Sequence[TrainingJob], params: Sequence[Mapping[str, Any]], rung: int | None = None
        ) -> list[Trial]:
            before = completed_before(jobs, self.compute, self.data.uri) if resume else ()
            return run_trials(jobs, params, self.submit_all, parallel=parallel, before=before, rung=rung)

        if halving is None:
            return Sweep(jobs[0].tags["sweep"], run(jobs, params))
        full = len(self.dataset().train)
        full = full if limit is None else min(full, limit)
        return Sweep(jobs[0].tags["sweep"], run_halved(jobs, params, halving, full, run))

    def optimize(
        self,
        estimator: Any,
        space: Mapping[str, Any],
        *,
        n: int,
        sampler: Any = None,
        metric: str = "accuracy",
        mode: Literal["max", "min"] = "max",
        parallel: int = 1,
        seed: int = 42,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Sweep:
        """Train ``n`` runs with parameters that one of Optuna's samplers asks for, given how the earlier ones came out.

        Needs the extra ``optuna``. Interrupting it (Ctrl-C) cancels what goes on, keeps what has ended, and raises
        KeyboardInterrupt. It can't be resumed: what a sampler asks for depends on the order in which runs end.

        Args:
            estimator: Any scikit-learn classifier, or a Pipeline that ends in one; it isn't changed.
            space: ``optuna.distributions`` by parameter, such as ``{"C": FloatDistribution(0.01, 10, log=True)}``.
            n: How many runs; fewer if the sampler runs out of combinations.
            sampler: Any of ``optuna.samplers``; None for a ``TPESampler`` with this ``seed``.
            metric: What to optimize.
            mode: ``"max"`` if higher is better, ``"min"`` if lower is.
            parallel: At most so many runs at a time: the more, the less each choice knows of the others.
            seed: As in `job`; also of the default sampler.
            limit: As in `job`.
            tags: As in `job`. ``tags["sweep"]`` names the sweep.

        Returns:
            The runs, in the order in which they were asked for, each in a terminal state.

        Raises:
            MissingExtraError: Optuna isn't installed.
            UsageError: A parameter doesn't exist, or isn't given one of Optuna's distributions. Nothing was submitted.
            SpecError: The estimator can't predict classes, or can't be written as JSON. Nothing was submitted.
        """
        from mnistkit.sweeps.optimization import optimized_trials

        check_parallel(parallel)
        check_parameters(estimator, space)
        [base] = named([self.job(estimator, seed=seed, limit=limit, tags=tags)], self.data.uri, repr(space), str(n))

        def job(params: Mapping[str, Any]) -> TrainingJob:
            [configuration] = configured(estimator, [params])
            return self.job(configuration, seed=seed, limit=limit, tags=base.tags)

        trials = optimized_trials(
            job,
            space,
            self.submit_all,
            n=n,
            sampler=sampler,
            metric=metric,
            mode=mode,
            parallel=parallel,
            seed=seed,
        )
        return Sweep(base.tags["sweep"], trials)

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
            detail = f": {run.error.rstrip('.')}" if run.error else ""
            raise RunStateError(f"Run {run.id} is {run.state}{detail}. Only a completed run can be registered.")
        file = file or run_model_file(run)
        files = (file, *companions(file, run.files))
        said: dict[str, Any] = {
            "format": format_of(file),
            "metrics": _finite(run.metrics),
            "tags": {**run.record.tags, **(tags or {})},
            "description": description,
        }
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            for each in files:
                run.download(each, folder)
            if isinstance(self.models, RegistersRuns) and self.models.has_run(run.id):
                return self.models.register_from_run(name, run.id, files, copies=Path(folder), **said)
            return self.models.register(name, Path(folder), run_id=run.id, **said)

    def load(
        self,
        ref: str | ModelVersion,
        *,
        allow_pickle: bool = False,
        trusted: Iterable[str | type] = (),
        expect_digest: str | None = None,
        verify_key: str | os.PathLike[str] | None = None,
        allow_version_mismatch: bool = False,
    ) -> Any:
        """Load a registered model, verified: ``name`` (the newest), ``name:3`` or ``name@champion``.

        Args:
            ref: The reference, or the version.
            allow_pickle: Also unpickle a joblib file, which can run any code: only for models that you trust.
            trusted: Types to allow in skops files besides those that are known to be harmless.
            expect_digest: The version's digest as you noted it: another one is refused.
            verify_key: The file with the public key whose holder must have signed it; None for
                ``MNISTKIT_VERIFY_KEY``.
            allow_version_mismatch: Load what another release of the libraries made, if it answers as recorded.

        Raises:
            ModelNotFoundError: There is no such model.
            IntegrityError: Its files were altered, its digest isn't the expected one, or it isn't signed.
            UnsafeModelError: Loading it could run code.
            VersionMismatchError: Another release of the libraries made it.
        """
        return load_model(
            self.models,
            ref,
            allow_pickle=allow_pickle,
            trusted=trusted,
            expect_digest=expect_digest,
            verify_key=verify_key,
            allow_version_mismatch=allow_version_mismatch,
        )

    def evaluate(self, model: Run | str | ModelVersion | Any, data: Dataset | Split | None = None) -> Evaluation:
        """Ask a model for every test image, and count.

        Args:
            model: A run, a reference such as ``name@champion``, a version, or a fitted classifier.
            data: A dataset, of which the test split is asked for, or a split; None for this trainer's data.

        Raises:
            UsageError: The model takes images of another size.
            NotFoundError: The run left no model, or there is no such version.
            UnsafeModelError: Loading it could run code: load it with `load` or `mnistkit.evaluation.run_model`, and
                give the classifier.
        """
        return evaluate(self._classifier(model), self.dataset() if data is None else data)

    def compare(
        self,
        first: Run | str | ModelVersion | Any,
        second: Run | str | ModelVersion | Any,
        data: Dataset | Split | None = None,
    ) -> Comparison:
        """Ask two models for the same test images, and tell whether one is better; ``print`` it for the words.

        Args:
            first: As in `evaluate`.
            second: As in `evaluate`.
            data: As in `evaluate`.

        Raises:
            UsageError: A model takes images of another size.
            NotFoundError: A run left no model, or there is no such version.
            UnsafeModelError: As from `evaluate`.
        """
        names = (self._name(first, "the first"), self._name(second, "the second"))
        if data is None:
            data = self.dataset()
        return compare(self._classifier(first), self._classifier(second), data, names=names)

    def report(self, of: Run | Sweep, path: str | os.PathLike[str] | None = None) -> Path:
        """Write all that is known of a run or a sweep as one HTML file, and return where it is.

        The file stands alone: it loads nothing. What can't be had any more, such as the data or the model, is said to
        be missing in it. Of a sweep the best run is shown as well.

        Args:
            of: A run, as of its last look, or a sweep.
            path: The file; None for ``report-ID.html`` in the working directory. One that is there is replaced.

        Raises:
            StorageError: It can't be written.
        """
        from mnistkit.reports import default_name, run_report, write_report

        if isinstance(of, Sweep):
            return of.report(path)
        return write_report(run_report(of), path or default_name(of.id))

    def _classifier(self, model: Any) -> Any:
        if isinstance(model, Run):
            return run_model(model)
        return self.load(model) if isinstance(model, (str, ModelVersion)) else model

    def _name(self, model: Any, default: str) -> str:
        if isinstance(model, Run):
            return f"run {model.id}"
        if isinstance(model, str):
            return resolve_model(self.models, model).id
        return model.id if isinstance(model, ModelVersion) else default


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
