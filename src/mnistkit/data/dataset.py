"""Datasets as values: immutable train and test splits, read from a folder with four IDX files, or made of arrays."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import DTypeLike, NDArray

from mnistkit.data.conversion import as_images, as_shape, check_brightness
from mnistkit.data.decompressed import DECODED, tidy
from mnistkit.data.idx import encode_idx, idx_header
from mnistkit.data.labels import as_labels
from mnistkit.data.layout import MAX_ARRAY_BYTES, ROLES, find_idx_files, idx_name
from mnistkit.data.manifest import DatasetManifest, read_manifest
from mnistkit.data.reading import as_class_names, check_arrays, class_names_of, read_arrays
from mnistkit.data.split import MAX_THUMBNAILS, Split, small_image
from mnistkit.data.splitting import DEFAULT_TEST_FRACTION, check_fraction, check_seed, choose_subset, choose_test
from mnistkit.errors import DataFormatError, UsageError
from mnistkit.utils.arguments import check_path, check_type
from mnistkit.utils.files import FileInfo, sha256_hex
from mnistkit.utils.markup import render
from mnistkit.utils.serialization import to_json
from mnistkit.utils.summary import Summary, SummaryTable, Thumbnail

__all__ = ["Dataset"]


@frozen(kw_only=True, eq=False)
class Dataset:
    """Labelled grey images for training and testing. Immutable: the arrays are read-only.

    Attributes:
        name: For people: ``"mnist"``.
        version: Of the data.
        uri: What `mnistkit.load_dataset` takes to load it again; the folder, if read from one.
        class_names: One per label, label 0 first.
        train: What models learn from.
        test: What they are evaluated on.
        inverted: The images are light on dark because those on a light ground were inverted; None if unknown.
        centred: Each image is one digit, cropped, scaled and placed by its centre of mass as MNIST's were; None if
            unknown.

    Raises:
        DataFormatError: The splits' images differ in size, or a label has no class name.
        UsageError: A value has another type.
    """

    name: str
    version: str
    uri: str
    class_names: tuple[str, ...] = field(converter=as_class_names)
    train: Split
    test: Split
    inverted: bool | None = None
    centred: bool | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("name", "version", "uri"):
            check_type(getattr(self, name), str, name, "text")
        for name in ("train", "test"):
            check_type(getattr(self, name), Split, name, "a Split; Dataset.from_arrays makes both of arrays")
        sizes = [split.images.shape[1:] for split in (self.train, self.test)]
        if sizes[0] != sizes[1]:
            raise DataFormatError(f"{self.name}: training images are {sizes[0]}, test images {sizes[1]}: use one size.")
        top = max((int(split.labels.max()) for split in (self.train, self.test) if len(split)), default=0)
        if top >= len(self.class_names):
            raise DataFormatError(
                f"{self.name}: there is a label {top}, but only {len(self.class_names)} class names, which are for "
                f"labels 0 to {len(self.class_names) - 1}: name every class."
            )

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        uri: str | None = None,
        max_bytes: int = MAX_ARRAY_BYTES,
        owned: bool = False,
        manifest: DatasetManifest | None = None,
    ) -> Dataset:
        """Read the four IDX files below ``folder``; verify them if there is a ``dataset.json``.

        It is verified that the bytes are those that ``dataset.json`` speaks of, not that it speaks the truth. Every
        byte is hashed on every read; of an ``owned`` folder's ``.gz`` that was read before, those that it holds are,
        and the ``.gz`` itself isn't looked at.

        Args:
            folder: Holds the files at any depth, plain or ``.gz``.
            uri: What to remember as the dataset's uri; the folder's own if None.
            max_bytes: The most bytes of data that one file may declare; the largest EMNIST file has 547 million.
            owned: The folder is mnistkit's cache, not the user's, so that its files are only ever replaced as a whole:
                those that ``dataset.json`` lists are memory-mapped, and what a ``.gz`` holds is kept in ``.decoded``.
            manifest: What counts in the place of ``dataset.json``; that is read if None.

        Raises:
            NotFoundError: There is no such folder.
            StorageError: A file can't be read.
            ChecksumError: A file isn't one that ``dataset.json`` speaks of.
            DataFormatError: A file is missing, ambiguous, malformed, or doesn't fit the others.
        """
        check_path(folder, "folder")
        folder = Path(folder)
        paths = find_idx_files(folder)
        manifest = manifest or read_manifest(folder)
        arrays = read_arrays(paths, folder, manifest, max_bytes, owned=owned)
        check_arrays(arrays, paths)
        if owned:
            tidy(folder / DECODED, {info.sha256 for info in manifest.files.values()})
        return cls(
            name=manifest.name,
            version=manifest.version,
            uri=uri or f"idx:{folder.absolute()}",
            class_names=class_names_of(arrays, paths, manifest, folder),
            train=Split(images=arrays["train-images"], labels=arrays["train-labels"]),
            test=Split(images=arrays["test-images"], labels=arrays["test-labels"]),
            inverted=manifest.inverted,
            centred=manifest.centred,
        )

    @classmethod
    def from_arrays(
        cls,
        X_train: Any,
        y_train: Any,
        X_test: Any = None,
        y_test: Any = None,
        *,
        name: str = "arrays",
        class_names: Sequence[str] | None = None,
        shape: tuple[int, int] | None = None,
        test_fraction: float = DEFAULT_TEST_FRACTION,
        seed: int = 0,
    ) -> Dataset:
        """Return a dataset of arrays, lists or pandas tables.

        Args:
            X_train: Images ``(n, h, w)``, with a channel of one, or flat rows ``(n, h*w)``: uint8 or other numbers in
                0..255, or floats in 0..1, which are multiplied by 255.
            y_train: A label per image: whole numbers from 0 without a gap, texts, which name the classes, or
                one-hot rows.
            X_test: Images to test on; None to take a share of each class's training images.
            y_test: Their labels.
            name: Of the dataset.
            class_names: One per label, label 0 first; None for the texts or numbers themselves.
            shape: ``(h, w)`` of the images of flat rows; None for squares.
            test_fraction: The share of each class to test on, where there are no test images.
            seed: Chooses the test images.

        Raises:
            DataFormatError: The arrays have other types, shapes or values, or don't fit each other.
            UsageError: Test images come without labels or the reverse, or the share isn't between 0 and 1.
        """
        if (X_test is None) != (y_test is None):
            raise UsageError("Test images and their labels come together: give both X_test and y_test, or neither.")
        check_seed(seed)
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"name={name!r:.80}: use a text.")
        images = [as_images(X_train, as_shape(shape), name="X_train")]
        labels = [y_train]
        if X_test is not None:
            images.append(as_images(X_test, images[0].shape[1:], name="X_test"))
            labels.append(y_test)
        check_brightness(images[0], "X_train")
        columns, names = as_labels(labels, class_names, names=("y_train", "y_test")[: len(labels)])
        for part, x, y in zip(("train", "test"), images, columns, strict=False):
            if len(x) != len(y):
                raise DataFormatError(
                    f"X_{part} and y_{part} hold {len(x)} images and {len(y)} labels: give one label per image."
                )
        splits = [Split(images=x, labels=y) for x, y in zip(images, columns, strict=True)]
        if len(splits) == 1:
            splits = _halves(splits[0], test_fraction, seed)
        made = cls(name=name, version="1", uri="", class_names=names, train=splits[0], test=splits[1])
        return evolve(made, uri=f"array:{sha256_hex(to_json(made.manifest()))}")

    def arrays(
        self,
    ) -> tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """``(x_train, y_train), (x_test, y_test)`` as Keras has them: ``(n, h, w)`` and ``(n,) uint8``; read-only."""
        return (self.train.images, self.train.labels), (self.test.images, self.test.labels)

    def as_sklearn(
        self, dtype: DTypeLike = np.float32
    ) -> tuple[
        tuple[NDArray[np.floating], NDArray[np.int64]],
        tuple[NDArray[np.floating], NDArray[np.int64]],
    ]:
        """``(X_train, y_train), (X_test, y_test)`` for scikit-learn: ``(n, h*w)`` in 0..1 and ``(n,) int64``."""
        return (self.train.X(dtype), self.train.y), (self.test.X(dtype), self.test.y)

    def subset(self, limit: int, *, seed: int = 0) -> Dataset:
        """The same dataset with at most ``limit`` training images, each class in proportion; the test split is whole.

        Deterministic for a seed; a larger subset of the same seed contains the smaller one.

        Raises:
            UsageError: ``limit`` or ``seed`` isn't a whole number, or ``limit`` is below 1.
        """
        check_type(limit, Integral, "limit", "a whole number of training images")
        check_type(seed, Integral, "seed", "a whole number from 0")
        if limit < 1:
            raise UsageError(f"limit={limit}: use at least 1 training image.")
        if limit >= len(self.train):
            return self
        chosen = choose_subset(self.train.labels, limit, seed)
        train = Split(images=self.train.images[chosen], labels=self.train.labels[chosen])
        return evolve(self, train=train)

    @functools.cached_property
    def sha256(self) -> str:
        """The sha256 of the four uncompressed IDX files' bytes, in the order of `ROLES`."""
        digest = hashlib.sha256()
        for array in (self.train.images, self.train.labels, self.test.images, self.test.labels):
            digest.update(idx_header(array.shape))
            digest.update(np.ascontiguousarray(array).data)  # not `encode_idx`, which copies all of it
        return digest.hexdigest()

    def files(self) -> dict[str, bytes]:
        """Return the content of the four IDX files by name."""
        arrays = (self.train.images, self.train.labels, self.test.images, self.test.labels)
        return {idx_name(role): encode_idx(array) for role, array in zip(ROLES, arrays, strict=True)}

    def manifest(self) -> DatasetManifest:
        """Return the ``dataset.json`` that belongs to `files`."""
        return DatasetManifest(
            name=self.name,
            version=self.version,
            class_names=self.class_names,
            inverted=self.inverted,
            centred=self.centred,
            files={name: FileInfo(len(data), sha256_hex(data)) for name, data in self.files().items()},
        )

    def describe(self) -> Summary:
        """Return its sizes, how many images each class has, and an image of each of the first classes."""
        height, width = self.train.images.shape[1:]
        names = self.class_names
        train, test = (np.bincount(split.labels, minlength=len(names)).tolist() for split in (self.train, self.test))
        left_out = len(names) - MAX_THUMBNAILS
        return Summary(
            title=f"Dataset {self.name}",
            facts={
                "Images": f"{len(self.train):,} to train on, {len(self.test):,} to test on",
                "Size": f"{height} × {width} pixels, 8 bit grey",  # noqa: RUF001 - the sign for sizes
                "Classes": str(len(names)),
                "Version": self.version,
                "Loads by": self.uri,
            },
            images=tuple(
                _thumbnail(self, label, train[label])
                for label in range(min(len(names), MAX_THUMBNAILS))
                if train[label]
            ),
            tables=(
                SummaryTable(
                    title="Images of each class",
                    columns=("class", "to train on#", "to test on#"),
                    rows=zip(names, train, test, strict=False),
                    is_folded=True,
                ),
            ),
            note=f"and {left_out} more classes" if left_out > 0 else "",
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def __repr__(self) -> str:
        """Return sizes, not pixels, for a prompt."""
        h, w = self.train.images.shape[1:]
        return (
            f"Dataset({self.name!r}, train={len(self.train)}, test={len(self.test)}, "
            f"images={h}x{w}, classes={len(self.class_names)})"
        )


def _halves(split: Split, test_fraction: float, seed: int) -> list[Split]:
    """Return a split to train on and one to test on."""
    check_fraction(test_fraction)
    is_test = choose_test(split.labels, test_fraction, seed)
    if not is_test.any():
        raise DataFormatError(
            "No class has two images, one to train on and one to test on: give test images, or more of each class."
        )
    return [Split(images=split.images[part], labels=split.labels[part]) for part in (~is_test, is_test)]


def _thumbnail(dataset: Dataset, label: int, count: int) -> Thumbnail:
    """Return the first training image of a class."""
    image = dataset.train.images[int((dataset.train.labels == label).argmax())]
    return small_image(image, f"{dataset.class_names[label]} ({count:,})")
