"""What goes wrong between a job and Azure, through the SDK v1."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("azureml.core")

from azure_shared.compute_faults import ComputeFaultSuite
from mnistkit.azureml import AmlCompute
from mnistkit.azureml.calls import call


class TestAmlCompute(ComputeFaultSuite):
    """Jobs on a cluster."""

    submission = "/snapshotrun"

    def cluster(self, workspace: Any, name: str, **options: Any) -> AmlCompute:
        """Return the backend on a cluster of that name."""
        return AmlCompute(workspace, name=name, submit_with="script_run_config", **options)


def test_a_call_that_hangs_is_given_up() -> None:
    """The deadline holds for whatever the SDK waits for."""
    with pytest.raises(TimeoutError, match="napping"):
        call("napping", time.sleep, 5, seconds=0.1)
