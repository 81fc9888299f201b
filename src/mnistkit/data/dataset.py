"""Datasets as values: immutable train and test splits, read from a folder with four IDX files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import DTypeLike, NDArray

from mnistkit.data.decompressed import DECODED, keeping, open_kept, tidy
from mnistkit.data.idx import encode_idx, parse_idx, read_idx, read_idx_bytes
from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import MANIFEST, DatasetManifest, read_manifest
from mnistkit.errors import ChecksumError, DataFormatError, UsageError
from mnistkit.utils.files import FileInfo, mapped, sha256_hex
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Summary, SummaryTable, Thumbnail

__all__ = ["Dataset", "Split"]


_MAX_BYTES = 2**30
_MAX_THUMBNAILS = 20
_MAX_THUMBNAIL_PX = 64
_THREADS = 2  # images to train with are most of it: the rest is read meanwhile


def _read_only(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a read-only view: the caller's array stays as it is."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        found = f"{array.dtype} values" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise DataFormatError(
            f"A Split holds uint8 arrays, got {found}: images are 0 to 255 (for floats from 0 to 1, "
            "(images * 255).round().astype('uint8')), labels are 0 to 255 (labels.astype('uint8'))."
        )
    view: NDArray[np.uint8] = array.view()
    view.flags.writeable = False
    return view


@frozen(kw_only=True, eq=False)
class Split:
    """One half of a dataset.

    Attributes:
        images: ``(n, h, w) uint8``, 0 is background; read-only.
        labels: ``(n,) uint8``; read-only.

    Raises:
        DataFormatError: The arrays have other types or shapes, or aren't of one length.
    """

    images: NDArray[np.uint8] = field(converter=_read_only)
    labels: NDArray[np.uint8] = field(converter=_read_only)

    def __attrs_post_init__(self) -> None:
        if self.images.ndim != 3 or self.labels.ndim != 1:  # noqa: PLR2004 - (n, h, w)
            raise DataFormatError(
                f"A Split takes images of shape (n, h, w) and labels of shape (n,), got {self.images.shape} and "
                f"{self.labels.shape}: use images.reshape(-1, h, w) and labels.ravel()."
            )
        if len(self.images) != len(self.labels):
            raise DataFormatError(
                f"A Split takes a label per image, got {len(self.images)} images and {len(self.labels)} labels."
            )

    def X(self, dtype: DTypeLike = np.float32) -> NDArray[np.floating]:  # noqa: N802 - the field's name
        """The images as scikit-learn takes them: ``(n, h*w)``, scaled from 0..255 to 0..1.

        Args:
            dtype: A floating type; float32 takes half the memory of float64 and most solvers keep it.

        Raises:
            UsageError: ``dtype`` isn't a floating type.
        """
        kind = np.dtype(dtype)
        if kind.kind != "f":
            raise UsageError(f"X(dtype={kind}) can't hold 0..1: use a floating type such as float32.")
        flat = self.images.reshape(len(self.images), -1)
        scaled: NDArray[np.floating] = np.divide(flat, kind.type(255), dtype=kind)
        return scaled

    @property
    def y(self) -> NDArray[np.int64]:
        """The labels as scikit-learn takes them: ``(n,) int64``."""
        return self.labels.astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)


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
    """

    name: str
    version: str
    uri: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    inverted: bool | None = None
    centred: bool | None = None

    def __attrs_post_init__(self) -> None:
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
        max_bytes: int = _MAX_BYTES,
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
        paths = find_idx_files(folder)
        manifest = manifest or read_manifest(folder)
        arrays = _read_all(paths, folder, manifest, max_bytes, owned=owned)
        _check(arrays, paths)
        if owned:
            tidy(folder / DECODED, {info.sha256 for info in manifest.files.values()})
        return cls(
            name=manifest.name,
            version=manifest.version,
            uri=uri or f"idx:{folder.absolute()}",
            class_names=_class_names(arrays, paths, manifest, folder),
            train=Split(images=arrays["train-images"], labels=arrays["train-labels"]),
            test=Split(images=arrays["test-images"], labels=arrays["test-labels"]),
            inverted=manifest.inverted,
            centred=manifest.centred,
        )

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
            UsageError: ``limit`` is below 1.
        """
        if limit < 1:
            raise UsageError(f"limit={limit}: use at least 1 training image.")
        if limit >= len(self.train):
            return self
        chosen = _stratified(self.train.labels, limit, seed)
        train = Split(images=self.train.images[chosen], labels=self.train.labels[chosen])
        return evolve(self, train=train)

    @functools.cached_property
    def sha256(self) -> str:
        """The sha256 of the four uncompressed IDX files' bytes, in the order of `ROLES`."""
        digest = hashlib.sha256()
        for array in (self.train.images, self.train.labels, self.test.images, self.test.labels):
            digest.update(encode_idx(array))
        return digest.hexdigest()

    def describe(self) -> Summary:
        """Return its sizes, how many images each class has, and an image of each of the first classes."""
        height, width = self.train.images.shape[1:]
        names = self.class_names
        train, test = (np.bincount(split.labels, minlength=len(names)).tolist() for split in (self.train, self.test))
        left_out = len(names) - _MAX_THUMBNAILS
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
                for label in range(min(len(names), _MAX_THUMBNAILS))
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


