"""Models that take images as they are: pixels of 0 to 255, as images or as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError
from mnistkit.models.input import InputSpec

__all__ = ["classifier_of_rows", "pixel_rows", "raw_pipeline"]


def pixel_rows(images: Any, scale: float, n_features: int) -> NDArray[np.float32]:
    """Return images as rows that a classifier takes, scaled as it was trained.

    Args:
        images: ``(n, h, w)`` or ``(n, h*w)`` of pixels, 0 to 255.
        scale: Each pixel is divided by this.
        n_features: The pixels of an image.

    Returns:
        ``(n, h*w) float32``.

    Raises:
        DataFormatError: The images have another number of pixels.
    """
    array = np.asarray(images)
    if array.ndim < 2 or array[0].size != n_features:  # noqa: PLR2004 - at least rows
        raise DataFormatError(
            f"The images have shape {array.shape}: expected (n, h, w) or (n, h*w) with {n_features} pixels an image."
        )
    rows: NDArray[np.float32] = np.divide(array.reshape(len(array), -1), np.float32(scale), dtype=np.float32)
    return rows


def raw_pipeline(model: Any, spec: InputSpec | None) -> Any:
    """Return a scikit-learn Pipeline that scales pixels of 0 to 255 as the model was trained, then predicts.

    Args:
        model: A fitted classifier of rows.
        spec: Its input; None for a scale of 255.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    scale, n_features = (255.0, model.n_features_in_) if spec is None else (spec.scale, spec.n_features)
    scaling = FunctionTransformer(pixel_rows, kw_args={"scale": scale, "n_features": n_features})
    return Pipeline([("pixels", scaling), ("classifier", model)])


def classifier_of_rows(model: Any) -> Any:
    """Return the classifier within a `raw_pipeline`, which would scale rows twice; any other model as it is."""
    steps = getattr(model, "steps", None) or [("", None)]
    is_raw = isinstance(steps, list) and getattr(steps[0][-1], "func", None) is pixel_rows
    return steps[-1][-1] if is_raw else model
