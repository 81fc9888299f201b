"""The one way a `TrainingJob` is carried out, whatever the backend: load, fit, evaluate, log, write."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnistkit.codec import to_json
from mnistkit.context import RunContext
from mnistkit.dataset import Dataset, Split
from mnistkit.errors import SpecError
from mnistkit.evaluation import Evaluation, evaluate
from mnistkit.interfaces import DataSource
from mnistkit.jobs import TrainingJob
from mnistkit.persistence import save_model
from mnistkit.settings import cache_folder

__all__ = ["EVALUATION_FILE", "Stopped", "check_classifier", "dataset_folder", "fetch_dataset", "train"]

EVALUATION_FILE = "evaluation.json"

_log = logging.getLogger("mnistkit.run")  # backends write what it says to the log of the run


class Stopped(BaseException):
    """Raised in a run that was asked to stop, at the next moment at which it can."""


def dataset_folder(source: DataSource) -> Path:
    """The folder in the user's cache that ``source`` may fill. Not created.

    Raises:
        StorageError: The cache can't be written.
    """
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in source.uri)
    return cache_folder() / "datasets" / name[:64].strip(".")


def fetch_dataset(source: DataSource) -> Dataset:
    """Fetch what ``source`` stands for through the user's cache, and read it.

    The first read of a ``.gz`` in the cache keeps what it holds beside it; later ones map that into memory, verified.

    Raises:
        DataError: It can't be had, or isn't what it should be.
        NotFoundError: The place that the source names doesn't exist.
        StorageError: The cache can't be written.
    """
    cache = dataset_folder(source)
    folder = source.fetch(cache)
    return Dataset.from_folder(folder, uri=source.uri, owned=folder.absolute() == cache.absolute())


def check_classifier(estimator: Any) -> None:
    """Make sure that ``estimator`` can learn classes, before anything is spent on it.

    Raises:
        SpecError: It is no scikit-learn classifier, nor a pipeline that ends in one.
    """
    from sklearn.base import is_classifier

    name = type(estimator).__name__
    if inspect.isclass(estimator) or not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise SpecError(
            f"{estimator!r:.80} is no scikit-learn estimator: give a classifier such as LogisticRegression()."
        )
    if not is_classifier(estimator):
        raise SpecError(
            f"{name} can't predict classes: give a scikit-learn classifier such as LogisticRegression(), "
            "or a Pipeline that ends in one."
        )


def train(job: TrainingJob, dataset: Dataset, context: RunContext) -> Evaluation:
    """Fit the job's classifier on the training split, judge it on the test split, and keep the results.

    Logs ``regularization rate`` (1/C, where the classifier has one ``C``), ``accuracy``, ``log loss`` (where there
    are probabilities), each step's ``objective`` of our own estimator, and ``training seconds``; writes the model and
    ``evaluation.json`` into ``context.outputs``.

    Args:
        job: What to fit.
        dataset: What to fit it on.
        context: Where to write.

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
        estimator.fit(X, y)
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
    save_model(estimator, context.outputs, format=job.model_format)
    return evaluation


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
