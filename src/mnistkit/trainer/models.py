"""A trainer's methods about models: registering, loading, predicting, serving, judging."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from mnistkit import plugins
from mnistkit.data.arrays import Data
from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from mnistkit.evaluation.comparison import Comparison, compare
from mnistkit.evaluation.images import read_images
from mnistkit.evaluation.predictions import Predictions, predict_images, predictor_of
from mnistkit.evaluation.results import classifier_of, model_name
from mnistkit.evaluation.scores import Evaluation, evaluate
from mnistkit.jobs.job import ModelFormat
from mnistkit.registry.deployment import DeploymentTarget, SupportsDeployment
from mnistkit.registry.loading import load_model
from mnistkit.registry.search import search_models
from mnistkit.registry.table import VersionTable
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.registration import register_run
from mnistkit.runs.run import Run
from mnistkit.serving.deployment import Deployment, deploy_model
from mnistkit.serving.server import ModelServer
from mnistkit.sweeps.sweep import Sweep
from mnistkit.tracking.registration import register_classifier, register_file
from mnistkit.trainer.base import TrainerBase

__all__ = ["ModelMethods"]


class ModelMethods(TrainerBase):
    """The methods of a `Trainer` about models."""

    def register(
        self, model: Run | str | os.PathLike[str] | Any, name: str | None = None, *, file: str | None = None,
        data: Data | None = None, evaluate: bool = True, model_format: ModelFormat = "skops",
        tags: Mapping[str, str] | None = None, description: str = "", allow_other_data: bool = False,
        allow_pickle: bool = False, trusted: Iterable[str | type] = (),
    ) -> ModelVersion:  # fmt: skip
        """Register a model as the next version of ``name``: that of a completed run, a fitted classifier, or a file.

        A run's model comes with the run's metrics and tags. Others are evaluated on the test images of ``data``, and
        how images are prepared for them is recorded as for a run's.

        Args:
            model: A run; a fitted scikit-learn classifier, or a Pipeline that ends in one; or the path of a ``.skops``,
                ``.joblib`` or ``.linear.json`` file.
            name: The model's name; None for `model_name`, such as ``sklearn_mnist``.
            file: For a run that left several models: ``"outputs/model.skops"``.
            data: What a classifier or file was fitted on, as in `Trainer.local`; None for this trainer's data.
            evaluate: False registers a classifier or file without touching data: without scores and input.
            model_format: Of a classifier, as in `Trainer.job`.
            tags: Free text by key; added to those of a run.
            description: Free text.
            allow_other_data: Register it although the newest version is of other data or other images.
            allow_pickle: Load a joblib file, which can run any code: only for files that you made.
            trusted: Types to allow in a skops file besides those that are known to be harmless.

        Raises:
            UsageError: The newest version is of other data or other images; a classifier isn't fitted, or takes images
                of another size.
            SpecError: It isn't a classifier.
            RunStateError: The run hasn't completed; the message has its state and error.
            NotFoundError: The run left no model, or several, and lists its files; or there is no such file.
            UnsafeModelError: Loading the file could run code.
        """
        name = self.model_name if name is None else name
        common: Any = {"tags": tags, "description": description, "allow_other_data": allow_other_data}
        if isinstance(model, Run):
            return register_run(self.models, model, name, file=file, **common)
        if isinstance(model, Sweep):
            raise UsageError("A sweep has several models: give one of its runs, such as sweep.best('accuracy').")
        dataset = partial(self._dataset_of, data) if evaluate else None
        if isinstance(model, (str, os.PathLike)):
            return register_file(
                self.models, model, name, dataset=dataset, allow_pickle=allow_pickle, trusted=trusted, **common
            )
        return register_classifier(self.models, model, name, dataset=dataset, model_format=model_format, **common)

    def versions(
        self, name: str | None = None, *, tags: Mapping[str, str] | None = None, metric: str | None = None,
        min: float | None = None, max: float | None = None,  # noqa: A002 - the words for it
    ) -> VersionTable:  # fmt: skip
        """Return the registered versions of a model, or of all models, the newest of each first.

        Takes the arguments of `mnistkit.search_models`, and raises the same errors. A notebook shows them as a table.
        """
        return search_models(self.models, name, tags=tags, metric=metric, min=min, max=max)

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

    def predict(
        self, images: Any, model: Run | str | ModelVersion | Any = None, *, proba: bool = False, resize: bool = False
    ) -> Predictions:  # fmt: skip
        """Predict images of any form, prepared as the model's training data was; ``proba`` adds the probabilities.

        ``images`` are arrays, tables or lists of pixels (0 to 255, or 0 to 1), paths of image files, ``.npy`` files or
        folders, patterns, Pillow images, a split or a dataset; ``model`` is as in `evaluate`, by default the newest
        version of `default_model`. Arrays of another size than the model's images are refused, or with ``resize``
        scaled.

        Raises:
            DataFormatError: An array isn't one of the model's images, or no file is an image that can be read.
            NotFoundError: There is no such model or file.
            UnsafeModelError: Loading the model could run code: give what `load` returned.
        """
        predictor = predictor_of(self.default_model() if model is None else model, self.models)
        return predict_images(predictor, read_images(images, predictor.spec, resize=resize), proba=proba)

    def serve(self, ref: str | None = None, **options: Any) -> ModelServer:
        """Serve a registered model over HTTP, and return the running server; needs the extra ``serve``.

        ``with trainer.serve("sklearn_mnist@champion", port=0) as server:`` closes it at the end of the block. The model
        is `default_model` if none is named. Takes the options of `mnistkit.serving.ModelServer`, and raises the same
        errors.
        """
        return ModelServer(self.models, self.default_model() if ref is None else ref, **options).start()

    def deploy(
        self, ref: str | ModelVersion, name: str, *, target: str | DeploymentTarget = "local",
        allow_pickle: bool = False, trusted: Iterable[str] = (),
    ) -> Deployment:  # fmt: skip
        """Deploy a registered version as a web service that outlives this program, and return once it answers rightly.

        ``trainer.deploy("sklearn_mnist@champion", "digits")`` starts a process on this machine; with ``target="aci"`` a
        container in Azure (SDK v1), with ``"endpoint"`` a managed online endpoint (SDK v2). The version that ``ref``
        names now stays deployed. The recorded probe is sent through HTTP first.

        Args:
            ref: ``name``, ``name:3``, ``name@champion``, or a version.
            name: Of the deployment.
            target: ``"local"``, ``"aci"``, ``"endpoint"``, or a target.
            allow_pickle: As in `mnistkit.load_model`.
            trusted: As there, by name.

        Raises:
            ConflictError: There is a deployment of that name.
            DeploymentError: It doesn't come up, or answers differently than recorded. Nothing is left of it.
            MnistkitError: As from `load`.
        """
        return deploy_model(
            self.models, self.deployment_target(target), ref, name, allow_pickle=allow_pickle, trusted=trusted
        )

    def deployments(self, target: str | DeploymentTarget = "local") -> tuple[Deployment, ...]:
        """Return the deployments at a target, sorted by name."""
        found = self.deployment_target(target)
        return tuple(Deployment(found, record) for record in found.deployments())

    def deployment(self, name: str, target: str | DeploymentTarget = "local") -> Deployment:
        """Return a handle on a deployment, also of another program.

        Raises:
            NotFoundError: There is none of that name; lists those that exist.
        """
        found = self.deployment_target(target)
        return Deployment(found, found.get(name))

    def deployment_target(self, target: str | DeploymentTarget = "local") -> DeploymentTarget:
        """Return the target of a name: in Azure that of the workspace that the models or the runs are in.

        Without such a workspace it is the one that ``config.json`` names. A target is returned as it is.

        Raises:
            UnknownNameError: There is no such target; lists those that exist.
            UsageError: It needs another version of Azure's SDK than the workspace is connected to with.
        """
        if not isinstance(target, str):
            return target
        place = next((each for each in (self.models, self.compute) if isinstance(each, SupportsDeployment)), None)
        options = {} if place is None else place.deployment_options(target)
        return plugins.deployment_target(target, self.home, options)

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
