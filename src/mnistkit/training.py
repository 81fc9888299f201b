"""The one way a `TrainingJob` is carried out, whatever the backend: load, fit, evaluate, log, write."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mnistkit.data.dataset import Dataset, DatasetManifest, Split
from mnistkit.errors import DataError, NotFoundError, SpecError
from mnistkit.evaluation.scores import Evaluation, evaluate
from mnistkit.interfaces import DataSource, PinnedSource
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import probe_rows
from mnistkit.runs.context import RunContext
from mnistkit.settings import cache_folder
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import RegularizationPath

__all__ = [
    "EVALUATION_FILE",
    "DataFolder",
    "Stopped",
    "check_classifier",
    "dataset_folder",
    "fetch_dataset",
    "fetch_folder",
    "new_path",
    "paths",
    "read_dataset",
    "train",
]

EVALUATION_FILE = "evaluation.json"

_FAST = "mnistkit.estimators.FastLogisticRegression"

_log = logging.getLogger("mnistkit.run")  # backends write what it says to the log of the run


class Stopped(BaseException):
    """Raised in a run that was asked to stop, at the next moment at which it can."""


@frozen
class DataFolder:
    """A dataset's files, fetched.

    Attributes:
        path: The folder that holds them.
        uri: Where they came from.
        owned: Whether the folder is in the user's cache, where decoded copies may be kept.
    """

    path: str
    uri: str
    owned: bool


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
    if isinstance(source, PinnedSource):
        cache = dataset_folder(source)
        manifest = source.expected(cache)
        with suppress(DataError, NotFoundError):  # what is bad or missing is fetched again
            if manifest:
                return Dataset.from_folder(cache, uri=source.uri, owned=True, manifest=manifest)
    return read_dataset(fetch_folder(source))


def fetch_folder(source: DataSource) -> DataFolder:
    """Fetch what ``source`` stands for through the user's cache; raises as `fetch_dataset`."""
    cache = dataset_folder(source)
    folder = source.fetch(cache).absolute()
    return DataFolder(str(folder), source.uri, folder == cache.absolute())


def read_dataset(folder: DataFolder, manifest: DatasetManifest | None = None) -> Dataset:
    """Read what was fetched, by a manifest that counts in the place of its own; raises as `fetch_dataset`."""
    return Dataset.from_folder(Path(folder.path), uri=folder.uri, owned=folder.owned, manifest=manifest)


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


def paths(jobs: Sequence[Job]) -> list[list[int]]:
    """Which jobs gain from being run one after another: those that differ in a `FastLogisticRegression`'s C alone.

    Returns:
        Groups of positions in ``jobs``, each in order of growing C; a job that none other is like is its own group.
    """
    groups: dict[object, list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(_path_key(job) or i, []).append(i)
    return [sorted(group, key=lambda i: _inverse_rate(jobs[i])) for group in groups.values()]


def new_path(n: int) -> RegularizationPath | None:
    """What ``n`` jobs of one group (see `paths`) share; None for a job on its own."""
    if n == 1:
        return None
    from mnistkit.estimators import RegularizationPath

    return RegularizationPath()


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


def _path_key(job: Job) -> bytes | None:
    """What jobs of one path have in common; None for a job that isn't part of any."""
    if not isinstance(job, TrainingJob) or job.model.type != _FAST:
        return None
    params = {name: value for name, value in job.model.params.items() if name != "C"}
    return to_json([params, job.seed, job.limit, job.model_format, job.experiment])


def _inverse_rate(job: Job) -> float:
    C = job.model.params.get("C", 1.0) if isinstance(job, TrainingJob) else 1.0
    return float(C) if isinstance(C, (int, float)) else 0.0


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
