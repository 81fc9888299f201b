"""The pins of Azure's Open Dataset: sizes and sha256s that its files must have, here and on a node."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistkit import config
from mnistkit.data.layout import find_idx_files
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.pins import DIGITS, MNIST, MNIST_PLAIN
from mnistkit.errors import ChecksumError, ConfigError, DataFormatError, UsageError
from mnistkit.utils.files import FileInfo, file_info, sha256_hex
from mnistkit.utils.serialization import read_json

__all__ = ["ADVICE", "NAMES", "accepted_manifests", "check_pins", "configured_pins", "gzipped_content", "identify"]

NAMES = frozenset({*MNIST, *MNIST_PLAIN})
"""The names that a file of the dataset may have: gzipped or plain."""

ADVICE = (
    "Try again, or use data='mnist', which has other mirrors. Other data is data='idx:FOLDER'; or name a dataset.json "
    f"with its sizes and sha256s in {config.PINS_VARIABLE}."
)
"""The ways out where the files aren't the pinned ones."""


def accepted_manifests(pins: DatasetManifest | None = None) -> tuple[DatasetManifest, ...]:
    """Return the manifests of which one must fit the files, the likeliest first.

    A pin of a plain file is also met by a ``.gz`` that holds it: what counts is the content, however it was gzipped.

    Args:
        pins: The only manifest to accept; None for `configured_pins`, else for MNIST, gzipped as published or plain.
    """
    only = pins or configured_pins()
    if only is not None:
        return (only,)
    return tuple(DatasetManifest(name="mnist", class_names=DIGITS, files=files) for files in (MNIST, MNIST_PLAIN))


def configured_pins() -> DatasetManifest | None:
    """Return the manifest that ``MNISTKIT_OPEN_DATASETS_PINS`` names, None if it is unset.

    Raises:
        ConfigError: The file can't be read, or doesn't pin the four files.
    """
    path = config.open_datasets_pins()
    if path is None:
        return None
    try:
        manifest: DatasetManifest = read_json(path, DatasetManifest, follow=True)
        check_pins(manifest)
    except (OSError, DataFormatError, UsageError) as error:
        raise ConfigError(f"{config.PINS_VARIABLE} is {str(path)!r}, and that isn't usable: {error}") from error
    return manifest


def check_pins(manifest: DatasetManifest) -> None:
    """Raise if a manifest doesn't pin the four files under their names: the names become paths.

    Raises:
        UsageError: It doesn't.
    """
    stems = sorted(name.removesuffix(".gz") for name in manifest.files)
    if not manifest.files.keys() <= NAMES or stems != sorted(MNIST_PLAIN):
        raise UsageError(f"Pins must be of {', '.join(MNIST_PLAIN)}, each plain or .gz; got {sorted(manifest.files)}.")


def gzipped_content(path: Path, expected: FileInfo) -> bytes | None:
    """Return what a ``.gz`` holds if that is as expected; it isn't inflated beyond the expected size."""
    try:
        with gzip.open(path) as stream:
            data = stream.read(expected.size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None
    return data if FileInfo(len(data), sha256_hex(data)) == expected else None


def identify(folder: Path, accepted: Sequence[DatasetManifest]) -> DatasetManifest | None:
    """Return the manifest to read a mounted folder by, after its files were compared with the pins.

    Args:
        folder: On the node.
        accepted: The manifests of which one must fit; empty if nothing is pinned.

    Returns:
        Name and class names of the manifest that fits, with the files as they lie in ``folder``; None without pins.

    Raises:
        ChecksumError: No manifest fits.
        DataFormatError: A file is missing.
    """
    if not accepted:
        return None
    paths = {path.name: path for path in find_idx_files(folder).values()}
    infos = {path.relative_to(folder).as_posix(): file_info(path) for path in paths.values()}
    for manifest in accepted:
        if all(_fits(name, info, paths) for name, info in manifest.files.items()):
            return DatasetManifest(name=manifest.name, class_names=manifest.class_names, files=infos)
    name = "MNIST" if accepted[0].name == "mnist" else accepted[0].name
    raise ChecksumError(f"The data at {folder} isn't {name}: no pin fits {', '.join(sorted(paths))}. {ADVICE}")


def _fits(name: str, info: FileInfo, paths: Mapping[str, Path]) -> bool:
    if name in paths:
        return file_info(paths[name]) == info
    return f"{name}.gz" in paths and gzipped_content(paths[f"{name}.gz"], info) is not None
