"""Azure's blob storage: containers of blobs, addressed by signed URLs."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import MAX_FILE_BYTES, Handler, Refusal, Request, Response, Route
from mnistkit.emulator.services.blob_files import (
    ARTIFACT_CONTAINER,
    BlobFiles,
    check_names,
    md5_of,
    name_of_alias,
)
from mnistkit.emulator.services.blob_listing import http_date, listing
from mnistkit.emulator.services.blob_signatures import Signatures
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["Blobs"]

_SERVICE_VERSION = "2019-12-12"
_RANGE_PATTERN = re.compile(r"bytes=(\d*)-(\d*)")
_URL_SECONDS = 24 * 3600.0
_KIND_PARAMETERS = ("comp", "restype")


class Blobs(BlobFiles):
    """The workspace's storage account."""

    def __init__(self, workspace: Workspace, store: Store, tokens: Tokens) -> None:
        super().__init__(store)
        self._workspace = workspace
        # derived, so that a workspace that begins anew takes what is remembered: the SDK's engine keeps signatures
        signing_key = tokens.identity.signing_key.encode()
        self.account_key = base64.b64encode(hmac.digest(signing_key, b"storage account", "sha512")).decode()
        self._signatures = Signatures(workspace.storage_account, self.account_key)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        host = self._workspace.blob_host
        return (
            Route("GET|HEAD|PUT|DELETE", "/{container}", _with_xml(self._container), host=host, is_open=True),
            Route(
                "GET|HEAD|PUT|DELETE",
                "/{container}/{path*}",
                _with_xml(self._blob),
                host=host,
                is_open=True,
                max_bytes=MAX_FILE_BYTES,
            ),
        )

    def url(self, container: str, name: str, permissions: str = "r", seconds: float = _URL_SECONDS) -> str:
        """Return a signed URL of a blob, whether or not it is there.

        Args:
            container: Its container.
            name: Its name.
            permissions: Of ``r`` read, ``a`` append, ``c`` create, ``w`` write, ``d`` delete.
            seconds: How long it holds; a negative number gives one that has expired.
        """
        check_names(container, name)
        signature = self._signatures.sign(container, name, permissions, seconds)
        return f"https://{self._workspace.blob_host}/{container}/{quote(name)}?{signature}"

    def container_sas(self, container: str, permissions: str = "racwdl", seconds: float = _URL_SECONDS) -> str:
        """Return a signature for all blobs of a container, without a question mark."""
        check_names(container, "any")
        return self._signatures.sign(container, None, permissions, seconds)

    def name_of(self, url: str) -> tuple[str, str]:
        """Return the container and the name in a URL of this account.

        Raises:
            Refusal: 400: it is of another.
        """
        found = re.fullmatch(rf"https://{re.escape(self._workspace.blob_host)}/([^/?]+)/([^?]+)(?:\?.*)?", url)
        if found is None:
            raise Refusal(400, f"{url.partition('?')[0]!r} isn't a blob of {self._workspace.blob_host}.")
        container, name = unquote(found[1]), unquote(found[2])
        check_names(container, name)
        return container, name

    # What clients ask

    def _container(self, request: Request, container: str) -> Response:
        check_names(container, "any")
        if request.query.get("restype") != "container":
            raise Refusal(400, "The blob has no name.", code="InvalidUri")
        headers = self._headers({"ETag": '"0x1"', "Last-Modified": http_date(0)})
        if request.method in {"GET", "HEAD"} and request.query.get("comp") == "list":
            self._signatures.check(request, container, None, "l")
            found = [
                (name, self.facts(container, name)) for name in self.names(container, request.query.get("prefix", ""))
            ]
            body = listing(f"https://{self._workspace.blob_host}/", container, found, request.query)
            return Response(headers=headers, body=body, content_type="application/xml")
        if request.method in {"GET", "HEAD"} and "comp" not in request.query:
            self._signatures.check(request, container, None, "rl")
            return Response(headers=headers, content_type="application/xml")
        if request.method == "PUT" and "comp" not in request.query:
            self._signatures.check(request, container, None, "cw")
            return Response(status=201, headers=headers, content_type="application/xml")
        raise _unsupported(request)

    def _blob(self, request: Request, container: str, path: str) -> Response:
        check_names(container, path)
        name = path
        if container == ARTIFACT_CONTAINER and (container, path) not in self:
            name = name_of_alias(path)
        if request.method in {"GET", "HEAD"}:
            self._signatures.check(request, container, path, "r")
            if request.query.get("comp") not in {None, "metadata"}:
                raise _unsupported(request)
            return self._get(request, container, name)
        if request.method == "DELETE":
            self._signatures.check(request, container, path, "d")
            self.delete(container, name)
            return Response(status=202, headers=self._headers({}))
        return self._put(request, container, path, name)

    def _get(self, request: Request, container: str, name: str) -> Response:
        facts = self.facts(container, name)
        size: int = facts["size"]
        headers = self._headers(_describe(facts)) | {"Accept-Ranges": "bytes"}
        _check_conditions(request, facts["etag"])
        asked = request.headers.get("x-ms-range") or request.headers.get("range")
        first, last = _range(asked, size) if asked else (0, size - 1)
        status = 206 if asked else 200
        if status == 206:  # noqa: PLR2004 - HTTP's own number
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            headers.pop("Content-MD5", None)
        if request.method == "HEAD":
            headers["Content-Length"] = str(last - first + 1)
            return Response(status=status, headers=headers, content_type=facts["content_type"])
        with self.file(container, name).open("rb") as stream:
            stream.seek(first)
            body = stream.read(last - first + 1)
        return Response(status=status, headers=headers, body=body, content_type=facts["content_type"])

    def _put(self, request: Request, container: str, path: str, name: str) -> Response:
        kind = request.query.get("comp", "")
        is_new = (container, name) not in self
        allowed = {"appendblock": "aw", "metadata": "w", "properties": "w"}.get(
            kind, "wc" if is_new or kind == "block" else "w"
        )
        self._signatures.check(request, container, path, allowed)
        if "x-ms-copy-source" in request.headers:
            raise _unsupported(request)
        if kind not in {"metadata", "properties"}:
            _check_md5(request)
        if request.headers.get("if-none-match") == "*" and not is_new and kind in {"", "blocklist"}:
            raise Refusal(409, f"The blob {name!r} is there already.", code="BlobAlreadyExists")
        headers: dict[str, str] = {"x-ms-request-server-encrypted": "true"}
        if kind == "":
            blob_type = request.headers.get("x-ms-blob-type", "BlockBlob")
            if blob_type not in {"BlockBlob", "AppendBlob"}:
                raise _unsupported(request)
            about = _about(request) | {"type": blob_type}
            self.write(
                container, name, request.open(), **(about if blob_type == "BlockBlob" else about | {"md5": None})
            )
        elif kind == "block":
            md5 = self.stage(container, name, _block_id(request.query.get("blockid", "")), request.open())
            return Response(status=201, headers=self._headers(headers | {"Content-MD5": md5}))
        elif kind == "blocklist":
            self._join(request, container, name)
        elif kind == "appendblock":
            position = request.headers.get("x-ms-blob-condition-appendpos", "")
            with request.open() as body:
                offset, count = self.append(container, name, body, position)
            headers |= {"x-ms-blob-append-offset": str(offset), "x-ms-blob-committed-block-count": str(count)}
        elif kind in {"metadata", "properties"}:
            changed = "metadata" if kind == "metadata" else "content_type"
            self.describe(container, name, **{changed: _about(request)[changed]})
        else:
            raise _unsupported(request)
        status = 200 if kind in {"metadata", "properties"} else 201
        return Response(status=status, headers=self._headers(_describe(self.facts(container, name)) | headers))

    def _join(self, request: Request, container: str, name: str) -> None:
        try:
            asked = ET.fromstring(request.body)  # noqa: S314 - expat bounds entities; the sender holds a signature
        except ET.ParseError as error:
            raise Refusal(400, f"The block list isn't XML: {error}.", code="InvalidXmlDocument") from None
        if any(each.tag == "Committed" for each in asked):
            raise Refusal(400, "This emulator forgets a blob's blocks when it is made.", code="InvalidBlockList")
        self.join(container, name, [(each.text or "").strip() for each in asked], **_about(request))

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        now = datetime.now(timezone.utc).timestamp()
        return {
            "x-ms-version": _SERVICE_VERSION,
            "x-ms-request-id": secrets.token_hex(16),
            "Date": http_date(now),
            **more,
        }


