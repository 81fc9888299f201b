"""ONNX: what is written answers as the model does, or isn't written."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

from mnistkit.errors import MissingExtraError, ModelError, UnsafeModelError, UsageError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.persistence import save_model
from mnistkit.registry.export import export_model, export_version

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")

Array = NDArray[Any]


@pytest.fixture(scope="module")
def data() -> tuple[Array, Array]:
    """300 digits, (300, 64) float32 in 0..1."""
    X, y = load_digits(return_X_y=True)
    return (X[:300] / 16).astype(np.float32), y[:300]


def _fitted(classifier: Any, data: tuple[Array, Array]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few digits don't let every solver converge
        return clone(classifier).fit(*data)


def _answers(path: Path, X: Array) -> tuple[Array, Array]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    labels, scores = session.run(["label", "probabilities"], {"X": X})
    return labels, scores


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        FastLogisticRegression(),
        FastLogisticRegression("ovr"),
        OneVsRestClassifier(LogisticRegression(solver="liblinear")),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(MinMaxScaler(), FastLogisticRegression()),
        SGDClassifier(loss="log_loss", random_state=0),
        LinearSVC(),
        RidgeClassifier(),
        MLPClassifier((8,), max_iter=5, random_state=0),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda c: repr(c).replace("\n", "")[:50],
)
def test_onnx_answers_as_the_model(classifier: Any, data: tuple[Array, Array], tmp_path: Path) -> None:
    """Labels are equal and probabilities within 1e-4, on rows beyond those that the export compares."""
    model = _fitted(classifier, data)
    path = export_model(model, tmp_path / "new" / "model.onnx", probe=data[0])
    labels, scores = _answers(path, data[0])
    np.testing.assert_array_equal(labels, model.predict(data[0]))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(scores, model.predict_proba(data[0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("format_", ["skops", "joblib", "linear"])
def test_registered_version_is_exported(format_: Any, data: tuple[Array, Array], tmp_path: Path) -> None:
    """A registered version of each format is exported, compared on its own probe; a pickle only if that is allowed."""
    model = _fitted(make_pipeline(StandardScaler(), LogisticRegression()), data)
    save_model(model, tmp_path / "outputs", format=format_, probe=data[0])
    registry = FolderRegistry(tmp_path / "home")
    version = registry.register("digits", tmp_path / "outputs", format=format_)
    if format_ == "joblib":
        with pytest.raises(UnsafeModelError):
            export_version(registry, "digits", tmp_path / "refused.onnx")
        assert not (tmp_path / "refused.onnx").exists()
    for ref in ("digits", version):
        path = export_version(registry, ref, tmp_path / "model.onnx", allow_pickle=True)
        np.testing.assert_array_equal(_answers(path, data[0])[0], model.predict(data[0]))


@pytest.mark.parametrize(
    ("classifier", "link"),
    [
        (LinearSVC(), "none"),
        (LogisticRegression(), "softmax"),
        (SGDClassifier(loss="log_loss", random_state=0), "logistic"),
    ],
)
def test_linear_models_are_exported(classifier: Any, link: str, data: tuple[Array, Array], tmp_path: Path) -> None:
    """A linear model goes to ONNX with each way to make probabilities."""
    from mnistkit.models.linear_export import fold

    model = _fitted(classifier, data)
    linear = fold(model)
    assert linear.link == link
    path = export_model(linear, tmp_path / "model.onnx", probe=data[0])
    np.testing.assert_array_equal(_answers(path, data[0])[0], model.predict(data[0]))


def test_another_answer_is_not_written(data: tuple[Array, Array], tmp_path: Path) -> None:
    """Where ONNX would answer differently, the error says how, and there is no file: whoever wins, it isn't silent."""

    class Odd(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return super().predict(X)[::-1]

        def to_sklearn(self) -> Any:
            model = LogisticRegression()
            model.__dict__.update(self.__dict__)
            return model

    class Shifted(Odd):
        predict = LogisticRegression.predict

        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) + 2e-4

    for odd, expected in ((Odd(), "labels differ"), (Shifted(), "probabilities differ by up to 0.0002")):
        with pytest.raises(ModelError, match=expected):
            export_model(odd.fit(*data), tmp_path / "model.onnx", probe=data[0])
    assert list(tmp_path.iterdir()) == []


def test_usage_errors(data: tuple[Array, Array], tmp_path: Path) -> None:
    """Another format, an unfitted model and one that ONNX can't express are usage errors, and leave no file."""
    model = _fitted(LogisticRegression(), data)
    with pytest.raises(UsageError, match="use 'onnx'"):
        export_model(model, tmp_path / "model.onnx", format="pmml")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="fitted"):
        export_model(LogisticRegression(), tmp_path / "model.onnx")
    odd = make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()).fit(*data)
    with pytest.raises(UsageError, match="Can't write Pipeline as ONNX"):
        export_model(odd, tmp_path / "model.onnx", probe=data[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["skl2onnx", "onnxruntime"])
def test_the_extra_is_named(
    package: str, data: tuple[Array, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of the packages the error names the extra."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"mnistkit\[onnx\]"):
        export_model(_fitted(LogisticRegression(), data), tmp_path / "model.onnx")
