"""Listings of blobs, as XML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any
from xml.etree import ElementTree as ET

from mnistkit.emulator.routing import Refusal

__all__ = ["http_date", "listing"]

_MAX_ENTRIES = 5000


def http_date(seconds: float) -> str:
    """Return a time as HTTP writes it; clients are strict about the day of the week."""
    return format_datetime(datetime.fromtimestamp(seconds, timezone.utc), usegmt=True)


def listing(
    endpoint: str, container: str, blobs: Sequence[tuple[str, Mapping[str, Any]]], query: Mapping[str, str]
) -> bytes:
    """Return one page of a container's listing.

    Args:
        endpoint: The account's URL.
        container: The container's name.
        blobs: All that begin with the prefix, sorted: each one's name, and its ``size``, ``modified``, ``etag``,
            ``md5``, ``type``, ``content_type`` and ``metadata``.
        query: What was asked: ``prefix``, ``delimiter``, ``marker`` and ``maxresults``.

    Raises:
        Refusal: 400: ``maxresults`` isn't a positive number.
    """
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    entries = [each for each in _entries(blobs, prefix, delimiter) if each[0] >= query.get("marker", "")]
    most = query.get("maxresults", str(_MAX_ENTRIES))
    if not most.isdigit() or not int(most):
        raise Refusal(
            400, f"'maxresults' is {most!r}: expected a positive number.", code="OutOfRangeQueryParameterValue"
        )
    size = min(int(most), _MAX_ENTRIES)
    root = ET.Element("EnumerationResults", ServiceEndpoint=endpoint, ContainerName=container)
    for name in ("Prefix", "Marker", "MaxResults", "Delimiter"):
        if name.lower() in query:
            ET.SubElement(root, name).text = query[name.lower()]
    found = ET.SubElement(root, "Blobs")
    for name, facts in entries[:size]:
        found.append(_prefix(name) if facts is None else _blob(name, facts, query))
    ET.SubElement(root, "NextMarker").text = entries[size][0] if len(entries) > size else None
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _entries(
    blobs: Sequence[tuple[str, Mapping[str, Any]]], prefix: str, delimiter: str
) -> list[tuple[str, Mapping[str, Any] | None]]:
    found: dict[str, Mapping[str, Any] | None] = {}
    for name, facts in blobs:
        head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if cut:
            found[f"{prefix}{head}{cut}"] = None
        else:
            found[name] = facts
    return sorted(found.items())


def _prefix(name: str) -> ET.Element:
    element = ET.Element("BlobPrefix")
    ET.SubElement(element, "Name").text = name
    return element


def _blob(name: str, facts: Mapping[str, Any], query: Mapping[str, str]) -> ET.Element:
    element = ET.Element("Blob")
    ET.SubElement(element, "Name").text = name
    properties = ET.SubElement(element, "Properties")
    values = {
        "Creation-Time": http_date(facts["modified"]),
        "Last-Modified": http_date(facts["modified"]),
        "Etag": facts["etag"].strip('"'),
        "Content-Length": str(facts["size"]),
        "Content-Type": facts["content_type"],
        "Content-MD5": facts["md5"] or "",
        "BlobType": facts["type"],
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
    }
    for key, value in values.items():
        ET.SubElement(properties, key).text = value
    if "metadata" in query.get("include", ""):
        metadata = ET.SubElement(element, "Metadata")
        for key, value in facts["metadata"].items():
            ET.SubElement(metadata, key).text = value
    return element
