"""Compute instances: records with a state, whose one node is this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.payloads import now
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.vm_sizes import find_vm_size

__all__ = ["COMPUTE_TYPE", "described_instance", "moved_instance", "new_instance"]

COMPUTE_TYPE = "ComputeInstance"
_ACTION_STATES = {"start": "Running", "restart": "Running", "stop": "Stopped"}


def new_instance(name: str, body: Mapping[str, Any], location: str, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a new instance, which runs.

    Args:
        name: Its name.
        body: The request for it.
        location: Its region, if the request names none.
        user: The user that it belongs to.
    """
    properties = body.get("properties") or {}
    inner = properties.get("properties") or {}
    return {
        "kind": COMPUTE_TYPE,
        "name": name,
        "vm_size": find_vm_size(str(inner.get("vmSize") or "STANDARD_DS3_V2")).name,
        "state": "Running",
        "subnet": inner.get("subnet"),
        "ssh": inner.get("sshSettings") or {},
        "user": dict(user),
        "identity": body.get("identity"),
        "tags": body.get("tags"),
        "description": properties.get("description"),
        "location": properties.get("computeLocation") or location,
        "created": now(),
        "modified": now(),
        "errors": [],
    }


def moved_instance(record: Mapping[str, Any], action: str) -> dict[str, Any]:
    """Return an instance's record after ``start``, ``stop`` or ``restart``.

    Raises:
        Refusal: 409: it is in that state already; 404: there is no such action.
    """
    if action not in _ACTION_STATES:
        raise Refusal(404, f"Compute instances have no action {action!r}.", code="ResourceNotFound")
    state = _ACTION_STATES[action]
    if record["state"] == state and action != "restart":
        raise Refusal(409, f"The compute instance {record['name']!r} is {state} already.", code="Conflict")
    return {**record, "state": state, "modified": now()}


def described_instance(record: Mapping[str, Any], scope: str, location: str) -> dict[str, Any]:
    """Return an instance in the shape of Azure's compute service."""
    user = record["user"]
    ssh = {"sshPublicAccess": "Disabled", "adminUserName": "azureuser", "sshPort": 50000, **record["ssh"]}
    details = {
        "vmSize": record["vm_size"],
        "state": record["state"],
        "subnet": record["subnet"],
        "sshSettings": ssh,
        "applications": [],
        "connectivityEndpoints": {"publicIpAddress": None, "privateIpAddress": "127.0.0.1"},
        "createdBy": {"userName": user["userName"], "userId": user["userObjectId"], "userOrgId": user["userTenantId"]},
        "errors": [],
        "applicationSharingPolicy": "Personal",
    }
    return {
        "id": f"{scope}/computes/{record['name']}",
        "name": record["name"],
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": location,
        "tags": record["tags"],
        "properties": {
            "computeType": COMPUTE_TYPE,
            "computeLocation": record["location"],
            "description": record["description"],
            "resourceId": None,
            "isAttachedCompute": False,
            "provisioningState": "Succeeded",
            "provisioningErrors": None,
            "createdOn": record["created"],
            "modifiedOn": record["modified"],
            "properties": details,
        },
    }
