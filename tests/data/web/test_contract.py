"""Datasets on the web keep the contract of data sources."""

from __future__ import annotations

import pytest
from attrs import evolve

from mnistkit.data.source import DataSource
from mnistkit.data.web import WebDataset, WebSource
from mnistkit.testing import DataSourceSuite
from support.mirrors import (
    QUICK,
    Mirror,
)


class TestContract(DataSourceSuite):
    """A dataset on the web keeps the contract."""

    @pytest.fixture
    def source(self, mirror: Mirror) -> DataSource:
        """The small dataset from a good mirror."""
        return WebSource(mirror.dataset("good"), patience=QUICK)

    @pytest.fixture
    def another(self, mirror: Mirror) -> DataSource:
        """The same files under another name."""
        return WebSource(mirror.dataset("good", name="other"), patience=QUICK)

    @pytest.fixture
    def unavailable(self, mirror: Mirror) -> DataSource:
        """The dataset from a mirror that lacks it."""
        return WebSource(mirror.dataset("not_found"), patience=QUICK)


class TestContractOfRecipes(DataSourceSuite):
    """A dataset that is made from an archive on the web keeps the contract."""

    @pytest.fixture
    def source(self, emnist: dict[str, WebDataset]) -> DataSource:
        """Letters, whose labels are counted from 1 where they come from."""
        return WebSource(emnist["letters"], patience=QUICK)

    @pytest.fixture
    def another(self, emnist: dict[str, WebDataset]) -> DataSource:
        """Digits from the same archive."""
        return WebSource(emnist["digits"], patience=QUICK)

    @pytest.fixture
    def unavailable(self, emnist: dict[str, WebDataset], mirror: Mirror) -> DataSource:
        """Letters from a mirror that lacks them."""
        return WebSource(evolve(emnist["letters"], mirrors=(f"{mirror.url}/not_found",)), patience=QUICK)
