"""Training: every backend carries out a `TrainingJob` by this function, which fits, evaluates, logs and writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from mnistkit.data.dataset import Dataset
from mnistkit.data.image_folder.preparation import looks_prepared
from mnistkit.data.split import Split
from mnistkit.errors import ModelError, UsageError
from mnistkit.evaluation.scores import EVALUATION_FILE, Evaluation, evaluate
from mnistkit.jobs.job import ModelFormat, TrainingJob
from mnistkit.jobs.spec import ModelSpec, check_classifier
from mnistkit.models.input import INPUT_FILE, InputSpec
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import PROBE_FILE, probe_rows
from mnistkit.runs.context import RunContext, Stopped
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import WarmStart

__all__ = [
    "WARM_START_TAG", "followed", "input_spec", "probe_of", "record_evaluation", "record_scores", "regularization_rate",
    "train", "write_model",
]  # fmt: skip

WARM_START_TAG: Final = "warm start"
"""The tag of a run that started from the solution of an earlier one: its training seconds don't compare."""


_log = logging.getLogger("mnistkit.run")  # backends write its records to the log of the run


def train(
    job: TrainingJob, dataset: Dataset, context: RunContext, warm_start: WarmStart | None = None
) -> Evaluation | None:
    """Fit the job's classifier on the training split, evaluate it on the test split, and write the results.

    Logs ``regularization rate`` (1/C, where the classifier has one ``C``), ``accuracy``, ``log loss`` (where there
    are probabilities), each step's ``objective`` of our own estimator, and ``training seconds``; tags a run that
    started from the solution of an earlier one; writes the model and ``evaluation.json`` into ``context.outputs``, and
    ``input.json``: how images are prepared for the model.

    Args:
        job: What to fit.
        dataset: What to fit it on.
        context: Where to write.
        warm_start: The solutions of earlier jobs of its group (see `warm_start_groups`), on the same dataset.

    Returns:
        The evaluation; None if the classifier can't predict one label per test image: the log has the reason.

    Raises:
        SpecError: The estimator can't be built or can't predict classes.
        Stopped: ``context.should_stop`` was found set.
    """
    estimator = _estimator(job, len(dataset.class_names))
    (context.outputs / INPUT_FILE).write_bytes(to_json(input_spec(dataset)))
    if job.limit is not None:
        dataset = dataset.subset(job.limit, seed=job.seed)
    _log.info("data: %s, %d to train on, %d to test on, %d classes",
              dataset.name, len(dataset.train), len(dataset.test), len(dataset.class_names))  # fmt: skip
    X, y = _features(estimator, dataset.train), dataset.train.y
    _stop_if_canceled(context)

    rate = regularization_rate(estimator)
    if rate is not None:
        context.log("regularization rate", rate)
    _log.info("fitting %s", job.model)
    is_warm = warm_start is not None and warm_start.has_solution
    start = time.monotonic()
    with followed(estimator, context):
        if warm_start is None:
            estimator.fit(X, y)
        else:
            warm_start.fit(estimator, X, y)
    seconds = time.monotonic() - start
    del X, y  # the largest arrays: free them before the evaluation needs memory
    _log.info("fitted in %.1f s%s", seconds, ", starting from the solution of an earlier run" if is_warm else "")
    _stop_if_canceled(context)

    estimator = _in_scikit_learn(estimator)
    # Saved before it is evaluated: whatever its predictions are, what was trained isn't lost.
    write_model(estimator, context.outputs, job.model_format, dataset)
    evaluation = _evaluated(estimator, dataset, context)
    context.log("training seconds", round(seconds, 3))
    if is_warm:
        context.tag(WARM_START_TAG, "yes, from the solution of an earlier run: its training seconds are fewer")
    return evaluation


def input_spec(dataset: Dataset) -> InputSpec:
    """Return how images are prepared for a model of a dataset: as the dataset's own were.

    A dataset without a record of that is judged by its images; the log says so.
    """
    inverted, centred = dataset.inverted, dataset.centred
    if inverted is None or centred is None:
        found = looks_prepared(dataset.train.images)
        inverted, centred = (found[0] if inverted is None else inverted), (found[1] if centred is None else centred)
    height, width = dataset.train.images.shape[1:]
    spec = InputSpec(
        height=height,
        width=width,
        inverted=inverted,
        centred=centred,
        class_names=dataset.class_names,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
    )
    if None in {dataset.inverted, dataset.centred}:
        _log.info("%s has no record of how its images were made: they look %s", dataset.name, spec.preparation)
    return spec


def write_model(estimator: Any, folder: Path, model_format: ModelFormat, dataset: Dataset | None) -> Path:
    """Write a fitted classifier with a probe of a dataset, and return the file; the log has what had to be left out.

    That is the probe if the classifier can't predict its rows, and of a search that can't be written all but the best
    model.

    Args:
        estimator: The classifier.
        folder: Where to write.
        model_format: As what.
        dataset: Of the probe; None for none.

    Raises:
        UsageError: It can't be written in this format.
    """
    return _written(estimator, folder, model_format, None if dataset is None else probe_of(dataset))


