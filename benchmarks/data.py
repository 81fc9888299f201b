"""The data of the comparisons: the real MNIST, and data of other sizes made from it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit import Dataset, load_dataset
from mnistkit.data.idx import write_idx
from mnistkit.errors import DataError

__all__ = ["FILES", "mnist", "moved", "repeated", "resized", "with_classes", "write_files", "write_many"]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

Images = NDArray[np.uint8]


def mnist(limit: int | None = None) -> Dataset:
    """The real MNIST, or part of its training images; where it can't be had, a run ends with what to do about it."""
    try:
        dataset = load_dataset("mnist")
    except DataError as error:
        raise SystemExit(f"This comparison needs the real MNIST. {error}") from error
    return dataset.subset(limit) if limit else dataset


def write_files(dataset: Dataset, folder: Path, suffix: str = "") -> tuple[Path, ...]:
    """Write the four IDX files, ``suffix`` ``".gz"`` or none; they are in the order of `FILES`."""
    arrays = (dataset.train.images, dataset.train.labels, dataset.test.images, dataset.test.labels)
    paths = tuple(folder / f"{file}{suffix}" for file in FILES)
    for path, array in zip(paths, arrays, strict=True):
        write_idx(path, array)
    return paths


def repeated(images: Images, labels: Images, n: int, *, seed: int = 0) -> tuple[Images, Images]:
    """``n`` images: the given ones over and over, each moved by up to 2 pixels either way; deterministic for a seed."""
    rng = np.random.default_rng(seed)
    many = np.empty((n, *images.shape[1:]), np.uint8)
    for start in range(0, n, len(images)):
        part = many[start : start + len(images)]
        moves = rng.integers(-2, 3, (len(part), 2))
        for move in np.unique(moves, axis=0):
            rows = np.flatnonzero((moves == move).all(axis=1))
            part[rows] = np.roll(images[rows], tuple(move), axis=(1, 2))
    return many, np.resize(labels, n)


def moved(images: Images, *, seed: int) -> Images:
    """The images, each shifted by up to 2 pixels either way and slanted by up to 3; deterministic for a seed."""
    rng = np.random.default_rng(seed)
    moves = rng.integers((-2, -2, -3), (3, 3, 4), (len(images), 3))
    slants = np.linspace(-0.5, 0.5, images.shape[1])
    result = np.empty_like(images)
    for down, right, slant in np.unique(moves, axis=0):
        rows = np.flatnonzero((moves == (down, right, slant)).all(axis=1))
        part = np.roll(images[rows], down, axis=1)
        for line, share in enumerate(slants):
            part[:, line] = np.roll(part[:, line], right + round(slant * share), axis=1)
        result[rows] = part
    return result


def write_many(path: Path, images: Images, labels: Images, n: int) -> Images:
    """Write the images of `repeated` as an IDX file, a part at a time; return their labels, ``(n,)``."""
    with path.open("wb") as file:
        file.write(struct.pack(">4I", 0x803, n, *images.shape[1:]))
        for start in range(0, n, len(images)):
            part, _ = repeated(images, labels, min(len(images), n - start), seed=start)
            file.write(part.tobytes())
    return np.resize(labels, n)


def resized(images: Images, side: int) -> Images:
    """The images at 14, 28 or 56 pixels a side: means of 2 x 2 pixels, as they are, or each pixel between its own."""
    if side == images.shape[1]:
        return images
    if side < images.shape[1]:
        n = len(images)
        means: Images = images.reshape(n, side, 2, side, 2).mean(axis=(2, 4)).astype(np.uint8)
        return means
    for axis in (1, 2):
        images = np.repeat(images, 2, axis=axis)
        images = ((images.astype(np.uint16) + np.roll(images, 1, axis=axis)) // 2).astype(np.uint8)
    return images


def with_classes(images: Images, labels: Images, count: int) -> tuple[Images, Images]:
    """As many images of ``count`` classes, as EMNIST has: digits, then digits turned, mirrored, moved, and negative."""
    variations: tuple[Callable[[Images], Images], ...] = (
        lambda image: image,
        lambda image: np.rot90(image, axes=(1, 2)),
        lambda image: image[:, :, ::-1],
        lambda image: np.roll(image, (6, 6), axis=(1, 2)),
        lambda image: 255 - image,
    )
    classes = labels + 10 * np.random.default_rng(0).integers(0, -(-count // 10), len(labels)).astype(np.uint8)
    classes = np.where(classes < count, classes, labels)
    many = np.empty_like(images)
    for k, vary in enumerate(variations):
        rows = classes // 10 == k
        many[rows] = vary(images[rows])
    return many, classes
