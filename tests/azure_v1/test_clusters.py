"""The real SDK creates, scales, lists and deletes clusters."""

from __future__ import annotations

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.exceptions import ComputeTargetException

from mnistkit.emulator import AzureMLEmulator, Fault


def create(workspace: Workspace, name: str = "cpu-cluster", **options: object) -> AmlCompute:
    """A cluster as the tutorial creates it."""
    options = {"vm_size": "STANDARD_D2_V2", "min_nodes": 0, "max_nodes": 4, **options}
    return ComputeTarget.create(workspace, name, AmlCompute.provisioning_configuration(**options))


def test_create_or_reuse(workspace: Workspace) -> None:
    """A cluster that isn't there is created; then it is there, with what it was asked for."""
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(workspace, "cpu-cluster")
    create(workspace, tags={"team": "digits"}, description="for tests").wait_for_completion(timeout_in_minutes=1)
    again = ComputeTarget(workspace, "cpu-cluster")
    assert (again.vm_size, again.provisioning_state) == ("STANDARD_D2_V2", "Succeeded")
    assert (again.tags, again.description) == ({"team": "digits"}, "for tests")
    assert list(workspace.compute_targets) == ["cpu-cluster"]


def test_status_shows_nodes(workspace: Workspace) -> None:
    """There are as many nodes as the minimum, and they are idle."""
    cluster = create(workspace, min_nodes=2, idle_seconds_before_scaledown=60)
    status = cluster.get_status().serialize()
    assert (status["currentNodeCount"], status["nodeStateCounts"]["idleNodeCount"]) == (2, 2)
    assert status["scaleSettings"] == {
        "minNodeCount": 2,
        "maxNodeCount": 4,
        "nodeIdleTimeBeforeScaleDown": "PT60S",
    }
    assert len(cluster.list_nodes()) == 2


def test_update(workspace: Workspace) -> None:
    """Scale settings can be changed."""
    cluster = create(workspace)
    cluster.update(min_nodes=1, max_nodes=2)
    cluster.wait_for_completion(timeout_in_minutes=1)
    settings = ComputeTarget(workspace, "cpu-cluster").scale_settings
    assert (settings.minimum_node_count, settings.maximum_node_count) == (1, 2)


def test_delete(workspace: Workspace) -> None:
    """A deleted cluster isn't there any more."""
    cluster = create(workspace)
    cluster.delete()
    cluster.wait_for_completion(is_delete_operation=True)
    assert workspace.compute_targets == {}


def test_no_quota(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """Without quota a cluster is there, Failed, and says why; the next one is fine."""
    emulator.inject(Fault("quota", match="cpu-cluster"))
    with pytest.raises(ComputeTargetException, match="quota"):
        create(workspace).wait_for_completion(timeout_in_minutes=1)
    cluster = ComputeTarget(workspace, "cpu-cluster")
    assert cluster.provisioning_state == "Failed"
    assert cluster.provisioning_errors[0]["error"]["code"] == "ClusterCoreQuotaReached"
    create(workspace, "other").wait_for_completion(timeout_in_minutes=1)


def test_vm_sizes(workspace: Workspace) -> None:
    """The sizes that can be had are listed; another one is refused, and the message lists them."""
    sizes = {size["name"]: size["vCPUs"] for size in AmlCompute.supported_vmsizes(workspace)}
    assert sizes["STANDARD_D2_V2"] == 2
    with pytest.raises(ComputeTargetException, match="STANDARD_D2_V2"):
        create(workspace, vm_size="STANDARD_NOTHING")
