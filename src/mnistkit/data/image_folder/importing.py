"""Class-named folders of PNG and JPEG files become the four IDX files of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import write_idx
from mnistkit.data.image_folder.fitting import resized
from mnistkit.data.image_folder.folders import check_free, new_folder
from mnistkit.data.image_folder.listing import Listing, PictureFile, list_pictures
from mnistkit.data.image_folder.preparation import is_light, prepared
from mnistkit.data.image_folder.reading import open_unfollowed, read_grey
from mnistkit.data.importing.outcome import Imported, LeftOut
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.splitting import DEFAULT_TEST_FRACTION, check_fraction, check_seed, choose_test
from mnistkit.errors import DataFormatError, NotFoundError, UsageError
from mnistkit.utils import progress
from mnistkit.utils.arguments import check_path
from mnistkit.utils.files import FileInfo, file_info

__all__ = ["import_pictures"]

_MAX_SIDE = 1024
_MAX_BYTES = 2**30
_REPORTS = 200
_MAX_REASONS = 3

_Files = dict[str, FileInfo]


def import_pictures(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (28, 28),
    invert: bool = False,
    centre: bool = False,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Imported:
    """Turn a folder of pictures into a dataset: four IDX files and a ``dataset.json`` with the names of the classes.

    The folder has a folder per class with PNG or JPEG files, at any depth below it; or ``train`` and ``test`` folders
    with one per class each. The name of a class is its folder's; classes are in the order of their names, of their
    numbers if all are numbers. A ``dataset.json``, as `export_pictures` writes, says name, version and classes instead.
    Hidden files don't count, and no symbolic link is followed.

    A picture that can't be read is left out and listed. Progress is reported in bytes; interrupted, it leaves nothing.
    The same files and arguments give the same dataset, byte for byte.

    Args:
        folder: Holds the pictures.
        out: The folder to make; it isn't there yet, or is empty.
        size: ``(h, w)`` of the images; at most 1024 each. Pictures are scaled in their proportions.
        invert: Invert the images that are on a light ground, so that all are light on dark, as MNIST is.
        centre: Find the digit of each image, also on a photograph with uneven light, specks and lines, and scale and
            place it as MNIST was made, light on dark.
        test_fraction: The share of each class that becomes the test split; None for 0.2, or for what the ``test``
            folder holds.
        seed: Chooses the test split.
        name: Of the dataset; None for the folder's.

    Raises:
        NotFoundError: There is no such folder.
        UsageError: An argument can't be right, or ``out`` is there already. Nothing was written.
        DataFormatError: There are no classes, more than 256, or no pictures left for one of the splits.
        MissingExtraError: Pillow isn't installed.
        StorageError: ``out`` can't be written, or a folder can't be listed.
    """
    check_path(folder, "folder")
    check_path(out, "out")
    folder, out = Path(folder), Path(out)
    _check(folder, out, size, test_fraction)
    check_seed(seed)
    listing = list_pictures(folder)
    _check_listing(listing, folder, size, test_fraction)
    left_out, light, brightest = list(listing.left_out), 0, 0
    images = np.empty((len(listing.pictures), *size), dtype=np.uint8)
    read: list[PictureFile] = []
    for picture in _reporting(listing.pictures, folder):
        try:
            image, brightest_pixel = _read(folder / picture.file, size, invert=invert, centre=centre)
        except (DataFormatError, OSError) as error:
            left_out.append(LeftOut(picture.file, _reason(error, folder / picture.file)))
            continue
        light += is_light(image)
        brightest = max(brightest, brightest_pixel)
        images[len(read)] = image
        read.append(picture)
    images = images[: len(read)]
    is_test = _test_split(read, test_fraction or DEFAULT_TEST_FRACTION, seed)
    if not is_test.any() or is_test.all():
        raise DataFormatError(_too_few(folder, read, "train" if is_test.all() and read else "test", left_out))
    labels = np.array([picture.label for picture in read], dtype=np.uint8)
    with new_folder(out) as staging:
        DatasetManifest(
            name=name or listing.name,
            version=listing.version,
            class_names=listing.class_names,
            inverted=invert or centre or bool(listing.inverted),
            centred=centre or bool(listing.centred),
            files=_write(staging, images, labels, is_test),
        ).write(staging)
    return Imported(
        folder=out.absolute(),
        class_names=listing.class_names,
        train=int((~is_test).sum()),
        test=int(is_test.sum()),
        light=light,
        brightest=brightest,
        unseen=tuple(name for label, name in enumerate(listing.class_names) if label not in labels[~is_test]),
        left_out=tuple(sorted(left_out, key=lambda each: each.file)),
    )


def _check(folder: Path, out: Path, size: tuple[int, int], test_fraction: float | None) -> None:
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        raise NotFoundError(f"{folder!s:.500} is not a folder: name the folder that holds a folder per class.")
    if not (isinstance(size, (tuple, list)) and len(size) == 2 and all(type(side) is int for side in size)):  # noqa: PLR2004
        raise UsageError(f"size={size!r:.80}: use a height and a width in pixels, such as (28, 28).")
    if not all(1 <= side <= _MAX_SIDE for side in size):
        raise UsageError(f"size={size}: use 1 to {_MAX_SIDE} pixels, such as (28, 28).")
    if test_fraction is not None:
        check_fraction(test_fraction)
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} is inside {folder}, among the pictures: name a folder elsewhere.")
    check_free(out)


def _check_listing(listing: Listing, folder: Path, size: tuple[int, int], test_fraction: float | None) -> None:
    has_halves = any(picture.half is not None for picture in listing.pictures)
    if has_halves and test_fraction is not None:
        raise UsageError(f"{folder} has its own test pictures: leave test_fraction={test_fraction} out.")
    needed = len(listing.pictures) * size[0] * size[1]
    if needed > _MAX_BYTES:
        raise UsageError(
            f"{len(listing.pictures)} pictures of {size[0]}x{size[1]} are {needed} bytes; a dataset may have "
            f"{_MAX_BYTES}: use a smaller size."
        )


def _reporting(pictures: Sequence[PictureFile], folder: Path) -> Iterator[PictureFile]:
    """Yield the pictures one by one, while progress is reported."""
    total, done, told = sum(picture.size for picture in pictures), 0, 0
    task = f"{folder.name or folder}: {len(pictures)} pictures"
    try:
        for picture in pictures:
            if done - told >= total / _REPORTS:
                progress.report(progress.Step(task, done, total))
                told = done
            yield picture
            done += picture.size
    finally:
        progress.report(progress.Step(task, done, total, finished=True))


def _read(path: Path, size: tuple[int, int], *, invert: bool, centre: bool) -> tuple[NDArray[np.uint8], int]:
    """Return a file's image, prepared, and the brightest pixel that the file has."""
    with open_unfollowed(path) as stream:
        image = read_grey(stream, name=path)
    brightest = int(image.max())
    if not (centre or invert):  # also an image of one shade: some data sets have those
        return resized(image, size), brightest
    return prepared(image, size, inverted=invert, centred=centre, source=path), brightest


