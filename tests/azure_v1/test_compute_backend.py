"""The Azure backend keeps the contract of compute backends: the real SDK, against the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("azureml.core")

from mnistkit.azureml import AmlCompute
from mnistkit.azureml.properties import PREFIX
from mnistkit.testing import ComputeBackendSuite

if TYPE_CHECKING:
    from mnistkit.interfaces import ComputeBackend
    from mnistkit.runs.run import Run


class TestAmlCompute(ComputeBackendSuite):
    """A cluster of a workspace, submitted to as the tutorial does."""

    deadline = 120.0
    ends_leftovers = False
    detaches = True

    @pytest.fixture
    def backend(self, workspace: object) -> ComputeBackend:
        """A cluster without runs; it is created with the first one."""
        return AmlCompute(workspace, name="contract", max_nodes=2)

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another object of the same workspace."""
        assert isinstance(backend, AmlCompute)
        return AmlCompute(backend.workspace, name="contract", max_nodes=2)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Add a part to the properties that hold the job: what is there can't be changed."""
        assert isinstance(backend, AmlCompute)
        backend._reader._details.clear()
        handle = backend._history.handle(run.id)
        known, number = handle.get_properties(), 1
        while f"{PREFIX}job_part{number}" in known:
            number += 1
        handle.add_properties({f"{PREFIX}job_part{number}": "{"})
