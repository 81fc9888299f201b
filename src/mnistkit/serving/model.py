"""A registered model that is ready to predict: loaded, verified, and compared with its probe."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mnistkit.data.image_folder.preparation import is_light
from mnistkit.errors import ModelError
from mnistkit.evaluation.outputs import normalized
from mnistkit.models.input import InputSpec
from mnistkit.models.probe import Probe
from mnistkit.registry.loading import load_model, load_probe
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion

__all__ = ["ServedModel", "load_served"]

_MAX_PIXEL = 255.0


@frozen(kw_only=True, eq=False)
class ServedModel:
    """A model in memory, with what its clients need to know of it.

    Attributes:
        version: What was registered.
        classifier: The fitted classifier.
        probe: The recorded predictions; None if the version has none.
        n_features: The length of one row.
        shape: ``(h, w)`` of an image; None if rows of that length make no image.
        dtype: Of the rows that the classifier gets.
        maximum: The largest value that a row may hold; the smallest is 0.
        classes: The labels, in the order of the probabilities.
    """

    version: ModelVersion
    classifier: Any
    probe: Probe | None
    n_features: int
    shape: tuple[int, int] | None
    dtype: np.dtype[Any] = field(default=np.dtype(np.float32))
    maximum: float = 1.0
    classes: tuple[Any, ...] = ()

    @property
    def input(self) -> InputSpec | None:
        """Return how images are prepared: as registered, or else as MNIST's were; None if it takes no images."""
        if self.version.input is not None or self.shape is None:
            return self.version.input
        h, w = self.shape
        return InputSpec(height=h, width=w, scale=_MAX_PIXEL / self.maximum, inverted=True, centred=True)

    @property
    def has_light_ground(self) -> bool:
        """Return True if the model was trained on images with a light ground, as its probe shows."""
        if self.probe is None or self.shape is None:
            return False
        images = np.clip(self.probe.X * (_MAX_PIXEL / self.maximum), 0, _MAX_PIXEL).astype(np.uint8)
        return 2 * sum(is_light(image.reshape(self.shape)) for image in images) > len(images)

    def names(self) -> list[str]:
        """Return the names of the classes, in the order of the probabilities."""
        names = self.version.input.class_names if self.version.input else ()
        known = dict(enumerate(names))
        return [known.get(label, str(label)) if isinstance(label, int) else str(label) for label in self.classes]

    def labels(self, X: NDArray[Any]) -> list[Any]:
        """Return the predicted label of each row, as plain Python values.

        Args:
            X: ``(n, d)`` of `dtype`.
        """
        labels: list[Any] = np.asarray(self.classifier.predict(X)).ravel().tolist()
        return labels

    def probabilities(self, X: NDArray[Any]) -> NDArray[Any] | None:
        """Return the probabilities of each row, ``(n, k)`` with a sum of 1; None if the classifier has none.

        Raises:
            ModelError: They aren't finite.
        """
        if not hasattr(self.classifier, "predict_proba"):
            return None
        found = normalized(np.asarray(self.classifier.predict_proba(X), dtype=np.float64))  # as Python's own are
        if not np.isfinite(found).all():
            raise ModelError(f"{self.version.id} predicts probabilities that aren't finite numbers.")
        return found


def load_served(registry: ModelRegistry, version: ModelVersion, **options: Any) -> ServedModel:
    """Load a version, verify it, and predict its probe once, so that the first request finds it warm.

    Args:
        registry: Where it is.
        version: The version.
        **options: As `mnistkit.registry.load_model` takes them.

    Raises:
        ModelError: It can't be loaded, is no classifier of images, or doesn't predict its probe as recorded.
    """
    classifier = load_model(registry, version, **options)
    n_features = getattr(classifier, "n_features_in_", None)
    if n_features is None or not hasattr(classifier, "predict"):
        raise ModelError(f"{version.id} is a {type(classifier).__name__}, which isn't a fitted classifier of images.")
    probe = load_probe(registry, version)
    difference = probe.difference(classifier) if probe else ""
    if difference:
        raise ModelError(f"{version.id} doesn't predict what was recorded with it: {difference}. It isn't served.")
    return ServedModel(
        version=version,
        classifier=classifier,
        probe=probe,
        n_features=int(n_features),
        shape=_shape(version, int(n_features)),
        dtype=probe.X.dtype if probe is not None and probe.X.dtype.kind == "f" else np.dtype(np.float32),
        maximum=_maximum(version.input, probe),
        classes=tuple(np.asarray(getattr(classifier, "classes_", ())).tolist()),
    )


def _shape(version: ModelVersion, n_features: int) -> tuple[int, int] | None:
    """Return the size of an image; without a record of it a square, as long as the numbers make one."""
    if version.input is not None:
        if version.input.n_features != n_features:
            raise ModelError(
                f"{version.id} takes rows of {n_features} numbers, but was registered with images of "
                f"{version.input.height}x{version.input.width}. Register it again with the right input."
            )
        return version.input.height, version.input.width
    side = math.isqrt(n_features)
    return (side, side) if side * side == n_features else None


def _maximum(spec: InputSpec | None, probe: Probe | None) -> float:
    """Return the largest value of a row: by the recorded scale, or else by the recorded rows."""
    if spec is not None:
        return _MAX_PIXEL / spec.scale
    return _MAX_PIXEL if probe is not None and probe.X.max() > 1 else 1.0
