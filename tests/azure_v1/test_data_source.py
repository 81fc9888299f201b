"""MNIST of Azure's Open Datasets keeps the contract of data sources: the SDK's own engine, against the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from attrs import evolve

from mnistkit.azureml import OpenDatasetsMnist
from mnistkit.data.manifest import DatasetManifest
from mnistkit.emulator.synthetic import write_digits
from mnistkit.testing import DataSourceSuite
from mnistkit.utils.files import file_info

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import DataSource


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> DatasetManifest:
    """What the emulator serves as MNIST."""
    folder = tmp_path_factory.mktemp("served")
    write_digits(folder)
    return DatasetManifest(name="mnist", files={path.name: file_info(path) for path in folder.iterdir()})


class TestOpenDatasetsMnist(DataSourceSuite):
    """The synthetic digits that the emulator serves, pinned; other pins stand for other data."""

    @pytest.fixture
    def source(self, emulator: AzureMLEmulator, served: DatasetManifest) -> DataSource:
        """The digits that are served."""
        return OpenDatasetsMnist(pins=served)

    @pytest.fixture
    def another(self) -> DataSource:
        """The real MNIST."""
        return OpenDatasetsMnist()

    @pytest.fixture
    def unavailable(self, emulator: AzureMLEmulator, served: DatasetManifest) -> DataSource:
        """Pins that one of the files doesn't match."""
        name = "t10k-labels-idx1-ubyte.gz"
        wrong = {**served.files, name: evolve(served.files[name], sha256="0" * 64)}
        return OpenDatasetsMnist(pins=evolve(served, files=wrong))