def _read_all(
    paths: Mapping[str, Path], folder: Path, manifest: DatasetManifest, max_bytes: int, *, owned: bool
) -> dict[str, NDArray[np.uint8]]:
    """The arrays by role: what is kept of an owned folder's ``.gz`` files is mapped, the rest read, two at a time."""
    if not manifest.files:
        return _in_parallel(lambda path: read_idx(path, max_bytes=max_bytes), paths)
    expected = {path: _expected(path, folder, manifest) for path in paths.values()}
    packed = [info.sha256 for path, info in expected.items() if _is_gz(path)]
    kept = open_kept(folder / DECODED, packed) if owned else {}

    def read(path: Path) -> NDArray[np.uint8]:
        info = expected[path]
        if owned and _is_gz(path):
            return _read_gz(path, folder, info, max_bytes)
        data = _mapped_or_read(path, max_bytes) if owned else read_idx_bytes(path, max_bytes=max_bytes)
        _verify(path, folder, FileInfo(len(data), sha256_hex(data)), info)
        return parse_idx(data, source=str(path), max_bytes=max_bytes)

    plain = {role: kept[expected[path].sha256] for role, path in paths.items() if expected[path].sha256 in kept}
    arrays = {role: parse_idx(data, source=str(paths[role]), max_bytes=max_bytes) for role, data in plain.items()}
    return arrays | _in_parallel(read, {role: path for role, path in paths.items() if role not in plain})


def _in_parallel(read: Callable[[Path], NDArray[np.uint8]], paths: Mapping[str, Path]) -> dict[str, NDArray[np.uint8]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(paths, pool.map(read, paths.values()), strict=True))


