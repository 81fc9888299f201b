"""The three backends on the SDK v2 keep their contracts: the real SDK, against the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from attrs import evolve
from emulated_storage import changed_record, stored_files

from mnistkit.azureml.properties import PREFIX
from mnistkit.azureml.v2 import AmlCompute, OpenDatasetsMnist, WorkspaceRegistry, connect
from mnistkit.data.manifest import DatasetManifest
from mnistkit.emulator.synthetic import write_digits
from mnistkit.testing import ComputeBackendSuite, DataSourceSuite, ModelRegistrySuite
from mnistkit.utils.files import file_info

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry
    from mnistkit.registry.version import ModelVersion
    from mnistkit.runs.run import Run


class TestAmlCompute(ComputeBackendSuite):
    """A cluster of a workspace."""

    deadline = 120.0
    ends_leftovers = False
    detaches = True

    @pytest.fixture
    def backend(self, workspace: Any) -> ComputeBackend:
        """A cluster without runs; it is created with the first one."""
        return AmlCompute(workspace, name="contract", max_nodes=2)

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another object of the same workspace."""
        assert isinstance(backend, AmlCompute)
        return AmlCompute(backend.client, name="contract", max_nodes=2)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Add a part to the properties that hold the job: what is there can't be changed."""
        assert isinstance(backend, AmlCompute)
        backend._reader._details.clear()
        service = backend._history.service
        known, number = service.run(run.id)["properties"], 1
        while f"{PREFIX}job_part{number}" in known:
            number += 1
        service.change_run(run.record.experiment, run.id, {"properties": {f"{PREFIX}job_part{number}": "{"}})


class TestWorkspaceRegistry(ModelRegistrySuite):
    """An empty workspace for each test."""

    @pytest.fixture
    def registry(self, workspace: Any, emulator: AzureMLEmulator) -> ModelRegistry:
        """The registry of an empty workspace."""
        self.emulator = emulator
        return WorkspaceRegistry(workspace)

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte in the storage account: versions were uploaded in their order."""
        stored_files(self.emulator, b"the model")[model.version - 1].write_bytes(b"the modem")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change the manifest among the properties."""
        with changed_record(self.emulator, model.id) as record:
            record["properties"]["mnistkit_manifest"] = "{}"

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another object on a workspace that was connected to again."""
        return WorkspaceRegistry(connect())


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
