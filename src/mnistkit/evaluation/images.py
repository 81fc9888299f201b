"""Images to predict, one at a time: from arrays, image files, folders, Pillow and splits, as a model takes them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.conversion import as_images, check_brightness
from mnistkit.data.dataset import Dataset
from mnistkit.data.image_folder.fitting import resized
from mnistkit.data.image_folder.listing import is_litter
from mnistkit.data.image_folder.preparation import prepared
from mnistkit.data.image_folder.reading import grey_pixels, is_pillow, read_grey
from mnistkit.data.split import Split
from mnistkit.errors import DataFormatError, MnistkitError, NotFoundError, StorageError, UsageError
from mnistkit.models.input import InputSpec
from mnistkit.utils import progress
from mnistkit.utils.folders import walk_folders

__all__ = ["IMAGE_SUFFIXES", "InputImage", "read_images"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
"""The endings of image files, in small letters."""

_ARRAY_SUFFIX = ".npy"


@frozen(eq=False)
class InputImage:
    """One image to predict, or the reason why there is none.

    Attributes:
        source: Where it came from: a file, ``digits.npy[3]``, ``image 0``.
        pixels: ``(h, w) uint8`` as the model takes it; None if it can't be read.
        label: Its true label, if known.
        error: Why it can't be read.
    """

    source: str
    pixels: NDArray[np.uint8] | None = None
    label: int | None = None
    error: MnistkitError | None = None


def read_images(images: Any, spec: InputSpec, *, resize: bool = False) -> Iterator[InputImage]:
    """Yield images, each prepared as a model's training data was.

    Image files and Pillow images are prepared; arrays and splits are taken as they are. A file that can't be read is
    yielded with its error. Progress over several files is reported in bytes.

    Args:
        images: An array, a list or a table of pixels (see `mnistkit.data.conversion.as_images`), a `Split`, a `Dataset`
            (its test images), a Pillow image, the path of an image file, of a ``.npy`` file or of a folder, a pattern
            such as ``"scans/*.png"``, or a list of Pillow images and paths.
        spec: The model's input.
        resize: Scale arrays and splits of another size than the model's images, in their proportions. Needs Pillow.

    Raises:
        DataFormatError: An array isn't one of images, or has another size than the model's images, and ``resize`` isn't
            given.
        UsageError: It is none of these, or there is no image at all.
    """
    if isinstance(images, (Split, Dataset)):
        return _from_split(images, spec, resize=resize)
    if isinstance(images, (Iterator, set, frozenset)):
        images = list(images)
    items = list(images) if isinstance(images, (list, tuple)) or _holds_texts(images) else [images]
    if not items or (len(items) == 1 and isinstance(items[0], str) and not items[0]):
        raise UsageError("There is no image to predict: give an array, a path or a folder.")
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        return _from_files([file for item in items for file in _files(item)], spec, resize=resize)
    if any(is_pillow(item) for item in items):
        return _from_pillow(items, spec, resize=resize)
    return _from_array(images, spec, resize=resize)


def _holds_texts(images: Any) -> bool:
    """Return True for arrays and columns of paths."""
    kind = getattr(getattr(images, "dtype", None), "kind", "")
    return kind in {"U", "O"} and len(np.shape(images)) == 1 and all(isinstance(each, str) for each in images)


def _from_split(data: Split | Dataset, spec: InputSpec, *, resize: bool) -> Iterator[InputImage]:
    split, name = (data.test, f"{data.name} test") if isinstance(data, Dataset) else (data, "image ")
    images = _of_size(split.images, spec, name.strip(), resize=resize)
    for i, (image, label) in enumerate(zip(images, split.labels, strict=True)):
        yield InputImage(f"{name}[{i}]" if isinstance(data, Dataset) else f"{name}{i}", image, int(label))


def _from_array(values: Any, spec: InputSpec, *, resize: bool) -> Iterator[InputImage]:
    for i, image in enumerate(_of_size(values, spec, "images", resize=resize)):
        yield InputImage(f"image {i}", image)


def _of_size(values: Any, spec: InputSpec, name: str, *, resize: bool) -> Iterable[NDArray[np.uint8]]:
    """Return images of the model's size; those of another size are refused, or scaled."""
    shape = (spec.height, spec.width)
    try:
        found = as_images(values, shape, name=name)
    except DataFormatError as error:
        others = _of_another_size(values, name)
        if others is None:
            raise
        if not resize:
            raise DataFormatError(f"{error} Images of another size are scaled with resize=True (--resize).") from None
        check_brightness(others, name)
        return (resized(image, shape) for image in others)
    check_brightness(found, name)
    return found


