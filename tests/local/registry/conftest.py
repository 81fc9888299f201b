"""A registry in a folder, and files to register."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mnistkit.local.registry.registry import FolderRegistry


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry whose folder isn't there yet."""
    return FolderRegistry(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files to register."""
    folder = tmp_path / "source"
    (folder / "extra").mkdir(parents=True)
    (folder / "model.skops").write_bytes(random.Random(0).randbytes(40_000))
    (folder / "extra" / "labels.txt").write_bytes(b"0\n1\n")
    return folder
