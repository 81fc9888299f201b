"""Pictures and arrays from files, as images that a model has learnt to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.image_folder.fitting import background, centred
from mnistkit.data.image_folder.reading import read_grey
from mnistkit.errors import DataFormatError, NotFoundError, StorageError, UsageError

__all__ = ["fitted_to", "read_images"]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_FORMATS = ("PNG", "JPEG", "BMP")


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
            return fitted_to(shape, read_grey(path, formats=_FORMATS), path)[None]
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
    if background(picture) > 127:  # noqa: PLR2004 - the middle of 0..255
        picture = 255 - picture
    if picture.shape == shape:
        return picture
    return centred(picture, shape, source)


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
