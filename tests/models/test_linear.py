"""Linear models as plain numbers: they say what the originals said, and their files hold nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from mnistkit.errors import ModelError, UnsafeModelError, UsageError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.archives import arrays_to_bytes
from mnistkit.models.linear import ARRAYS_FILE, HEADER_FILE, LinearModel, loads_linear
from mnistkit.models.linear_export import fold
from mnistkit.models.persistence import loads_model, save_model
from mnistkit.registry.loading import load_model
from mnistkit.trainer import Trainer

Array = NDArray[Any]

_CLASSIFIERS = [
    LogisticRegression(),
    LogisticRegression(fit_intercept=False),
    FastLogisticRegression(),
    FastLogisticRegression("ovr"),
    OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    OneVsRestClassifier(LinearSVC()),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="hinge", random_state=0),
    LinearSVC(),
    LinearSVC(fit_intercept=False),
    RidgeClassifier(),
    Perceptron(random_state=0),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(with_mean=False), MinMaxScaler((-1, 2)), LinearSVC()),
    make_pipeline(StandardScaler(with_std=False), "passthrough", MaxAbsScaler(), FastLogisticRegression()),
    make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0))),
]


@pytest.fixture(scope="module")
def data() -> tuple[Array, Array]:
    """300 digits, (300, 64) float64 in 0..1, some pixels always 0."""
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def _fitted(classifier: Any, X: Array, y: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few digits don't let every solver converge
        return clone(classifier).fit(X, y)


def _saved(model: Any, folder: Path, **options: Any) -> LinearModel:
    path = save_model(model, folder, format="linear", **options)
    return loads_linear(path.read_bytes(), (folder / ARRAYS_FILE).read_bytes())


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("classifier", _CLASSIFIERS, ids=lambda c: repr(c).replace("\n", "")[:50])
def test_linear_says_the_same(classifier: Any, classes: int, data: tuple[Array, Array], tmp_path: Path) -> None:
    """Margins and probabilities are the original's within 1e-6, labels equal, for two classes and for more."""
    X, y = data[0][data[1] < classes], data[1][data[1] < classes]
    model = _fitted(classifier, X, y)
    linear = _saved(model, tmp_path)
    np.testing.assert_array_equal(linear.predict(X), model.predict(X))
    assert linear.predict(X).dtype == model.predict(X).dtype
    np.testing.assert_allclose(linear.decision_function(X), model.decision_function(X), rtol=1e-6, atol=1e-6)
    assert hasattr(linear, "predict_proba") == hasattr(model, "predict_proba")
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(linear.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)
    again = linear.to_sklearn()
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, bool, str, object])
def test_labels_keep_their_type(dtype: Any, data: tuple[Array, Array], tmp_path: Path) -> None:
    """Labels come back with their type; texts as texts."""
    X, y = data[0], (data[1] > 4).astype(int)
    y = np.array([f"é{label}" for label in y], dtype) if dtype in (str, object) else y.astype(dtype)
    model = LogisticRegression().fit(X, y)
    linear = _saved(model, tmp_path)
    np.testing.assert_array_equal(linear.predict(X), model.predict(X).astype(str if dtype is object else dtype))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RandomForestClassifier(2), "none of LogisticRegression"),
        (make_pipeline(Normalizer(), LogisticRegression()), "Normalizer"),
        (make_pipeline(MinMaxScaler(clip=True), LogisticRegression()), "clipping"),
        (SGDClassifier(loss="modified_huber", random_state=0), "no softmax and no logistic|aren't those of"),
        (make_pipeline(StandardScaler(), RandomForestClassifier(2)), "RandomForestClassifier"),
    ],
)
def test_others_are_refused(model: Any, expected: str, data: tuple[Array, Array], tmp_path: Path) -> None:
    """What is no matrix and vector is a usage error that says what to use, and leaves no file."""
    with pytest.raises(UsageError, match=expected) as caught:
        save_model(_fitted(model, *data), tmp_path / "outputs", format="linear")
    assert "format='skops'" in str(caught.value)
    assert not (tmp_path / "outputs").exists()


