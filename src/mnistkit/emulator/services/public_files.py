"""Responses of public hosts: files, in ranges, and listings of containers."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from mnistkit.emulator.payloads import allow_query
from mnistkit.emulator.routing import Refusal, Request, Response
from mnistkit.emulator.services.blob_listing import http_date, listing

__all__ = ["CONTENT_TYPE", "container_response", "file_response", "is_listing", "storage_headers"]

CONTENT_TYPE = "application/octet-stream"
_RANGE_PATTERN = re.compile(r"bytes=(\d+)-(\d*)")
_SIGNATURE_QUERY = ("sv", "sig", "sp", "st", "se", "sr", "spr", "sip", "ss", "srt", "si")  # not needed, not checked
_CONTAINER_QUERY = ("restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include", "timeout")


def is_listing(request: Request) -> bool:
    """Return True if a request is for the names of a container's blobs."""
    return request.query.get("comp") == "list"


def container_response(request: Request, container: str, files: Iterable[tuple[str, Path]]) -> Response:
    """Return a public container's properties, or a page of its listing.

    Args:
        request: A ``GET`` or ``HEAD`` of the container.
        container: Its name.
        files: The names and files of its blobs; read for a listing alone.

    Raises:
        Refusal: 400: it requests something else.
    """
    allow_query(request, *_CONTAINER_QUERY, *_SIGNATURE_QUERY)
    query = request.query
    if query.get("restype") != "container" or query.get("comp") not in {None, "list", "metadata", "acl"}:
        raise Refusal(400, "A container is requested with restype=container.", code="InvalidUri")
    headers = storage_headers() | {"x-ms-blob-public-access": "container"}
    if not is_listing(request):
        return Response(headers=headers | {"ETag": '"0x1"', "Last-Modified": http_date(0)}, content_type=CONTENT_TYPE)
    facts = []
    for name, file in sorted((name, file) for name, file in files if name.startswith(query.get("prefix", ""))):
        state = file.stat()
        facts.append((name, {"size": state.st_size, "modified": state.st_mtime, "etag": _etag(state), "md5": None,
                             "type": "BlockBlob", "content_type": CONTENT_TYPE, "metadata": {}}))  # fmt: skip
    body = listing(f"https://{request.host}/", container, facts, query)
    return Response(headers=headers, body=body, content_type="application/xml")


def file_response(request: Request, file: Path) -> Response:
    """Return a file, or the requested range of it, as a block blob.

    Raises:
        Refusal: 400: the range isn't one; 416: it is beyond the file's end.
    """
    state = file.stat()
    first, last = _range(request, state.st_size)
    headers = storage_headers() | {
        "ETag": _etag(state),
        "Last-Modified": http_date(state.st_mtime),
        "x-ms-creation-time": http_date(state.st_mtime),
        "x-ms-blob-type": "BlockBlob",
        "Accept-Ranges": "bytes",
    }
    status = 200
    if last - first + 1 < state.st_size or "range" in request.headers or "x-ms-range" in request.headers:
        status = 206
        headers["Content-Range"] = f"bytes {first}-{last}/{state.st_size}"
    if request.method == "HEAD":
        length = {"Content-Length": str(last - first + 1)}
        return Response(status=status, headers=headers | length, content_type=CONTENT_TYPE)
    with file.open("rb") as stream:
        stream.seek(first)
        body = stream.read(last - first + 1)
    return Response(status=status, headers=headers, body=body, content_type=CONTENT_TYPE)


def storage_headers() -> dict[str, str]:
    """Return the headers of each of Azure storage's responses."""
    return {"x-ms-version": "2019-02-02", "x-ms-request-id": secrets.token_hex(16)}


def _range(request: Request, size: int) -> tuple[int, int]:
    text = request.headers.get("x-ms-range") or request.headers.get("range")
    if text is None:
        return 0, size - 1
    found = _RANGE_PATTERN.fullmatch(text)
    if found is None:
        raise Refusal(400, f"The emulator doesn't know the range {text!r}.", code="InvalidHeaderValue")
    first, last = int(found[1]), min(int(found[2] or size), size - 1)
    if first > last:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, f"The range {text!r} is beyond the {size} bytes.", code="InvalidRange", headers=headers)
    return first, last


def _etag(state: os.stat_result) -> str:
    return f'"0x{state.st_mtime_ns:X}"'
