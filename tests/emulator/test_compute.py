"""Clusters, as plain HTTP, and as jobs see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.faults import Fault, Faults
from mnistkit.emulator.routing import Refusal, Request
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Identity, Tokens
from mnistkit.emulator.workspace import Workspace

if TYPE_CHECKING:
    from emulator.conftest import Client

WORKSPACE = Workspace(
    subscription_id="s", resource_group="g", name="w", id="i", location="here", storage_account="a", url="http://x"
)


def payload(least: int = 0, most: int = 2, idle: str = "PT120S", **changes: Any) -> dict[str, Any]:
    """What creates a cluster."""
    scale = {"minNodeCount": least, "maxNodeCount": most, "nodeIdleTimeBeforeScaleDown": idle}
    inner = {"vmSize": "Standard_D2_v2", "vmPriority": "dedicated", "scaleSettings": scale, **changes}
    return {"location": "here", "properties": {"computeType": "AmlCompute", "properties": inner}}


class Cluster:
    """One cluster of a client's."""

    def __init__(self, client: Client, name: str = "small") -> None:
        self._client = client
        self._url = f"https://management.azure.com{client.emulator.workspace.scope}/computes/{name}"

    def ask(self, method: str, body: Any = None, path: str = "") -> Any:
        """One request about it; the answer."""
        return self._client.ask(method, self._url + path, body=body)

    def outcome(self, answer: Any) -> dict[str, Any]:
        """How the operation that an answer started has ended."""
        ended: dict[str, Any] = self._client.ask("GET", answer.headers["Azure-AsyncOperation"]).json()
        return ended


@pytest.fixture
def cluster(client: Client) -> Cluster:
    """A cluster that isn't there yet."""
    return Cluster(client)


def test_create(cluster: Cluster) -> None:
    """A cluster is created at once, and is what was asked for; creating it again changes its scale."""
    assert cluster.ask("GET").status == 404
    answer = cluster.ask("PUT", payload())
    assert answer.status == 201
    assert cluster.outcome(answer)["status"] == "Succeeded"
    assert cluster.ask("PUT", payload(most=3)).status == 200
    shown = cluster.ask("GET").json()["properties"]
    assert shown["provisioningState"] == "Succeeded"
    assert (shown["properties"]["vmSize"], shown["properties"]["scaleSettings"]["maxNodeCount"]) == (
        "STANDARD_D2_V2",
        3,
    )


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (payload(3, 2), "small"),
        (payload(-1, 2), "small"),
        (payload(0, None), "small"),  # type: ignore[arg-type]
        (payload(idle="soon"), "small"),
        (payload(vmSize="STANDARD_NOTHING"), "small"),
        ({"properties": {"computeType": "AKS"}}, "small"),
        ([], "small"),
        (None, "small"),
        (payload(), "local"),
        (payload(), "-small"),
        (payload(), "x" * 33),
        (payload(), "a%2Fb"),
    ],
)
def test_refused(client: Client, body: Any, name: str) -> None:
    """What Azure refuses is refused, and nothing is there afterwards."""
    assert Cluster(client, name).ask("PUT", body).status == 400
    listed = client.ask("GET", f"/rp/workspaces{client.emulator.workspace.scope}/computes").json()
    assert listed == {"value": []}


def test_another_size(cluster: Cluster) -> None:
    """A cluster's nodes stay of their size."""
    cluster.ask("PUT", payload())
    assert cluster.ask("PUT", payload(vmSize="STANDARD_D3_V2")).status == 400


def test_update(cluster: Cluster) -> None:
    """Scale settings can be changed, nothing else."""
    assert cluster.ask("PATCH", {}).status in {400, 404}
    cluster.ask("PUT", payload())
    settings = {"minNodeCount": 1, "maxNodeCount": 5}
    answer = cluster.ask("PATCH", {"properties": {"properties": {"scaleSettings": settings}}})
    assert cluster.outcome(answer)["status"] == "Succeeded"
    shown = cluster.ask("GET").json()["properties"]["properties"]
    assert shown["scaleSettings"] == {**settings, "nodeIdleTimeBeforeScaleDown": "PT120S"}
    assert shown["currentNodeCount"] == 1
    assert cluster.ask("PATCH", {"properties": {"properties": {"vmSize": "STANDARD_D3_V2"}}}).status == 400


