"""Data sources that need no network keep the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.data.idx import write_idx
from mnistkit.interfaces import DataSource
from mnistkit.testing import DataSourceSuite
from support.idx_folders import FILES, four_files


class TestDigitsSource(DataSourceSuite):
    """The digits keep the contract."""

    @pytest.fixture
    def source(self) -> DataSource:
        """The digits."""
        return DigitsSource()


class TestFolderSource(DataSourceSuite):
    """A folder keeps the contract."""

    fills_folder = False

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        """A tiny folder."""
        return FolderSource(four_files(tmp_path / "mine"))

    @pytest.fixture
    def another(self, tmp_path: Path) -> DataSource:
        """A folder with one other image."""
        folder = four_files(tmp_path / "other")
        write_idx(folder / FILES[0], np.zeros((3, 2, 2), np.uint8))
        return FolderSource(folder)

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> DataSource:
        """A folder that isn't there."""
        return FolderSource(tmp_path / "nowhere")
