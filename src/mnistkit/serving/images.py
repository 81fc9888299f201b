"""Image files in requests: prepared as the images that the model was trained on."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.image_folder.preparation import prepared
from mnistkit.data.image_folder.reading import read_grey
from mnistkit.errors import DataFormatError
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.model import ServedModel
from mnistkit.serving.schema import RequestError
from mnistkit.utils.markup import encode_grey

__all__ = ["encode_png", "image_row", "prepare_image"]


def prepare_image(body: bytes, model: ServedModel, limits: ServerLimits) -> NDArray[np.uint8]:
    """Return the image of a PNG or JPEG file as the model takes it.

    Returns:
        ``(h, w) uint8``.

    Raises:
        RequestError: It is no such file, too large, or shows nothing; or the model takes no images.
        MissingExtraError: Pillow isn't installed.
    """
    spec = model.input
    if spec is None:
        raise RequestError(422, f"The model takes rows of {model.n_features} numbers, which make no image.")
    if not body:
        raise RequestError(422, "The body is empty: send a PNG or JPEG file.")
    try:
        image = read_grey(io.BytesIO(body), formats=("PNG", "JPEG"), name="the image", max_pixels=limits.max_pixels)
        return prepared(image, (spec.height, spec.width), inverted=spec.inverted, centred=spec.centred)
    except DataFormatError as error:
        raise RequestError(413 if "at most" in str(error) else 422, str(error)) from None


def image_row(image: NDArray[np.uint8], model: ServedModel) -> NDArray[Any]:
    """Return a prepared image as one row of the model's input, ``(1, d)``."""
    scale = model.dtype.type(255.0 / model.maximum)
    row: NDArray[Any] = np.divide(image.reshape(1, -1), scale, dtype=model.dtype)
    return row


def encode_png(image: NDArray[np.uint8]) -> str:
    """Return an image as a PNG file in base64."""
    return base64.b64encode(encode_grey(image.tobytes(), image.shape[1], image.shape[0])).decode()
