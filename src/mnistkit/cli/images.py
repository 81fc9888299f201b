"""Pictures and arrays from files, as images that a model has learnt to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, MissingExtraError, NotFoundError, StorageError, UsageError

__all__ = ["fitted_to", "read_images"]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_MAX_PIXELS = 50_000_000
_LEAST_CONTRAST = 24
_INK = 32


def read_images(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a picture, or a ``.npy`` file with one or more images.

    Args:
        path: A ``.png`` or another picture of one digit; or ``.npy`` of ``(h, w)``, ``(n, h, w)`` or ``(n, h*w)``,
            as uint8 in 0..255 or floating in 0..1.
        shape: ``(h, w)`` of the model's images.

    Returns:
        ``(n, h, w) uint8``, 0 is background.

    Raises:
        NotFoundError: There is no such file.
        UsageError: Its ending isn't one of these.
        DataFormatError: It can't be read, or has another shape or range.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}: name a picture or a .npy file.")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return _checked(_read_array(path), shape, path)
        if suffix in _PICTURES:
            return fitted_to(shape, _read_picture(path), path)[None]
    except PermissionError as error:
        raise StorageError(f"Can't read {path}: {error.strerror}.") from error
    raise UsageError(f"{path}: use a picture ({', '.join(_PICTURES)}) or a .npy file.")


def fitted_to(shape: tuple[int, int], picture: NDArray[np.uint8], source: object = "the picture") -> NDArray[np.uint8]:
    """A picture of a digit as MNIST has them: bright on black, in a box, centred by its mass.

    One that has the size already is taken as it is, but for the inversion of a light background. The box is 20/28
    of the size, as in LeCun et al., "Gradient-based learning applied to document recognition" (1998).

    Args:
        shape: ``(h, w)`` to make.
        picture: ``(height, width) uint8``.
        source: Where it came from, for the message.

    Raises:
        DataFormatError: It is all of one shade.
    """
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    background = float(np.median(border))
    if background > 127:  # noqa: PLR2004 - the middle of 0..255
        picture, background = 255 - picture, 255 - background
    if picture.shape == shape:
        return picture
    ink = np.clip(picture - background, 0, None)
    if ink.max() < _LEAST_CONTRAST:
        raise DataFormatError(f"{source} shows nothing: it is all of one shade. Draw dark on light, or light on dark.")
    ink *= 255 / ink.max()
    rows, columns = np.nonzero(ink.max(axis=1) > _INK)[0], np.nonzero(ink.max(axis=0) > _INK)[0]
    return _centred(_shrunk(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], shape), shape)


def _shrunk(ink: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.floating]:
    from PIL import Image

    box = (round(shape[0] * 20 / 28), round(shape[1] * 20 / 28))
    scale = min(box[0] / ink.shape[0], box[1] / ink.shape[1])
    size = (max(round(ink.shape[1] * scale), 1), max(round(ink.shape[0] * scale), 1))
    image = Image.fromarray(ink.round().astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.float64)


def _centred(ink: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Place ``ink`` with its centre of mass where MNIST's is: in the pixel right of and below the middle."""
    canvas = np.zeros(shape, dtype=np.uint8)
    total = ink.sum()
    corner = []
    for axis in (0, 1):
        mass = ink.sum(axis=1 - axis)
        centre = float(mass @ (np.arange(len(mass)) + 0.5) / total)
        corner.append(min(max(round(shape[axis] / 2 + 0.5 - centre), 0), shape[axis] - len(mass)))
    top, left = corner
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink.round().astype(np.uint8)
    return canvas


def _read_picture(path: Path) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading pictures needs Pillow: python -m pip install 'mnistkit[cli]'.") from error
    try:
        with Image.open(path, formats=("PNG", "JPEG", "BMP")) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise DataFormatError(f"{path} has {image.width}x{image.height} pixels: use at most {_MAX_PIXELS}.")
            if image.mode.startswith("I"):  # 16 bits a pixel, which "L" would cut off at 255
                return np.array((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255), dtype=np.uint8)
            return _flattened(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, (DataFormatError, PermissionError)):
            raise
        raise DataFormatError(f"{path} is no picture that can be read: {error}.") from error


def _flattened(image: object) -> NDArray[np.uint8]:
    """An RGBA picture in grey, on white; on black if white hides it."""
    pixels = np.asarray(image, dtype=np.float64)
    grey = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    alpha = pixels[..., 3] / 255
    on_white = grey * alpha + 255 * (1 - alpha)
    chosen = on_white if np.ptp(on_white) >= _LEAST_CONTRAST else grey * alpha
    return np.array(chosen.round().clip(0, 255), dtype=np.uint8)


def _read_array(path: Path) -> NDArray[np.generic]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a forged header can't claim memory
    except (ValueError, EOFError, SyntaxError) as error:
        raise DataFormatError(f"{path} is no .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        raise DataFormatError(f"{path} is an archive of arrays: save a single one with numpy.save.")
    return array


def _checked(array: NDArray[np.generic], shape: tuple[int, int], path: Path) -> NDArray[np.uint8]:
    h, w = shape
    if array.shape == shape:
        array = array[None]
    elif array.ndim == 2 and array.shape[1] == h * w:  # noqa: PLR2004 - (n, h*w)
        array = array.reshape(-1, h, w)
    if array.ndim != 3 or array.shape[1:] != shape or not len(array):  # noqa: PLR2004 - (n, h, w)
        raise DataFormatError(f"{path} has shape {array.shape}: expected ({h}, {w}), (n, {h}, {w}) or (n, {h * w}).")
    if array.dtype == np.uint8:
        return np.array(array, dtype=np.uint8)
    values = np.array(array, dtype=np.float64) if array.dtype.kind == "f" else None
    if values is None or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        found = f"{array.dtype}" if values is None else f"{array.dtype} in {values.min():g}..{values.max():g}"
        raise DataFormatError(f"{path} holds {found}: expected uint8 in 0..255 or floating in 0..1.")
    return np.array((values * 255).round(), dtype=np.uint8)
