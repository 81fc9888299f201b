"""The records of web services, and checks of what is requested."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_texts, check_types, now

__all__ = ["GIVEN", "KEYS", "check", "failure", "new_key", "new_record", "refuse_unemulated"]

KEYS = ("primaryKey", "secondaryKey")
GIVEN = (
    "name", "description", "kvTags", "properties", "keys", "computeType", "environmentImageRequest", "location",
    "containerResourceRequirements", "authEnabled", "appInsightsEnabled", "overwrite", "sslEnabled", "dataCollection",
    "sslCertificate", "sslKey", "cname", "dnsNameLabel", "encryptionProperties", "vnetConfiguration",
)  # fmt: skip


def new_record(sent: dict[str, Any], location: str) -> dict[str, Any]:
    """Return a service's record.

    Args:
        sent: What it was asked for with.
        location: Azure's region, if it doesn't say.
    """
    time, asked = now(), sent.get("containerResourceRequirements") or {}
    cores, memory = asked.get("cpu") or 0.1, asked.get("memoryInGB") or 0.5
    keys = {key: (sent.get("keys") or {}).get(key) or new_key() for key in KEYS}
    return {
        "id": sent["name"],
        "name": sent["name"],
        "computeType": "ACI",
        "description": sent.get("description"),
        "kvTags": sent.get("kvTags") or {},
        "properties": sent.get("properties") or {},
        "createdTime": time,
        "updatedTime": time,
        "createdBy": {"userName": "emulator"},
        "location": sent.get("location") or location,
        "authEnabled": bool(sent.get("authEnabled")),
        "appInsightsEnabled": bool(sent.get("appInsightsEnabled")),
        "containerResourceRequirements": {
            "cpu": cores, "cpuLimit": cores, "memoryInGB": memory, "memoryInGBLimit": memory, "gpu": None,
        },
        **dict.fromkeys(("cname", "sslCertificate", "sslKey", "publicFqdn", "imageId", "error")),
        "sslEnabled": False,
        "publicIp": "127.0.0.1",
        "environmentImageRequest": sent["environmentImageRequest"],
        "modelIds": [],
        "keys": keys,
    }  # fmt: skip


def new_key() -> str:
    """Return a key that opens a service."""
    return secrets.token_urlsafe(24)


def check(sent: Mapping[str, Any]) -> None:
    """Check the types of what is sent for a service, or known of it.

    Raises:
        Refusal: 400: it hasn't.
    """
    check_types(sent, description=str, location=str, computeType=str, keys=dict, environmentImageRequest=dict)
    check_types(sent, containerResourceRequirements=dict, dataCollection=dict)
    check_texts(sent, "kvTags", "properties")
    check_types(sent.get("keys") or {}, **dict.fromkeys(KEYS, str))


def refuse_unemulated(sent: Mapping[str, Any]) -> None:
    """Check that a service asks for nothing that isn't emulated.

    Raises:
        Refusal: 400: it asks for what isn't emulated.
    """
    if sent["computeType"] != "ACI":
        raise NotEmulated("web services", f"Web services on {sent['computeType']!r} aren't emulated, only on ACI.")
    asked = [
        key
        for key in ("sslEnabled", "sslCertificate", "sslKey", "cname", "dnsNameLabel", "encryptionProperties")
        if sent.get(key)
    ]
    asked += [key for key in ("vnetConfiguration",) if sent.get(key)]
    asked += [f"dataCollection.{key}" for key, value in (sent.get("dataCollection") or {}).items() if value]
    if asked:
        raise NotEmulated("web services", f"The emulator's web services can't do {asked}.")


def failure(message: str, details: str) -> dict[str, Any]:
    """Return a service's error, as Azure's container instances tell it."""
    return {
        "code": "AciDeploymentFailed",
        "statusCode": 400,
        "message": message,
        "details": [{"code": "CrashLoopBackOff", "message": details}] if details else [],
    }
