"""ONNX graphs of the image classifiers and their features, run by onnxruntime."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit.estimators import AccurateClassifier, NystroemRidgeClassifier, OrientedGradients
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.persistence import save_model
from mnistkit.registry.export import export_model, export_version
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.onnx_converters import to_onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

Array = NDArray[Any]


def strokes(n: int, h: int, w: int, seed: int = 0) -> tuple[Array, Array]:
    """Images of thick lines with any slant and place, and one that is empty; three classes of slant."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    slants, tops, lefts = rng.uniform(-1.5, 1.5, n), rng.uniform(0, h, n), rng.uniform(0, w, n)
    across = x - lefts[:, None, None] - slants[:, None, None] * (y - tops[:, None, None])
    images = np.exp(-((across / 1.2) ** 2)) * (rng.random((n, h, w)) < 0.9)
    images[0] = 0
    return images.reshape(n, -1).astype(np.float32), np.digitize(slants, [-0.5, 0.5])


def run(content: bytes, X: Array) -> list[Array]:
    """The outputs of an ONNX model."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: X})
    return outputs


@pytest.mark.parametrize("shape", [(28, 28), (12, 21), (31, 9), (2, 5), (4, 1)])
@pytest.mark.parametrize(("deskew", "centre"), list(itertools.product([True, False], repeat=2)))
def test_features_are_those_of_the_transformer(shape: tuple[int, int], deskew: bool, centre: bool) -> None:
    """Gradients of images of any shape, with each step or without, and of an empty image."""
    X, _ = strokes(40, *shape)
    features = OrientedGradients(shape, deskew=deskew, centre=centre, cells=3, orientations=5).fit(X)
    np.testing.assert_allclose(run(to_onnx(features, X), 255 * X)[0], features.transform(X), atol=1e-4)


@pytest.mark.parametrize(("root", "normalize"), [(False, True), (True, False), (False, False)])
def test_features_without_their_last_steps(root: bool, normalize: bool) -> None:
    """The square root and the length of 1 can be left out."""
    X, _ = strokes(20, 16, 16)
    features = OrientedGradients(root=root, normalize=normalize).fit(X)
    np.testing.assert_allclose(run(to_onnx(features, X), X)[0], features.transform(X), atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (31, 9), (3, 5)])
@pytest.mark.parametrize("options", [{"resize": True}, {"order": 2}, {"resize": True, "order": 2, "orientations": 5}])
def test_features_of_resized_images_and_of_second_order(shape: tuple[int, int], options: dict[str, Any]) -> None:
    """Images of one size, second derivatives and gradients of gradients, with even and odd numbers of directions."""
    X, _ = strokes(40, *shape)
    features = OrientedGradients(shape, cells=3, **options).fit(X)
    expected = features.transform(X)
    assert expected.shape == (40, len(features.get_feature_names_out())) == (40, features.n_features_out)
    np.testing.assert_allclose(run(to_onnx(features, X), 255 * X)[0], expected, atol=3e-4)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([3, 5, 9], np.float32), (["a", "bc", "d"], np.float32), ([7, 8, 8], np.float64)],
    ids=["numbers", "words", "two classes"],
)
def test_a_kernel_machine_predicts_as_it_does(labels: list[Any], dtype: Any) -> None:
    """Labels of both types, two classes and more, float32 and float64."""
    X, y = strokes(300, 6, 6)
    model = NystroemRidgeClassifier(40, random_state=0).fit(X.astype(dtype), np.array(labels)[y])
    found, probabilities = run(to_onnx(model, X), X)
    np.testing.assert_array_equal(found, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    """scikit-learn's digits, (1797, 64) float32 in 0..16."""
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


@pytest.mark.parametrize(
    "model",
    [
        AccurateClassifier(cells=4, n_landmarks=200, random_state=0),
        AccurateClassifier(order=1, cells=4, n_landmarks=200, random_state=0),
        make_pipeline(OrientedGradients(cells=4), NystroemRidgeClassifier(200, random_state=0)),
        make_pipeline(OrientedGradients(cells=4), StandardScaler(), LogisticRegression(max_iter=50)),
        VotingClassifier(
            [(str(cells), AccurateClassifier(cells=cells, n_landmarks=100, random_state=0)) for cells in (4, 5)],
            voting="soft",
            flatten_transform=False,
        ),
    ],
    ids=["accurate", "first order", "pipeline", "features alone", "vote"],
)
def test_digits_are_predicted_as_by_the_model(model: Any, digits: tuple[Array, Array], tmp_path: Path) -> None:
    """The classifier, and its parts in pipelines and ensembles; on images that it wasn't fitted to."""
    X, y = digits
    model.fit(X[:600], y[:600])
    content = export_model(model, tmp_path / "model.onnx", probe=X[600:]).read_bytes()
    labels, probabilities = run(content, X[600:])
    np.testing.assert_array_equal(labels, model.predict(X[600:]))
    np.testing.assert_allclose(probabilities, model.predict_proba(X[600:]), atol=1e-4)


def test_a_registered_classifier_is_exported(digits: tuple[Array, Array], tmp_path: Path) -> None:
    """From the registry to ONNX, compared on its own probe; the file has each landmark once."""
    X, y = digits
    model = AccurateClassifier(cells=4, n_landmarks=300, random_state=0).fit(X[:900], y[:900])
    save_model(model, tmp_path / "outputs", probe=X)
    registry = FolderRegistry(tmp_path / "home")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    path = export_version(registry, "digits", tmp_path / "model.onnx")
    np.testing.assert_array_equal(run(path.read_bytes(), X[900:])[0], model.predict(X[900:]))
    fitted, features = model.classifier_, model.features_
    arrays = (
        fitted.landmarks_,
        fitted.coef_,
        model.components_.projection_,
        features.windows_,
        features.map_windows_,
        features.inner_windows_,
    )
    assert path.stat().st_size < 1.2 * sum(array.nbytes for array in arrays) + 9000


@pytest.mark.mnist
def test_mnist_is_predicted_as_by_the_model(real_mnist: Any, tmp_path: Path) -> None:
    """On 10,000 test images labels are equal and probabilities within 1e-4; the file stays below 10 MB."""
    train, X = real_mnist.train, real_mnist.test.X()
    model = AccurateClassifier(random_state=0).fit(train.images[:12_000].reshape(12_000, -1), train.y[:12_000])
    path = export_model(model, tmp_path / "model.onnx", probe=X)
    assert path.stat().st_size < 10 << 20
    labels, probabilities = run(path.read_bytes(), X)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    ties = np.ptp(np.partition(expected, -2)[:, -2:], axis=1) < 2e-4
    assert ((labels == model.predict(X)) | ties).all()
