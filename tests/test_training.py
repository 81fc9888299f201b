"""The one way a training job is carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_folder
from mnistkit.errors import SpecError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec, check_classifier
from mnistkit.models.persistence import loads_model
from mnistkit.runs.context import CANCEL_FILE, FolderContext, Stopped, read_points
from mnistkit.training import train


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers, in its class, what it was fitted on."""

    seen: ClassVar[dict[str, Any]] = {}

    def __init__(self, random_state: int | None = None, inner: Any = None) -> None:
        self.random_state = random_state
        self.inner = inner

    def fit(self, X: Any, y: Any) -> Recorder:
        """Remember."""
        self.classes_ = np.unique(y)
        Recorder.seen = {
            "dtype": X.dtype,
            "shape": X.shape,
            "max": float(X.max()),
            "labels": np.bincount(y),
            "seed": self.random_state,
            "inner seed": getattr(self.inner, "random_state", None),
        }
        return self

    def predict(self, X: Any) -> Any:
        """Say 0."""
        return np.zeros(len(X), dtype=int)


@pytest.fixture(scope="module")
def dataset(tiny_mnist: DataSource, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny MNIST."""
    return Dataset.from_folder(tiny_mnist.fetch(tmp_path_factory.mktemp("data")))


def job(estimator: Any, **options: Any) -> TrainingJob:
    """A job for an estimator."""
    return TrainingJob(model=ModelSpec.from_estimator(estimator), **options)


def test_metrics_model_and_evaluation_are_written(dataset: Dataset, tmp_path: Path) -> None:
    """Training logs the tutorial's metrics first, and leaves a model and its evaluation."""
    evaluation = train(job(LogisticRegression(C=1 / 0.49, max_iter=50)), dataset, FolderContext(tmp_path))
    metrics = {point.name: point.value for point in read_points(tmp_path)}
    assert list(metrics)[:2] == ["regularization rate", "accuracy"]
    assert metrics["regularization rate"] == 0.49
    assert metrics["accuracy"] == evaluation.accuracy > 0.8
    assert metrics["log loss"] == evaluation.log_loss
    assert json.loads((tmp_path / "outputs" / "evaluation.json").read_text())["accuracy"] == evaluation.accuracy
    assert (tmp_path / "outputs" / "model.skops").is_file()


def test_the_tutorials_file_on_request(dataset: Dataset, tmp_path: Path) -> None:
    """With ``model_format="joblib"`` the model is the tutorial's ``sklearn_mnist_model.pkl``."""
    train(job(LogisticRegression(max_iter=5, tol=1), model_format="joblib"), dataset, FolderContext(tmp_path))
    assert [path.name for path in sorted((tmp_path / "outputs").iterdir())] == [
        "evaluation.json",
        "input.json",
        "probe.npz",
        "sklearn_mnist_model.pkl",
    ]


@pytest.fixture
def recorded(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train a `Recorder` and return what it saw."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def record(estimator: Recorder, **options: Any) -> dict[str, Any]:
        train(job(estimator, **options), dataset, FolderContext(tmp_path))
        return Recorder.seen

    return record


def test_data_is_scaled_float32(recorded: Any) -> None:
    """The classifier gets ``(n, 784) float32`` in 0..1."""
    seen = recorded(Recorder())
    assert (seen["dtype"], seen["shape"], seen["max"]) == (np.float32, (300, 784), 1.0)


def test_the_seed_reaches_every_open_random_state(recorded: Any) -> None:
    """A seed goes to every ``random_state`` that is None, nested ones too; those that are set stay."""
    seen = recorded(Recorder(inner=SGDClassifier()), seed=7)
    assert (seen["seed"], seen["inner seed"]) == (7, 7)
    seen = recorded(Recorder(random_state=1, inner=SGDClassifier(random_state=2)), seed=7)
    assert (seen["seed"], seen["inner seed"]) == (1, 2)


def test_limit_takes_a_stratified_subset(recorded: Any, dataset: Dataset) -> None:
    """With a limit, so many images are trained on, each class in proportion."""
    seen = recorded(Recorder(), limit=100)
    assert seen["shape"] == (100, 784)
    assert np.all(np.abs(seen["labels"] - np.bincount(dataset.train.labels) / 3) <= 1)


@pytest.mark.parametrize("wrap", [lambda last: last, lambda last: make_pipeline(StandardScaler(), last)])
def test_liblinear_is_wrapped_in_one_vs_rest(dataset: Dataset, tmp_path: Path, wrap: Any) -> None:
    """The tutorial's solver works with ten classes, also at the end of a pipeline."""
    estimator = wrap(LogisticRegression(C=1 / 0.8, solver="liblinear", max_iter=50))
    evaluation = train(job(estimator), dataset, FolderContext(tmp_path))
    assert evaluation.accuracy > 0.8
    assert read_points(tmp_path)[0].value == 0.8


def test_our_own_estimator_is_followed(dataset: Dataset, tmp_path: Path) -> None:
    """Each step of the fast solver is logged, falling, and the model is kept without the callback."""
    train(job(FastLogisticRegression()), dataset, FolderContext(tmp_path))
    steps = [point for point in read_points(tmp_path) if point.name == "objective"]
    assert [point.step for point in steps] == list(range(len(steps)))
    values = [point.value for point in steps]
    assert len(values) > 2
    assert values == sorted(values, reverse=True)
    model = loads_model((tmp_path / "outputs" / "model.skops").read_bytes(), "skops")
    assert model.callback is None
    assert model.n_features_in_ == 784


def test_our_own_estimator_stops_between_steps(dataset: Dataset, tmp_path: Path) -> None:
    """A fast fit that is asked to stop while it runs stops at its next step."""

    class AskedLater(FolderContext):
        def log(self, name: str, value: float, *, step: int | None = None) -> None:
            super().log(name, value, step=step)
            if step == 1:
                (tmp_path / CANCEL_FILE).touch()

    with pytest.raises(Stopped):
        train(job(FastLogisticRegression(tol=1e-12)), dataset, AskedLater(tmp_path))
    assert [point.step for point in read_points(tmp_path) if point.name == "objective"] == [0, 1]


def test_a_request_to_stop_is_honoured(dataset: Dataset, tmp_path: Path) -> None:
    """Training that was asked to stop stops before it fits, and leaves no model."""
    (tmp_path / CANCEL_FILE).touch()
    with pytest.raises(Stopped):
        train(job(LogisticRegression()), dataset, FolderContext(tmp_path))
    assert list((tmp_path).rglob("model*")) == []


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        KMeans(),
        make_pipeline(StandardScaler(), LinearRegression()),
        "x",
        LogisticRegression,
        type("Mute", (ClassifierMixin, BaseEstimator), {"fit": lambda self, X, y: self})(),
    ],
)
def test_only_classifiers_are_taken(estimator: Any) -> None:
    """Regressors, clusterers and things that are no estimator are refused."""
    with pytest.raises(SpecError, match="give a"):
        check_classifier(estimator)