def test_a_classifier_that_only_looks_linear_is_refused(data: tuple[Array, Array], tmp_path: Path) -> None:
    """What is written is compared with the model: one whose answers aren't its coefficients' is refused."""

    class Odd(FastLogisticRegression):
        def decision_function(self, X: Any) -> Array:
            return super().decision_function(X) + 0.001

    with pytest.raises(UsageError, match="margins aren't those of one matrix"):
        save_model(Odd().fit(*data), tmp_path, format="linear")
    with pytest.raises(UsageError, match="fitted"):
        save_model(LogisticRegression(), tmp_path, format="linear")


def test_trained_registered_loaded(tmp_path: Path) -> None:
    """`Trainer.train(model_format="linear")` leaves both files and the probe, and the registered model loads."""
    trainer = Trainer.local("digits", home=tmp_path / "home")
    run = trainer.train(make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=20)), model_format="linear")
    model = trainer.register(run, "digits")
    assert (model.format, sorted(model.files)) == ("linear", [HEADER_FILE, ARRAYS_FILE, "probe.npz"])
    loaded = trainer.load("digits")
    assert isinstance(loaded, LinearModel)
    test = trainer.dataset().test
    assert (loaded.predict(test.X()) == test.y).mean() == pytest.approx(run.metrics["accuracy"], abs=0.01)


def test_the_page_is_enough_to_read_it(data: tuple[Array, Array], tmp_path: Path) -> None:
    """What the reference says is enough: JSON, a zip, and bytes after a header, without numpy's reader or mnistkit."""
    model = LogisticRegression().fit(*data)
    save_model(model, tmp_path, format="linear")
    header = json.loads((tmp_path / HEADER_FILE).read_text("utf-8"))
    numbers = {}
    with zipfile.ZipFile(tmp_path / ARRAYS_FILE) as archive:
        for name in ("coef", "intercept"):
            content = archive.read(f"{name}.npy")
            start = 10 + int.from_bytes(content[8:10], "little")
            assert b"'<f8'" in content[:start]
            assert b"'fortran_order': False" in content[:start]
            numbers[name] = memoryview(content[start:]).cast("d").tolist()
    d, k = header["n_features"], len(header["classes"])
    row = data[0][7].tolist()
    margins = [
        sum(x * w for x, w in zip(row, numbers["coef"][c * d : (c + 1) * d], strict=True)) + numbers["intercept"][c]
        for c in range(k)
    ]
    assert header["classes"][margins.index(max(margins))] == model.predict(data[0][7:8])[0]
    assert header["link"] == "softmax"


