"""Clusters (AmlCompute): records, whose node counts follow the jobs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.faults import Faults
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, check_name, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.instances import COMPUTE_TYPE, described_instance, moved_instance, new_instance
from mnistkit.emulator.services.nodes import Nodes, idle_seconds, scale_settings
from mnistkit.emulator.services.vm_sizes import VM_SIZES, find_vm_size
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["Clusters"]

_MANAGEMENT_HOST = "management.azure.com"
_REGION_PATH = "/subscriptions/{subscription_}/providers/Microsoft.MachineLearningServices/locations/{location}"
_LOCAL_TARGET = "local"
_SERVERLESS_TARGET = "serverless"  # as `mnistkit.emulator.jobs.job.SERVERLESS`
_SERVERLESS_NODES = 4
_RESERVED_NAMES = {_LOCAL_TARGET, _SERVERLESS_TARGET, "amlcompute", "containerinstance"}
_NAME_PATTERN = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,30}[A-Za-z0-9])")


class Clusters:
    """Azure's compute service. A cluster is there at once; after the fault ``quota`` it has no nodes and is Failed."""

    def __init__(self, workspace: Workspace, store: Store, faults: Faults, tokens: Tokens) -> None:
        self._workspace = workspace
        self._faults = faults
        self._identity = tokens.identity
        self._lock = store.lock
        self._table = store.table("clusters")
        self._nodes: dict[str, Nodes] = {}
        self._operations: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        one = "{scope}/computes/{name}"
        return (
            Route("GET", "{scope}/computes", self._list, host=_MANAGEMENT_HOST),
            Route("GET", "/rp/workspaces{scope}/computes", self._list),
            Route("GET", one, self._get, host=_MANAGEMENT_HOST),
            Route("GET", f"/rp/workspaces{one}", self._get),
            Route("PUT", one, self._create, host=_MANAGEMENT_HOST),
            Route("PATCH", one, self._update, host=_MANAGEMENT_HOST),
            Route("DELETE", one, self._delete, host=_MANAGEMENT_HOST),
            Route("POST", f"{one}/listNodes", self._list_nodes, host=_MANAGEMENT_HOST),
            Route("POST", f"{one}/{{action}}", self._move_instance, host=_MANAGEMENT_HOST),
            Route("POST", "{scope}/checkComputeNameAvailability", self._check_name, host=_MANAGEMENT_HOST),
            Route("GET", f"{_REGION_PATH}/vmSizes", self._vm_sizes, host=_MANAGEMENT_HOST),
            Route("GET", f"{_REGION_PATH}/workspaceOperations/{{operation}}", self._operation, host=_MANAGEMENT_HOST),
        )

    def max_nodes(self, target: str) -> int:
        """Return the maximum number of nodes of a target; ``local`` is one.

        Raises:
            Refusal: 404, if there is no such cluster; 400, if it is in state Failed.
        """
        if target == _LOCAL_TARGET:
            return 1
        if target == _SERVERLESS_TARGET:
            return _SERVERLESS_NODES
        cluster = self._find(target)
        if cluster.get("kind") == COMPUTE_TYPE:
            if cluster["state"] != "Running":
                raise Refusal(400, f"The compute instance {cluster['name']!r} is {cluster['state']}: start it first.")
            return 1
        if cluster["errors"]:
            raise Refusal(400, f"The cluster {cluster['name']!r} has no nodes: {cluster['errors'][0]['message']}")
        return int(cluster["scale"]["maxNodeCount"])

    def take(self, target: str, count: int) -> bool:
        """Occupy nodes for a job, if so many are free.

        Returns:
            Whether it has them now; give them back with `release`.

        Raises:
            Refusal: As `max_nodes` does.
        """
        with self._lock:
            maximum = self.max_nodes(target)
            nodes = self._nodes.setdefault(target.lower(), Nodes())
            if nodes.busy + count > maximum:
                return False
            nodes.take(count)
            return True

    def release(self, target: str, count: int) -> None:
        """Give nodes back; they stay for as long as the cluster keeps idle ones."""
        with self._lock:
            cluster = self._table.get(target.lower())
            seconds = idle_seconds(cluster["scale"]) if cluster and "scale" in cluster else 0.0
            self._nodes.setdefault(target.lower(), Nodes()).release(count, seconds)

    def _find(self, name: str) -> dict[str, Any]:
        cluster = self._table.get(name.lower())
        if cluster is None:
            raise Refusal(404, f"There is no compute target {name!r} in this workspace.", code="ResourceNotFound")
        return cluster

    def _list(self, request: Request) -> Response:
        return Response.json({"value": [self._shown(cluster) for cluster in self._table.values()]})

    def _get(self, request: Request, name: str) -> Response:
        return Response.json(self._shown(self._find(name)))

    def _create(self, request: Request, name: str) -> Response:
        check_name(name, _NAME_PATTERN, "a cluster")
        if name.lower() in _RESERVED_NAMES:
            raise Refusal(400, f"{name!r} is reserved: name the cluster otherwise.")
        body = body_of(request)
        properties = body.get("properties") or {}
        if properties.get("computeType") == COMPUTE_TYPE:
            return self._create_instance(name, body)
        if properties.get("computeType") != "AmlCompute":
            raise NotEmulated(
                "compute", f"The emulator has clusters (AmlCompute) alone, not {properties.get('computeType')!r}."
            )
        inner = properties.get("properties") or {}
        size = find_vm_size(str(inner.get("vmSize", "")))
        with self._lock:
            before = self._table.get(name.lower())
            if before is not None and (before["vm_size"] != size.name or "scale" not in before):
                raise Refusal(400, f"{name!r} has nodes of size {before['vm_size']}: delete it to have other ones.")
            fault = self._faults.take("quota", name)
            errors = [size.quota_error()] if fault else []
            cluster = {
                "name": name,
                "vm_size": size.name,
                "priority": inner.get("vmPriority") or "Dedicated",
                "scale": scale_settings(inner.get("scaleSettings") or {}),
                "subnet": inner.get("subnet"),
                "identity": body.get("identity"),
                "tags": body.get("tags"),
                "description": properties.get("description"),
                "location": properties.get("computeLocation") or self._workspace.location,
                "created": before["created"] if before else now(),
                "modified": now(),
                "errors": errors,
            }
            self._table[name.lower()] = cluster
        return Response.json(self._shown(cluster), 200 if before else 201, self._started(errors))

    def _create_instance(self, name: str, body: dict[str, Any]) -> Response:
        who = {
            "userName": "emulator",
            "userObjectId": self._identity.client_id,
            "userTenantId": self._identity.tenant_id,
        }
        with self._lock:
            if name.lower() in self._table:
                raise Refusal(409, f"There is a compute target {name!r} already.", code="Conflict")
            instance = new_instance(name, body, self._workspace.location, who)
            self._table[name.lower()] = instance
        return Response.json(self._shown(instance), 201, self._started([]))

    def _move_instance(self, request: Request, name: str, action: str) -> Response:
        with self._lock:
            record = self._find(name)
            if record.get("kind") != COMPUTE_TYPE:
                raise Refusal(400, f"{name!r} is a cluster: it has no {action!r}.")
            self._table[name.lower()] = moved_instance(record, action.lower())
        return Response.json({}, 202, self._started([]))

    def _check_name(self, request: Request) -> Response:
        sent = body_of(request)
        name = str(sent.get("Name") or sent.get("name") or "")
        is_free = _NAME_PATTERN.fullmatch(name) is not None and name.lower() not in {*self._table, *_RESERVED_NAMES}
        why = None if is_free else f"{name!r} is taken, or isn't a name of a compute instance."
        return Response.json({"nameAvailable": is_free, "reason": why, "message": why})

    def _update(self, request: Request, name: str) -> Response:
        inner = (body_of(request).get("properties") or {}).get("properties") or {}
        if set(inner) != {"scaleSettings"}:
            raise NotEmulated("compute", f"Only scaleSettings of a cluster can be changed here, not {sorted(inner)}.")
        with self._lock:
            if "scale" not in self._find(name):
                raise Refusal(400, f"{name!r} is a compute instance: it doesn't scale.")
            with self._table.change(name.lower()) as cluster:
                cluster["scale"] = scale_settings({**cluster["scale"], **inner["scaleSettings"]})
                cluster["modified"] = now()
        return Response.json(self._shown(cluster), headers=self._started([]))

    def _delete(self, request: Request, name: str) -> Response:
        with self._lock:
            self._find(name)
            del self._table[name.lower()]
        return Response.json({}, 202, self._started([]))

    def _list_nodes(self, request: Request, name: str) -> Response:
        counts = self._counts(self._find(name))
        states = ["running"] * counts["running"] + ["idle"] * counts["idle"]
        nodes = [{"nodeId": f"node-{number}", "nodeState": state} for number, state in enumerate(states)]
        return Response.json({"nodes": nodes})

    def _vm_sizes(self, request: Request, location: str) -> Response:
        sizes = [size.shown() for size in VM_SIZES]
        return Response.json({"amlCompute": sizes, "value": sizes})  # for either version of the SDK

    def _started(self, errors: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Return the headers with the address of an operation, which has finished already."""
        number = str(uuid.uuid4())
        error = {**errors[0], "statusCode": 409} if errors else None
        self._operations[number] = {"status": "Failed", "error": error} if error else {"status": "Succeeded"}
        region = _REGION_PATH.format(subscription_=self._workspace.subscription_id, location=self._workspace.location)
        url = f"https://{_MANAGEMENT_HOST}{region}/workspaceOperations/{number}?api-version=2021-07-01"
        if self._workspace.is_further:  # nothing else in the address leads to it
            url += f"&workspace={self._workspace.name}"
        return {"Azure-AsyncOperation": url}

    def _operation(self, request: Request, location: str, operation: str) -> Response:
        if operation not in self._operations:
            raise Refusal(404, f"There is no operation {operation!r}.", code="ResourceNotFound")
        return Response.json({"id": operation, **self._operations[operation]})

    def _counts(self, cluster: dict[str, Any]) -> dict[str, int]:
        if cluster["errors"] or "scale" not in cluster:
            return {"running": 0, "idle": 0}
        with self._lock:
            nodes = self._nodes.setdefault(cluster["name"].lower(), Nodes())
            least, most = cluster["scale"]["minNodeCount"], cluster["scale"]["maxNodeCount"]
            return {"running": nodes.busy, "idle": max(0, min(max(least - nodes.busy, nodes.idle), most - nodes.busy))}

    def _shown(self, cluster: dict[str, Any]) -> dict[str, Any]:
        if cluster.get("kind") == COMPUTE_TYPE:
            return described_instance(cluster, self._workspace.scope, self._workspace.location)
        counts = self._counts(cluster)
        total = counts["running"] + counts["idle"]
        details = {
            "vmSize": cluster["vm_size"],
            "vmPriority": cluster["priority"],
            "scaleSettings": cluster["scale"],
            "currentNodeCount": total,
            "targetNodeCount": total,
            "nodeStateCounts": {
                "preparingNodeCount": 0,
                "runningNodeCount": counts["running"],
                "idleNodeCount": counts["idle"],
                "unusableNodeCount": 0,
                "leavingNodeCount": 0,
                "preemptedNodeCount": 0,
            },
            "allocationState": "Steady",
            "allocationStateTransitionTime": cluster["modified"],
            "errors": None,
            "remoteLoginPortPublicAccess": "NotSpecified",
            "subnet": cluster["subnet"],
            "osType": "Linux",
            "enableNodePublicIp": True,
        }
        shown = {
            "id": f"{self._workspace.scope}/computes/{cluster['name']}",
            "name": cluster["name"],
            "type": "Microsoft.MachineLearningServices/workspaces/computes",
            "location": self._workspace.location,
            "tags": cluster["tags"],
            "properties": {
                "computeType": "AmlCompute",
                "computeLocation": cluster["location"],
                "description": cluster["description"],
                "resourceId": None,
                "isAttachedCompute": False,
                "provisioningState": "Failed" if cluster["errors"] else "Succeeded",
                "provisioningErrors": [{"error": error} for error in cluster["errors"]] or None,
                "createdOn": cluster["created"],
                "modifiedOn": cluster["modified"],
                "properties": details,
            },
        }
        return shown | ({"identity": cluster["identity"]} if cluster["identity"] else {})  # the SDK can't take null
