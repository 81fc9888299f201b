"""What goes wrong between a job and Azure, through the SDK v2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure_shared.compute_faults import ComputeFaultSuite, check_whole, finished
from mnistkit.azureml.v2 import AmlCompute
from mnistkit.emulator import Fault
from mnistkit.errors import NotFoundError
from mnistkit.jobs.job import ScriptJob

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator


class TestAmlCompute(ComputeFaultSuite):
    """Jobs on a cluster, and one without."""

    submission = "PUT */jobs/"

    def cluster(self, workspace: Any, name: str, **options: Any) -> AmlCompute:
        """Return the backend on a cluster of that name."""
        return AmlCompute(workspace, name=name, **options)

    @pytest.mark.parametrize(
        "fault",
        [Fault("unavailable", match="PUT */codes/"), Fault("reset", match="PUT *.blob.")],
        ids=lambda fault: f"{fault.kind} {fault.match}",
    )
    def test_an_upload_is_repeated(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path, fault: Fault
    ) -> None:
        """A folder whose upload is refused or cut off is sent again, and exactly one job starts."""
        emulator.inject(fault)
        check_whole(finished(backend, job), starts)
        assert len(backend.runs()) == 1

    def test_a_serverless_job_needs_no_cluster(self, workspace: Any, job: ScriptJob, starts: Path) -> None:
        """A serverless job runs without a cluster, and none is made."""
        backend = AmlCompute(workspace, name="never-made", serverless=True)
        check_whole(finished(backend, job), starts)
        with pytest.raises(NotFoundError):
            backend.status()
