"""What goes wrong between a job and Azure, through the SDK v1."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")

from azure_shared.compute_faults import DEADLINE, ComputeFaultSuite, NoData, check_whole
from mnistkit.azureml import AmlCompute
from mnistkit.azureml.calls import call
from mnistkit.emulator import Fault
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.run import Run

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator


class TestAmlCompute(ComputeFaultSuite):
    """Jobs on a cluster."""

    submission = "/snapshotrun"

    def cluster(self, workspace: Any, name: str, **options: Any) -> AmlCompute:
        """Return the backend on a cluster of that name."""
        return AmlCompute(workspace, name=name, submit_with="script_run_config", **options)

    def test_a_401_in_mid_run_is_survived(
        self, emulator: AzureMLEmulator, backend: Any, job: ScriptJob, starts: Path
    ) -> None:
        """A token that expires while a run is followed is renewed by the SDK: the run is followed to its end."""
        run = Run(backend, backend.submit(job, NoData()))
        emulator.inject(Fault("unauthorized", match=f"GET */runs/{run.id}", times=1, after=1))
        check_whole(run.wait(DEADLINE), starts)


def test_a_call_that_hangs_is_given_up() -> None:
    """The deadline holds for whatever the SDK waits for."""
    with pytest.raises(TimeoutError, match="napping"):
        call("napping", time.sleep, 5, seconds=0.1)