def _of_another_size(values: Any, name: str) -> NDArray[np.uint8] | None:
    """Return images of any one size; None if the values are no images. An array with two equal sides is one image."""
    try:
        found = np.shape(values)
        if len(found) == 2 and found[0] == found[1]:  # noqa: PLR2004 - height and width
            return as_images(values, found, name=name)
        return as_images(values, name=name)
    except (DataFormatError, ValueError, TypeError):
        return None


def _from_pillow(items: list[Any], spec: InputSpec, *, resize: bool) -> Iterator[InputImage]:
    """Yield Pillow images, and the files that paths among them name."""
    for i, item in enumerate(items):
        source = f"image {i}"
        if isinstance(item, (str, os.PathLike)):
            yield from _from_files(_files(item), spec, resize=resize)
            continue
        if not is_pillow(item):
            raise UsageError(
                f"{source} is a {type(item).__name__}: a list holds arrays alone, or Pillow images and paths."
            )
        try:
            yield InputImage(source, _prepared(grey_pixels(item, source), spec, source))
        except DataFormatError as error:
            yield InputImage(source, error=error)


def _files(item: str | os.PathLike[str]) -> list[Path]:
    """Return the files that a path, a folder or a pattern means; the path itself if there is none."""
    path = Path(item)
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        found = [Path(base) / name for base, folders, names in walk_folders(path) if _prune(folders) for name in names]
        wanted = [file for file in found if _is_image(file)]
        if not wanted:
            raise NotFoundError(f"{path} holds no image: {_USE}.")
        return sorted(wanted)
    if not os.path.lexists(path) and glob.has_magic(str(item)):
        return sorted(map(Path, glob.glob(str(item), recursive=True))) or [path]  # noqa: PTH207 - ** as shells have it
    return [path]


def _prune(folders: list[str]) -> bool:
    folders[:] = [name for name in folders if not is_litter(name)]
    return True


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in {*IMAGE_SUFFIXES, _ARRAY_SUFFIX} and not is_litter(file.name)


_USE = f"use image files ({', '.join(IMAGE_SUFFIXES)}) or {_ARRAY_SUFFIX} files"


def _from_files(files: list[Path], spec: InputSpec, *, resize: bool) -> Iterator[InputImage]:
    sizes = [_size(file) for file in files]
    task, done = f"{len(files)} files", 0
    try:
        for file, size in zip(files, sizes, strict=True):
            try:
                yield from _from_file(file, spec, resize=resize)
            except MnistkitError as error:
                yield InputImage(str(file), error=error)
            done += size
            if len(files) > 1:
                progress.report(progress.Step(task, done, sum(sizes)))
    finally:
        if len(files) > 1:
            progress.report(progress.Step(task, done, sum(sizes), finished=True))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return 0


def _from_file(file: Path, spec: InputSpec, *, resize: bool) -> Iterator[InputImage]:
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises on a name that is too long
        raise NotFoundError(f"There is no file {file!s:.500}: {_USE}, or a folder of them.")
    suffix = file.suffix.lower()
    try:
        if suffix in IMAGE_SUFFIXES:
            yield InputImage(str(file), _prepared(read_grey(file), spec, file))
        elif suffix == _ARRAY_SUFFIX:
            array = _array(file)
            images = _of_size(array, spec, str(file), resize=resize)
            is_one = len(array) == 1 or array.shape == (spec.height, spec.width)
            for i, image in enumerate(images):
                yield InputImage(str(file) if is_one else f"{file}[{i}]", image)
        else:
            table = (
                " Tables are predicted from Python: trainer.predict(pandas.read_csv(FILE))." if suffix == ".csv" else ""
            )
            raise UsageError(f"{file} is no image: {_USE}.{table}")
    except PermissionError as error:
        raise StorageError(f"Can't read {file}: {error.strerror}. Make it readable.") from error


def _array(file: Path) -> NDArray[Any]:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)  # mapped: a forged header can't claim memory
    except (ValueError, EOFError, SyntaxError) as error:
        raise DataFormatError(f"{file} is no .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        raise DataFormatError(f"{file} is an archive of arrays: save a single one with numpy.save.")
    return array


def _prepared(image: NDArray[np.uint8], spec: InputSpec, source: object) -> NDArray[np.uint8]:
    shape = (spec.height, spec.width)
    return prepared(image, shape, inverted=spec.inverted, centred=spec.centred, source=source)
