"""Reading the four IDX files of a dataset: verified by its manifest, and checked against each other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.decompressed import DECODED, keeping, open_kept
from mnistkit.data.idx import parse_idx, read_idx, read_idx_bytes
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.errors import ChecksumError, DataFormatError
from mnistkit.utils.arguments import check_type
from mnistkit.utils.files import FileInfo, mapped, sha256_hex

__all__ = ["as_class_names", "check_arrays", "class_names_of", "read_arrays"]

_THREADS = 2  # images to train with are most of it: the rest is read meanwhile


def read_arrays(
    paths: Mapping[str, Path], folder: Path, manifest: DatasetManifest, max_bytes: int, *, owned: bool
) -> dict[str, NDArray[np.uint8]]:
    """Return the arrays by role, read two at a time; what is kept of an owned folder's ``.gz`` files is mapped."""
    if not manifest.files:
        return _in_parallel(lambda path: read_idx(path, max_bytes=max_bytes), paths)
    expected = {path: _expected(path, folder, manifest) for path in paths.values()}
    packed = [info.sha256 for path, info in expected.items() if _is_gz(path)]
    kept = open_kept(folder / DECODED, packed) if owned else {}

    def read(path: Path) -> NDArray[np.uint8]:
        info = expected[path]
        _verify_size(path, folder, info)
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


def _verify_size(path: Path, folder: Path, expected: FileInfo) -> None:
    """Refuse a file of another size before it is hashed: it could be a sparse one of any size."""
    with contextlib.suppress(OSError):  # reading it says what is wrong
        size = path.stat().st_size
        if size == expected.size:
            return
        _verify(path, folder, FileInfo(size, "(not read)"), expected)


def _verify(path: Path, folder: Path, got: FileInfo, expected: FileInfo) -> None:
    if got != expected:
        raise ChecksumError(
            f"{path} isn't the file that {folder / MANIFEST} speaks of: expected {expected.size} bytes with sha256 "
            f"{expected.sha256}, got {got.size} bytes with sha256 {got.sha256}. Fetch the data again."
        )


def check_arrays(arrays: Mapping[str, NDArray[np.uint8]], paths: Mapping[str, Path]) -> None:
    """Raise DataFormatError unless the four arrays are images and labels that fit each other."""
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


def as_class_names(values: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes as a tuple of texts.

    Raises:
        UsageError: They aren't texts in a tuple or a list.
    """
    check_type(values, (tuple, list), "class_names", "a tuple with a name per label, such as tuple('0123456789')")
    for value in values:
        check_type(value, str, "One of class_names", "texts alone")
    return tuple(values)


def class_names_of(
    arrays: Mapping[str, NDArray[np.uint8]], paths: Mapping[str, Path], manifest: DatasetManifest, folder: Path
) -> tuple[str, ...]:
    """Return the manifest's class names, if they are enough; without them one per label up to the highest."""
    top = {role: int(arrays[role].max()) for role in ("train-labels", "test-labels")}
    names = manifest.class_names or tuple(str(label) for label in range(max(1, *top.values()) + 1))
    for role, label in top.items():
        if label >= len(names):
            raise DataFormatError(
                f"{paths[role]}: expected labels from 0 to {len(names) - 1}, "
                f"as {folder / MANIFEST} names {len(names)} classes, got {label}."
            )
    return names