def test_delete(cluster: Cluster) -> None:
    """A deleted cluster is gone; there is nothing to delete then."""
    cluster.ask("PUT", payload())
    answer = cluster.ask("DELETE")
    assert (answer.status, cluster.outcome(answer)["status"]) == (202, "Succeeded")
    assert cluster.ask("GET").status == 404
    assert cluster.ask("DELETE").status == 404


def test_quota(client: Client, cluster: Cluster) -> None:
    """Without quota the cluster is there, Failed, without nodes; jobs are refused with the reason."""
    client.emulator.inject(Fault("quota"))
    answer = cluster.ask("PUT", payload(least=1))
    ended = cluster.outcome(answer)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ClusterCoreQuotaReached")
    shown = cluster.ask("GET").json()["properties"]
    assert (shown["provisioningState"], shown["properties"]["currentNodeCount"]) == ("Failed", 0)
    assert shown["provisioningErrors"][0]["error"]["code"] == "ClusterCoreQuotaReached"
    assert cluster.ask("PUT", payload()).status == 200
    assert cluster.ask("GET").json()["properties"]["provisioningState"] == "Succeeded"


def test_unknown_operations(client: Client) -> None:
    """An operation that never was isn't there."""
    mine = client.emulator.workspace
    region = f"/subscriptions/{mine.subscription_id}/providers/Microsoft.MachineLearningServices/locations/here"
    assert client.ask("GET", f"https://management.azure.com{region}/workspaceOperations/x").status == 404


def counts(clusters: Clusters) -> tuple[int, int]:
    """The busy and the idle nodes of the one cluster, as they are shown."""
    route = next(route for route in clusters.routes if route.pattern.endswith("/computes"))
    shown = json.loads(route.handler(Request(method="GET", host="", path="")).body)["value"][0]
    states = shown["properties"]["properties"]["nodeStateCounts"]
    return states["runningNodeCount"], states["idleNodeCount"]


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    """Clusters of a store of their own."""
    store = Store(tmp_path / "store")
    yield Clusters(WORKSPACE, store, Faults(), Tokens(Identity.of(tmp_path)))
    store.close()


def create(clusters: Clusters, **options: Any) -> None:
    """Have a cluster ``small``."""
    route = next(route for route in clusters.routes if route.methods == "PUT")
    body = json.dumps(payload(**options)).encode()
    route.handler(Request(method="PUT", host="", path="", body=body), name="small")


def test_nodes_follow_the_jobs(clusters: Clusters) -> None:
    """Nodes come with jobs up to the maximum, stay idle for a while, and go down to the minimum."""
    create(clusters, least=1, most=3, idle="PT120S")
    assert counts(clusters) == (0, 1)
    assert clusters.take("small", 2)
    assert counts(clusters) == (2, 0)
    assert not clusters.take("small", 2)
    assert clusters.take("SMALL", 1)
    assert counts(clusters) == (3, 0)
    clusters.release("small", 3)
    assert counts(clusters) == (0, 3)
    create(clusters, least=1, most=3, idle="PT0S")
    assert clusters.take("small", 3)
    clusters.release("small", 3)
    assert counts(clusters) == (0, 1)


def test_nodes_of_targets(clusters: Clusters) -> None:
    """This machine is one node; a cluster has its maximum; an unknown one is refused."""
    create(clusters, most=3)
    assert (clusters.max_nodes("local"), clusters.max_nodes("small")) == (1, 3)
    with pytest.raises(Refusal, match="no compute target 'other'"):
        clusters.max_nodes("other")


def test_a_deleted_cluster_takes_its_nodes_back(clusters: Clusters) -> None:
    """A job that ends after its cluster was deleted does no harm."""
    create(clusters)
    clusters.take("small", 1)
    route = next(route for route in clusters.routes if route.methods == "DELETE")
    route.handler(Request(method="DELETE", host="", path=""), name="small")
    clusters.release("small", 1)
    create(clusters)
    assert counts(clusters) == (0, 0)