def _written(estimator: Any, folder: Path, model_format: ModelFormat, probe: Any) -> Path:
    try:
        return save_model(estimator, folder, format=model_format, probe=probe)
    except UsageError as error:
        try:
            path = save_model(estimator, folder, format=model_format)
        except UsageError as unwritable:
            best = getattr(estimator, "best_estimator_", None)
            if best is None:
                raise
            _log.warning("wrote the best estimator alone, which predicts the same: %s", unwritable)
            return _written(best, folder, model_format, probe)
        _log.warning("wrote no %s: %s", PROBE_FILE, error)
        return path


def record_evaluation(estimator: Any, dataset: Dataset, context: RunContext) -> Evaluation:
    """Predict the test images, log ``accuracy`` and ``log loss``, write ``evaluation.json``, and return the scores.

    Raises:
        UsageError: The classifier takes images of another size.
        ModelError: Its predictions aren't one label per image.
    """
    evaluation = evaluate(estimator, dataset.test, dataset.class_names)
    record_scores(evaluation, context)
    return evaluation


def record_scores(evaluation: Evaluation, context: RunContext) -> None:
    """Log ``accuracy`` and ``log loss``, and write ``evaluation.json``."""
    _log.info("accuracy on the test images: %.4f", evaluation.accuracy)
    context.log("accuracy", evaluation.accuracy)
    if evaluation.log_loss is not None:
        context.log("log loss", evaluation.log_loss)
    (context.outputs / EVALUATION_FILE).write_bytes(to_json(evaluation))


def probe_of(dataset: Dataset) -> Any:
    """Return the rows of a dataset on which a later release of the libraries is compared with this one."""
    test = dataset.test
    return evolve(test, images=probe_rows(test.images), labels=probe_rows(test.labels)).X()


def _evaluated(estimator: Any, dataset: Dataset, context: RunContext) -> Evaluation | None:
    try:
        return record_evaluation(estimator, dataset, context)
    except Exception as error:  # noqa: BLE001 - the code of any model: it is trained and saved all the same
        what = str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
        _log.warning("left out the evaluation: %s", what)
        return None


def _features(estimator: Any, split: Split) -> Any:
    """Return the scaled matrix to fit on; for our own estimator the bytes, a quarter of the memory."""
    from mnistkit.estimators import AccurateClassifier, ArrayRows, FastLogisticRegression

    if isinstance(estimator, (AccurateClassifier, FastLogisticRegression)):
        return ArrayRows(split.images, scale=1 / 255)
    return split.X()


@contextmanager
def followed(estimator: Any, context: RunContext) -> Iterator[None]:
    """Log each step of our own estimator, and stop between two steps if the run is canceled."""
    from mnistkit.estimators import FastLogisticRegression

    if not isinstance(estimator, FastLogisticRegression) or estimator.callback is not None:
        yield
        return

    def follow(step: int, objective: float, gradient: float) -> None:
        context.log("objective", objective, step=step)
        _log.info("step %d: objective %.2f, relative gradient %.1e", step, objective, gradient)
        _stop_if_canceled(context)

    estimator.callback = follow
    try:
        yield
    finally:
        estimator.callback = None  # the model file must not contain the callback


def _stop_if_canceled(context: RunContext) -> None:
    if context.should_stop:
        raise Stopped


def _estimator(job: TrainingJob, n_classes: int) -> Any:
    """Return the job's classifier, not fitted, with its seed."""
    from mnistkit.estimators import with_array_selectors, with_multiclass_liblinear

    model_type, params = job.model.type, dict(job.model.params)
    if n_classes > 2:  # noqa: PLR2004 - scikit-learn fits two by itself
        model_type, params = with_multiclass_liblinear(model_type, params)
    estimator = ModelSpec(model_type, with_array_selectors(params)).build()
    check_classifier(estimator)
    _seed(estimator, job.seed)
    return estimator


def _seed(estimator: Any, seed: int) -> None:
    """Give ``seed`` to every ``random_state``, however deep, that the user left open."""
    params = estimator.get_params(deep=True)
    unset = {k: seed for k, v in params.items() if k.rpartition("__")[2] == "random_state" and v is None}
    if unset:
        estimator.set_params(**unset)
    for value in params.values():  # splitters have no get_params: theirs isn't among the parameters
        if hasattr(value, "get_n_splits") and getattr(value, "random_state", seed) is None:
            value.random_state = seed


def _in_scikit_learn(estimator: Any) -> Any:
    """Return a fitted classifier, or a pipeline that ends in one, with scikit-learn's own class for liblinear's."""
    from sklearn.pipeline import Pipeline

    from mnistkit.estimators import LiblinearLogisticRegression

    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        estimator.steps[-1] = (name, _in_scikit_learn(last))
    elif isinstance(estimator, LiblinearLogisticRegression):
        return estimator.to_sklearn()
    return estimator


def regularization_rate(estimator: Any) -> float | None:
    """Return 1/C, the tutorial's regularization rate, if the classifier has exactly one ``C``."""
    rates = [v for k, v in estimator.get_params(deep=True).items() if k.rpartition("__")[2] == "C"]
    if len(rates) != 1 or not isinstance(rates[0], (int, float)) or not rates[0] > 0:
        return None
    return float(f"{1 / rates[0]:.12g}")  # 1/(1/0.49) is not quite 0.49