def _with_xml(handler: Handler) -> Handler:
    """Return a handler whose refusals are XML, as those of Azure's storage."""

    def handle(request: Request, **parts: str) -> Response:
        try:
            return handler(request, **parts)
        except NotEmulated:
            raise
        except Refusal as refusal:
            body = f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message></Error>"
            return Response(
                status=refusal.status,
                headers={**refusal.headers, "x-ms-error-code": refusal.code},
                body=f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode(),
                content_type="application/xml",
            )

    return handle


def _check_md5(request: Request) -> None:
    given = request.headers.get("content-md5")
    if not given:
        return
    with request.open() as body:
        found = md5_of(body)
    if given != found:
        raise Refusal(400, "The content isn't what its MD5 says.", code="Md5Mismatch")


def _check_conditions(request: Request, etag: str) -> None:
    wanted = request.headers.get("if-match")
    if wanted not in {None, "*", etag}:
        raise Refusal(412, "The blob has changed meanwhile.", code="ConditionNotMet")


def _range(text: str, size: int) -> tuple[int, int]:
    found = _RANGE_PATTERN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise Refusal(400, f"The range {text!r} can't be understood.", code="InvalidHeaderValue")
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first > last:
        raise Refusal(
            416, f"The blob has {size} bytes.", code="InvalidRange", headers={"Content-Range": f"bytes */{size}"}
        )
    return first, last


def _about(request: Request) -> dict[str, Any]:
    headers = request.headers
    prefix = "x-ms-meta-"
    about: dict[str, Any] = {
        "content_type": headers.get("x-ms-blob-content-type") or "application/octet-stream",
        "metadata": {name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)},
    }
    if "x-ms-blob-content-md5" in headers:
        about["md5"] = headers["x-ms-blob-content-md5"]
    return about


def _describe(facts: Mapping[str, Any]) -> dict[str, str]:
    described = {
        "ETag": facts["etag"],
        "Last-Modified": http_date(facts["modified"]),
        "x-ms-creation-time": http_date(facts["modified"]),
        "x-ms-blob-type": facts["type"],
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
    }
    if facts["md5"]:
        described["Content-MD5"] = facts["md5"]
    return described | {f"x-ms-meta-{name}": value for name, value in facts["metadata"].items()}


def _block_id(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        text = ""
    if not text:
        raise Refusal(400, "The block's id isn't base64.", code="InvalidQueryParameterValue")
    return text


def _unsupported(request: Request) -> Refusal:
    kind = "&".join(f"{name}={value}" for name, value in request.query.items() if name in _KIND_PARAMETERS)
    what = f"{request.method} {kind}".strip()
    return NotEmulated("storage", f"This emulator's blob storage doesn't do {what}.")