def _reason(error: Exception, path: Path) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return str(text or error).removeprefix(f"{path} ").rstrip(".")


def _test_split(pictures: Sequence[PictureFile], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which pictures are to test on: as their folders say, else that share of each class, at least one of two."""
    if any(picture.half is not None for picture in pictures):
        return np.array([picture.half == 1 for picture in pictures])
    labels = np.array([picture.label for picture in pictures], dtype=np.int64)
    return choose_test(labels, fraction, seed)


def _write(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], is_test: NDArray[np.bool_]) -> _Files:
    """Write the four IDX files, and say what they are."""
    parts = {}
    for part, chosen in (("train", ~is_test), ("t10k", is_test)):
        parts[f"{part}-images-idx3-ubyte"] = images[chosen]
        parts[f"{part}-labels-idx1-ubyte"] = labels[chosen]
    for file, array in parts.items():
        write_idx(folder / file, array)
    return {file: file_info(folder / file) for file in parts}


def _too_few(folder: Path, read: Sequence[PictureFile], part: str, left_out: Sequence[LeftOut]) -> str:
    reasons = "; ".join(f"{each.file}: {each.reason}" for each in left_out[:_MAX_REASONS])
    detail = f" Left out: {reasons}{'; ...' if len(left_out) > _MAX_REASONS else ''}" if reasons else ""
    return f"{folder}: {len(read)} pictures can be read, and none is left for the {part} split.{detail}"
