"""Folders of IDX files with a small dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.data.idx import write_idx
from mnistkit.data.manifest import DatasetManifest
from mnistkit.utils.files import file_info

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}

FILES = tuple(NAMES.values())
DOTTED = {role: name.replace("-idx", ".idx") for role, name in NAMES.items()}


def content() -> dict[str, NDArray[np.uint8]]:
    """A small dataset: 20 images to train, 10 to test, 4 by 5 pixels, labels 0 to 9."""
    random = np.random.default_rng(7)
    return {
        "train-images": random.integers(0, 256, (20, 4, 5), dtype=np.uint8),
        "train-labels": np.arange(20, dtype=np.uint8) % 10,
        "test-images": random.integers(0, 256, (10, 4, 5), dtype=np.uint8),
        "test-labels": np.arange(10, dtype=np.uint8),
    }


def fill(folder: Path, suffix: str = "", names: dict[str, str] = NAMES, **changes: NDArray[np.uint8]) -> Path:
    """Write the four files, with ``changes`` by role (``_`` for ``-``), and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = content() | {role.replace("_", "-"): array for role, array in changes.items()}
    for role, name in names.items():
        write_idx(folder / f"{name}{suffix}", arrays[role])
    return folder


def manifest(folder: Path, **fields: object) -> DatasetManifest:
    """A manifest of the files that are in ``folder``, with ``fields`` changed."""
    files = {path.relative_to(folder).as_posix(): file_info(path) for path in folder.rglob("*ubyte*")}
    return DatasetManifest(**{"name": "mine", "files": files, **fields})


def four_files(folder: Path) -> Path:
    """A tiny dataset in a new folder."""
    folder.mkdir(parents=True)
    for name in FILES:
        write_idx(folder / name, np.ones((3, 2, 2) if "images" in name else 3, np.uint8))
    return folder