def _is_gz(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _expected(path: Path, folder: Path, manifest: DatasetManifest) -> FileInfo:
    expected = manifest.files.get(path.relative_to(folder).as_posix())
    if expected is None:
        listed = ", ".join(sorted(manifest.files))
        raise ChecksumError(
            f"{path} isn't among the files that {folder / MANIFEST} speaks of ({listed}): "
            "remove the one or the other, or fetch the data again."
        )
    return expected


def _read_gz(path: Path, folder: Path, expected: FileInfo, max_bytes: int) -> NDArray[np.uint8]:
    """The array of a ``.gz`` in a folder of ours; what it holds is kept."""
    data = read_idx_bytes(path, max_bytes=max_bytes)
    with ThreadPoolExecutor(1) as pool, keeping(folder / DECODED, expected.sha256) as keep:
        digest = pool.submit(sha256_hex, data)
        try:
            return parse_idx(data, source=str(path), max_bytes=max_bytes, on_inflated=keep)
        finally:  # also where it is malformed: that it is another file says more
            _verify(path, folder, FileInfo(len(data), digest.result()), expected)


def _mapped_or_read(path: Path, max_bytes: int) -> bytes | memoryview:
    """Return the bytes of a file: mapped if no other user can change them once they are verified, else a copy."""
    try:
        return mapped(path)
    except OSError:
        return read_idx_bytes(path, max_bytes=max_bytes)


def _verify(path: Path, folder: Path, got: FileInfo, expected: FileInfo) -> None:
    if got != expected:
        raise ChecksumError(
            f"{path} isn't the file that {folder / MANIFEST} speaks of: expected {expected.size} bytes with sha256 "
            f"{expected.sha256}, got {got.size} bytes with sha256 {got.sha256}. Fetch the data again."
        )


def _check(arrays: Mapping[str, NDArray[np.uint8]], paths: Mapping[str, Path]) -> None:
    for role, array in arrays.items():
        dimensions, other, shape = (3, 1, "(n, h, w)") if role.endswith("images") else (1, 3, "(n,)")
        if array.dtype != np.uint8 or array.ndim != dimensions:
            raise DataFormatError(
                f"{paths[role]}: expected {role} of shape {shape} and type uint8, got shape {array.shape} and type "
                f"{array.dtype}{'; are images and labels swapped?' if array.ndim == other else '.'}"
            )
        if array.size == 0:
            raise DataFormatError(f"{paths[role]}: it is empty, shape {array.shape}; expected at least one item.")
    for part in ("train", "test"):
        images, labels = arrays[f"{part}-images"], arrays[f"{part}-labels"]
        if len(images) != len(labels):
            raise DataFormatError(
                f"{paths[f'{part}-images']} holds {len(images)} images, "
                f"but {paths[f'{part}-labels']} holds {len(labels)} labels: they must be as many."
            )
    if arrays["train-images"].shape[1:] != arrays["test-images"].shape[1:]:
        raise DataFormatError(
            f"{paths['test-images']}: its images are {arrays['test-images'].shape[1:]}, "
            f"those for training {arrays['train-images'].shape[1:]}: they must be of one size."
        )


def _class_names(
    arrays: Mapping[str, NDArray[np.uint8]], paths: Mapping[str, Path], manifest: DatasetManifest, folder: Path
) -> tuple[str, ...]:
    """Those of the manifest, if they are enough; without them, one per label up to the highest, and at least two."""
    top = {role: int(arrays[role].max()) for role in ("train-labels", "test-labels")}
    names = manifest.class_names or tuple(str(label) for label in range(max(1, *top.values()) + 1))
    for role, label in top.items():
        if label >= len(names):
            raise DataFormatError(
                f"{paths[role]}: expected labels from 0 to {len(names) - 1}, "
                f"as {folder / MANIFEST} names {len(names)} classes, got {label}."
            )
    return names


def _stratified(labels: NDArray[np.uint8], limit: int, seed: int) -> NDArray[np.intp]:
    """Indices of ``limit`` items, sorted: of each class's shuffled items, the first by their quantile in the class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    quantile = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(order[np.argsort(quantile[order], kind="stable")[:limit]])


def _thumbnail(dataset: Dataset, label: int, count: int) -> Thumbnail:
    """Return the first training image of a class, dark on white; of a large one every so many pixels."""
    image = dataset.train.images[int((dataset.train.labels == label).argmax())]
    step = max(-(-max(image.shape) // _MAX_THUMBNAIL_PX), 1)
    small = 255 - image[::step, ::step]
    height, width = small.shape
    caption = f"{dataset.class_names[label]} ({count:,})"
    return Thumbnail(caption=caption, pixels=small.tobytes(), width=width, height=height)