@pytest.mark.parametrize("wrap", [lambda e: e, make_pipeline, lambda e: VotingClassifier([("a", e)])])
def test_a_search_that_fits_no_model_is_refused(wrap: Any) -> None:
    """GridSearchCV(refit=False), wherever it sits, can't predict; LogisticRegressionCV(refit=False) can."""
    with pytest.raises(SpecError, match=r"GridSearchCV\(refit=False\) finds parameters but fits no model"):
        check_classifier(wrap(GridSearchCV(LogisticRegression(), {"C": [1]}, refit=False)))
    check_classifier(wrap(LogisticRegressionCV(refit=False)))


def test_dataset_folders_are_plain_names(tiny_mnist: DataSource) -> None:
    """Whatever a uri holds, its folder lies directly in the cache's ``datasets``."""
    folder = dataset_folder(tiny_mnist)
    assert folder.parent.name == "datasets"
    assert "/" not in folder.name.replace("\\", "/")


@pytest.mark.mnist
@pytest.mark.network
@pytest.mark.parametrize(
    "estimator",
    [
        FastLogisticRegression(objective="ovr", C=1 / 0.8, penalize_intercept=True),
        pytest.param(LogisticRegression(C=1 / 0.8, solver="liblinear"), marks=pytest.mark.slow),  # a minute
    ],
    ids=["fast", "liblinear"],
)
def test_the_tutorials_figure(estimator: Any, real_mnist: Dataset, tmp_path: Path) -> None:
    """On MNIST at regularization 0.8, one-vs-rest has the tutorial's accuracy, 0.9204."""
    evaluation = train(job(estimator), real_mnist, FolderContext(tmp_path))
    assert evaluation.accuracy == pytest.approx(0.9204, abs=0.001)
