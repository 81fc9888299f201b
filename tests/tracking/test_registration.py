"""Registering what was fitted by hand: classifiers of this program, and model files."""

from __future__ import annotations

import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mnistkit import save_model
from mnistkit.data.dataset import Dataset
from mnistkit.errors import (
    InvalidNameError,
    ModelError,
    NotFoundError,
    SpecError,
    UnsafeModelError,
    UsageError,
)
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.models.probe import PROBE_FILE
from mnistkit.registry.version import ModelVersion
from mnistkit.trainer import Trainer


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """A trainer on the digits."""
    return Trainer(
        data="digits", compute=InProcessCompute(tmp_path / "home"), models=FolderRegistry(tmp_path / "home" / "models")
    )


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The data."""
    return Trainer.local(data="digits").dataset()


@pytest.fixture(scope="module")
def fitted(digits: Dataset) -> LogisticRegression:
    """A classifier that was fitted on it."""
    return LogisticRegression(tol=0.01).fit(digits.train.X(), digits.train.y)


def _expected(trainer: Trainer, version: ModelVersion, fitted: LogisticRegression, digits: Dataset) -> None:
    """Check that a version is what a run of the same classifier would have registered."""
    assert version.metrics == {
        "accuracy": fitted.score(digits.test.X(), digits.test.y),
        "log loss": pytest.approx(trainer.evaluate(fitted).log_loss),
    }
    assert version.input is not None
    assert (version.input.dataset_sha256, version.input.n_features) == (digits.sha256, 64)
    assert version.run_id is None
    assert PROBE_FILE in version.files
    assert np.array_equal(trainer.load(version).predict(digits.test.X()), fitted.predict(digits.test.X()))


def test_a_fitted_classifier(trainer: Trainer, fitted: LogisticRegression, digits: Dataset) -> None:
    """A classifier is registered with its scores, its input and a probe; it can be loaded and predicts as before."""
    version = trainer.register(fitted, "digits", tags={"by": "hand"}, description="Mine.")
    _expected(trainer, version, fitted, digits)
    assert (version.format, version.tags, version.description) == ("skops", {"by": "hand"}, "Mine.")
    linear = trainer.register(fitted, "digits", model_format="linear")
    assert (linear.version, linear.format) == (2, "linear")
    assert (
        trainer.predict(digits.test.images[:5], linear).labels.tolist() == fitted.predict(digits.test.X()[:5]).tolist()
    )


@pytest.mark.parametrize("model_format", ["skops", "linear"])
def test_a_model_file(
    trainer: Trainer, fitted: LogisticRegression, digits: Dataset, tmp_path: Path, model_format: str
) -> None:
    """A file is registered byte by byte, with scores, input and a probe: its own if there is one beside it."""
    path = save_model(fitted, tmp_path / "mine", format=model_format)  # type: ignore[arg-type]
    version = trainer.register(str(path), "digits")
    _expected(trainer, version, fitted, digits)
    copy = trainer.models.download(version, tmp_path / "copy")
    assert (copy / path.name).read_bytes() == path.read_bytes()
    save_model(fitted, tmp_path / "mine", format=model_format, probe=digits.train.X())  # type: ignore[arg-type]
    again = trainer.register(path, "digits")
    assert again.files[PROBE_FILE] != version.files[PROBE_FILE]


def test_under_a_name_of_its_own(trainer: Trainer, fitted: LogisticRegression, tmp_path: Path) -> None:
    """A file may have any name with the ending of its format."""
    path = save_model(fitted, tmp_path).rename(tmp_path / "best-one.skops")
    version = trainer.register(path, "digits")
    assert set(version.files) == {"best-one.skops", PROBE_FILE}
    assert trainer.load("digits").get_params() == fitted.get_params()


def test_the_data_may_be_other(trainer: Trainer, digits: Dataset) -> None:
    """``data=`` is what the model was fitted on, in any form that a trainer takes; other data needs a word."""
    images, labels = digits.train.images[:200, :4, :4], digits.train.labels[:200]
    small = LogisticRegression(max_iter=20).fit(images.reshape(200, 16) / 255, labels)
    with pytest.raises(UsageError, match=r"16 pixels.*8x8"):
        trainer.register(small, "digits")
    version = trainer.register(small, "digits", data=(images, labels, images, labels))
    assert version.input is not None
    assert version.input.n_features == 16
    tree = DecisionTreeClassifier(max_depth=3).fit(digits.train.X(), digits.train.y)
    with pytest.raises(UsageError, match=r"This DecisionTreeClassifier is no next version of digits:1"):
        trainer.register(tree, "digits")
    assert trainer.register(tree, "digits", data="digits", allow_other_data=True).version == 2
    assert trainer.register(tree, "digits", data=digits, allow_other_data=True).version == 3


def test_without_data(tmp_path: Path, fitted: LogisticRegression) -> None:
    """``evaluate=False`` touches no data: the model is registered without scores and input."""
    gone = Trainer(
        data=f"idx:{tmp_path}/gone", compute=InProcessCompute(tmp_path), models=FolderRegistry(tmp_path / "models")
    )
    version = gone.register(fitted, "digits", evaluate=False)
    assert (version.metrics, version.input, set(version.files)) == ({}, None, {"model.skops"})
    with pytest.raises(NotFoundError):
        gone.register(fitted, "digits")


def test_pickles_are_refused(trainer: Trainer, fitted: LogisticRegression, tmp_path: Path) -> None:
    """A joblib file isn't even loaded unless that is allowed on this very call; a skops file of odd types neither."""
    path = tmp_path / "mine.joblib"
    joblib.dump(fitted, path)
    with pytest.raises(UnsafeModelError, match="allow_pickle=True"):
        trainer.register(path, "digits")
    assert trainer.register(path, "digits", allow_pickle=True).format == "joblib"
    tree = DecisionTreeClassifier(max_depth=2).fit(trainer.dataset().train.X(), trainer.dataset().train.y)
    file = save_model(tree, tmp_path / "tree")
    with pytest.raises(UnsafeModelError, match="trusted="):
        trainer.register(file, "digits")
    assert trainer.register(file, "digits", trusted=["sklearn.tree._tree.Tree"]).version == 2


def test_what_is_no_model_is_refused(trainer: Trainer, fitted: LogisticRegression, tmp_path: Path) -> None:
    """Unfitted classifiers, other objects, other files and bad names are refused; nothing is registered."""
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "broken.skops").write_text("no zip file")
    unfitted = save_model(LogisticRegression(), tmp_path / "unfitted")
    linear = save_model(fitted, tmp_path / "linear", format="linear")
    (tmp_path / "half").mkdir()
    half = Path(shutil.copy(linear, tmp_path / "half"))
    for model, error, words in (
        (LogisticRegression(), UsageError, "isn't fitted"),
        (unfitted, UsageError, "isn't fitted"),
        (LogisticRegression, SpecError, "isn't a scikit-learn estimator"),
        (StandardScaler().fit([[1.0]]), SpecError, "has no predict"),
        (np.zeros(3), SpecError, "isn't a scikit-learn estimator"),
        (tmp_path / "notes.txt", UsageError, "isn't a model file by its name"),
        ("digits@champion", UsageError, "isn't a model file by its name"),
        (tmp_path / "gone.skops", NotFoundError, r"gone\.skops"),
        (half, NotFoundError, r"model\.linear\.npz"),
        (tmp_path / "broken.skops", ModelError, r"broken\.skops"),
    ):
        with pytest.raises(error, match=words):
            trainer.register(model, "digits")
    with pytest.raises(InvalidNameError):
        trainer.register(fitted, "../digits")
    assert trainer.models.names() == ()