def test_loading_needs_no_scikit_learn(data: tuple[Array, Array], tmp_path: Path) -> None:
    """Loading and asking a registered linear model imports neither scikit-learn, skops nor joblib."""
    save_model(LogisticRegression().fit(*data), tmp_path / "outputs", format="linear", probe=data[0])
    FolderRegistry(tmp_path / "home").register("digits", tmp_path / "outputs", format="linear")
    code = (
        "import sys, numpy as np\n"
        "from mnistkit.local.registry.registry import FolderRegistry\n"
        "from mnistkit.models.persistence import load_model\n"
        "load_model(FolderRegistry(sys.argv[1]), 'digits').predict_proba(np.zeros((1, 64)))\n"
        "print({'sklearn', 'skops', 'joblib'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


# --- hostile and damaged files ---------------------------------------------------------------------------------------


def _parts(data: tuple[Array, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    model = fold(LogisticRegression().fit(*data))
    header = {
        "format": "mnistkit-linear",
        "schema": 1,
        "classes": model.classes_.tolist(),
        "classes_dtype": "int64",
        "n_features": 64,
        "link": "softmax",
    }
    return header, {"coef": model.coef_, "intercept": model.intercept_}


_BAD: dict[str, Callable[[dict[str, Any], dict[str, Array]], object]] = {
    "another format": lambda h, a: h.update(format="other"),
    "a newer schema": lambda h, a: h.update(schema=2),
    "an unknown link": lambda h, a: h.update(link="os.system"),
    "an unknown key": lambda h, a: h.update(trusted=["posix.system"]),
    "a missing key": lambda h, a: h.pop("link"),
    "labels of objects": lambda h, a: h.update(classes_dtype="object"),
    "labels of 10 GB each": lambda h, a: h.update(classes_dtype="U2500000000"),
    "labels of another type": lambda h, a: h.update(classes=["a"] * 10),
    "labels too large": lambda h, a: h.update(classes_dtype="uint8", classes=[300] * 10),
    "a label too many": lambda h, a: h.update(classes=[*range(11)]),
    "one label": lambda h, a: h.update(classes=[1]),
    "no labels": lambda h, a: h.update(classes=[]),
    "other features": lambda h, a: h.update(n_features=65),
    "infinite numbers": lambda h, a: a.update(coef=a["coef"] * np.inf),
    "whole numbers": lambda h, a: a.update(coef=a["coef"].astype(int)),
    "texts": lambda h, a: a.update(coef=a["coef"].astype(str)),
    "another shape": lambda h, a: a.update(intercept=a["intercept"][:-1]),
    "more dimensions": lambda h, a: a.update(coef=a["coef"][None]),
    "one more array": lambda h, a: a.update(more=a["coef"]),
}


@pytest.mark.parametrize("case", _BAD)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_files_are_typed_errors(case: str, data: tuple[Array, Array]) -> None:
    """Files that contradict each other, or hold what no linear model needs, are a `ModelError`."""
    header, arrays = _parts(data)
    assert loads_linear(json.dumps(header).encode(), arrays_to_bytes(arrays)).n_features_in_ == 64
    _BAD[case](header, arrays)
    with pytest.raises(ModelError, match="case 7"):
        loads_linear(json.dumps(header).encode(), arrays_to_bytes(arrays), source="case 7")


def test_nothing_is_unpickled(data: tuple[Array, Array]) -> None:
    """Arrays of objects, compressed ones and headers that lie are an `UnsafeModelError`; damage is a `ModelError`."""
    header, arrays = _parts(data)
    text = json.dumps(header).encode()
    objects, packed = io.BytesIO(), io.BytesIO()
    np.savez(objects, coef=arrays["coef"].astype(object), intercept=arrays["intercept"])
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # its other argument is a bool
    for content in (objects.getvalue(), packed.getvalue()):
        with pytest.raises(UnsafeModelError):
            loads_linear(text, content)
    content = arrays_to_bytes(arrays)
    for head, body in (
        (b"", content),
        (b"[" * 100_000, content),
        (b"\xff", content),
        (text, b""),
        (text, content[:-9]),
    ):
        with pytest.raises(ModelError):
            loads_linear(head, body)
    with pytest.raises(UsageError, match="two files"):
        loads_model(text, "linear")


def test_a_version_without_its_numbers(data: tuple[Array, Array], tmp_path: Path) -> None:
    """A version of format linear that lacks one of the two files is a model error that lists its files."""
    save_model(LogisticRegression().fit(*data), tmp_path / "outputs", format="linear")
    (tmp_path / "outputs" / ARRAYS_FILE).unlink()
    registry = FolderRegistry(tmp_path / "home")
    registry.register("digits", tmp_path / "outputs", format="linear")
    with pytest.raises(ModelError, match=r"its files: model\.linear\.json"):
        load_model(registry, "digits")


def test_rows_must_fit(data: tuple[Array, Array]) -> None:
    """Rows of another length, or no rows, are a ValueError, as scikit-learn's."""
    model = fold(LogisticRegression().fit(*data))
    for X in (data[0][0], data[0][:, 1:]):
        with pytest.raises(ValueError, match="expected"):
            model.predict(X)
