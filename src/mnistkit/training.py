"""The one way a `TrainingJob` is carried out, whatever the backend: load, fit, evaluate, log, write."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mnistkit.data.dataset import Dataset, Split
from mnistkit.evaluation.scores import EVALUATION_FILE, Evaluation, evaluate
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import check_classifier
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import probe_rows
from mnistkit.runs.context import RunContext, Stopped
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import RegularizationPath

__all__ = ["train"]


_log = logging.getLogger("mnistkit.run")  # backends write what it says to the log of the run


def train(
    job: TrainingJob, dataset: Dataset, context: RunContext, path: RegularizationPath | None = None
) -> Evaluation:
    """Fit the job's classifier on the training split, judge it on the test split, and keep the results.

    Logs ``regularization rate`` (1/C, where the classifier has one ``C``), ``accuracy``, ``log loss`` (where there
    are probabilities), each step's ``objective`` of our own estimator, and ``training seconds``; writes the model and
    ``evaluation.json`` into ``context.outputs``.

    Args:
        job: What to fit.
        dataset: What to fit it on.
        context: Where to write.
        path: What earlier jobs of its group (see `paths`), on the same dataset, have found.

    Raises:
        SpecError: The estimator can't be built or can't predict classes.
        Stopped: ``context.should_stop`` was found set.
    """
    estimator = job.model.build()
    check_classifier(estimator)
    _seed(estimator, job.seed)
    if job.limit is not None:
        dataset = dataset.subset(job.limit, seed=job.seed)
    estimator = _one_vs_rest(estimator, len(dataset.class_names))
    _log.info("data: %s, %d to train on, %d to test on, %d classes",
              dataset.name, len(dataset.train), len(dataset.test), len(dataset.class_names))  # fmt: skip
    X, y = _features(estimator, dataset.train), dataset.train.y
    _stop_if_asked(context)

    rate = _regularization_rate(estimator)
    if rate is not None:
        context.log("regularization rate", rate)
    _log.info("fitting %s", job.model)
    start = time.monotonic()
    with _followed(estimator, context):
        if path is None:
            estimator.fit(X, y)
        else:
            path.fit(estimator, X, y)
    seconds = time.monotonic() - start
    del X, y  # the largest arrays there are, not needed beside what the evaluation takes
    _log.info("fitted in %.1f s", seconds)
    _stop_if_asked(context)

    evaluation = evaluate(estimator, dataset.test, dataset.class_names)
    _log.info("accuracy on the test images: %.4f", evaluation.accuracy)
    context.log("accuracy", evaluation.accuracy)
    if evaluation.log_loss is not None:
        context.log("log loss", evaluation.log_loss)
    context.log("training seconds", round(seconds, 3))
    (context.outputs / EVALUATION_FILE).write_bytes(to_json(evaluation))
    save_model(estimator, context.outputs, format=job.model_format, probe=_probe(dataset.test))
    return evaluation


def _probe(split: Split) -> Any:
    """The rows on which a later release of the libraries is compared with this one."""
    return evolve(split, images=probe_rows(split.images), labels=probe_rows(split.labels)).X()


def _features(estimator: Any, split: Split) -> Any:
    """What to fit on: the scaled matrix, or for our own estimator the bytes, a quarter of the memory."""
    from mnistkit.estimators import ArrayRows, FastLogisticRegression

    if isinstance(estimator, FastLogisticRegression):
        return ArrayRows(split.images.reshape(len(split), -1), scale=1 / 255)
    return split.X()


@contextmanager
def _followed(estimator: Any, context: RunContext) -> Iterator[None]:
    """Log each step of our own estimator, and stop between two if asked to."""
    from mnistkit.estimators import FastLogisticRegression

    if not isinstance(estimator, FastLogisticRegression) or estimator.callback is not None:
        yield
        return

    def follow(step: int, objective: float, gradient: float) -> None:
        context.log("objective", objective, step=step)
        _log.info("step %d: objective %.2f, relative gradient %.1e", step, objective, gradient)
        _stop_if_asked(context)

    estimator.callback = follow
    try:
        yield
    finally:
        estimator.callback = None  # a model is registered without what it was followed by


def _stop_if_asked(context: RunContext) -> None:
    if context.should_stop:
        raise Stopped


def _seed(estimator: Any, seed: int) -> None:
    """Give ``seed`` to every ``random_state``, however deep, that the user left open."""
    params = estimator.get_params(deep=True)
    open_ones = {k: seed for k, v in params.items() if k.rpartition("__")[2] == "random_state" and v is None}
    if open_ones:
        estimator.set_params(**open_ones)


def _one_vs_rest(estimator: Any, n_classes: int) -> Any:
    """Wrap a liblinear logistic regression: today's scikit-learn refuses it for more than two classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return estimator.set_params(**{name: _one_vs_rest(last, n_classes)})
    if isinstance(estimator, LogisticRegression) and estimator.solver == "liblinear" and n_classes > 2:  # noqa: PLR2004
        return OneVsRestClassifier(estimator)
    return estimator


def _regularization_rate(estimator: Any) -> float | None:
    """1/C as the tutorial calls it, if the classifier has one ``C`` somewhere."""
    rates = [v for k, v in estimator.get_params(deep=True).items() if k.rpartition("__")[2] == "C"]
    if len(rates) != 1 or not isinstance(rates[0], (int, float)) or not rates[0] > 0:
        return None
    return float(f"{1 / rates[0]:.12g}")  # 1/(1/0.49) is not quite 0.49
