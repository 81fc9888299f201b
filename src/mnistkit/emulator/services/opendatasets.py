"""Azure's Open Datasets: the hosts from which the SDK's engine reads MNIST's four files."""

from __future__ import annotations

import gzip
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from mnistkit.emulator.payloads import allow_query
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.blob_listing import http_date, listing
from mnistkit.emulator.store import Store
from mnistkit.emulator.synthetic import FILES, write_digits
from mnistkit.emulator.workspace import Workspace
from mnistkit.errors import NotFoundError

__all__ = ["OpenDatasets"]

_HOSTS = ("azureopendatastorage.azurefd.net", "azureopendatastorage.blob.core.windows.net")
_CONTAINER_NAME = "mnist"
_RANGE_PATTERN = re.compile(r"bytes=(\d+)-(\d*)")
_CONTENT_TYPE = "application/octet-stream"


class OpenDatasets:
    """The container ``mnist``, open to everybody.

    Args:
        workspace: Its workspace.
        store: Keeps what was made or compressed.
        data: The folder with MNIST's four files, at any depth, as they are or gzipped; None for synthetic digits.

    Raises:
        NotFoundError: The folder lacks one of the files.
    """

    def __init__(self, workspace: Workspace, store: Store, data: Path | None = None) -> None:
        self._sources = None if data is None else _find(data)
        self._folder = store.folder / "opendatasets"
        self._lock = threading.Lock()

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return tuple(
            Route("GET|HEAD", pattern, handler, host=host, is_open=True)
            for host in _HOSTS
            for pattern, handler in (("/{container}", self._container), ("/{container}/{blob*}", self._blob))
        )

    def _container(self, request: Request, container: str) -> Response:
        allow_query(request, "restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include", "timeout")
        self._check(container)
        if request.query.get("restype") != "container" or request.query.get("comp") not in {None, "list", "metadata"}:
            raise Refusal(400, "A container is asked for with restype=container.", code="InvalidUri")
        headers = _headers() | {"x-ms-blob-public-access": "container"}
        if request.query.get("comp") != "list":
            return Response(
                headers=headers | {"ETag": '"0x1"', "Last-Modified": http_date(0)}, content_type=_CONTENT_TYPE
            )
        prefix = request.query.get("prefix", "")
        facts = []
        for name in sorted(name for name in FILES if name.startswith(prefix)):
            state = self._file(name).stat()
            facts.append((name, {"size": state.st_size, "modified": state.st_mtime, "etag": _etag(state), "md5": None,
                                 "type": "BlockBlob", "content_type": _CONTENT_TYPE, "metadata": {}}))  # fmt: skip
        body = listing(f"https://{request.host}/", container, facts, request.query)
        return Response(headers=headers, body=body, content_type="application/xml")

    def _blob(self, request: Request, container: str, blob: str) -> Response:
        allow_query(request, "timeout")
        self._check(container)
        file = self._file(blob)
        state = file.stat()
        first, last = _range(request, state.st_size)
        headers = _headers() | {
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
            return Response(status=status, headers=headers | length, content_type=_CONTENT_TYPE)
        with file.open("rb") as stream:
            stream.seek(first)
            body = stream.read(last - first + 1)
        return Response(status=status, headers=headers, body=body, content_type=_CONTENT_TYPE)

    def _check(self, container: str) -> None:
        if container != _CONTAINER_NAME:
            message = f"Of Azure's Open Datasets the emulator has {_CONTAINER_NAME!r} alone, not {container!r}."
            raise Refusal(404, message, code="ContainerNotFound")

    def _file(self, name: str) -> Path:
        if name not in FILES:
            raise Refusal(404, f"{_CONTAINER_NAME!r} has no blob {name!r}, only {FILES}.", code="BlobNotFound")
        source = self._sources[name] if self._sources else None
        if source is not None and source.suffix == ".gz":
            return source
        with self._lock:
            if source is None:
                folder = self._folder / "synthetic"
                if not folder.exists():
                    self._make(folder)
                return folder / name
            return self._compressed(source, name)

    def _make(self, folder: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            made = Path(scratch) / "digits"
            made.mkdir()
            write_digits(made)
            made.replace(folder)

    def _compressed(self, source: Path, name: str) -> Path:
        state = source.stat()
        file = self._folder / f"{state.st_mtime_ns:x}-{state.st_size:x}-{name}"
        if not file.exists():
            self._folder.mkdir(exist_ok=True)
            scratch = file.with_suffix(f".{secrets.token_hex(4)}")
            with source.open("rb") as raw, gzip.GzipFile(scratch, "wb", compresslevel=1, mtime=0) as packed:
                shutil.copyfileobj(raw, packed)
            scratch.replace(file)
        return file


def _find(data: Path) -> dict[str, Path]:
    """Return the four files in a folder: the first of each in order of their paths, gzipped ones before plain ones."""
    if not data.is_dir():
        raise NotFoundError(f"There is no folder {data}: name one with MNIST's four files, gzipped or not.")
    names = {name.removesuffix(suffix): name for name in FILES for suffix in ("", ".gz")}
    found: dict[str, Path] = {}
    for path in sorted(data.rglob("*"), key=lambda path: (path.suffix != ".gz", path.parts)):
        if path.name in names and path.is_file():
            found.setdefault(names[path.name], path)
    missing = sorted(set(FILES) - set(found))
    if missing:
        raise NotFoundError(
            f"{data} lacks {', '.join(missing)}: name a folder with MNIST's four files, gzipped or not."
        )
    return found


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


def _headers() -> dict[str, str]:
    return {"x-ms-version": "2019-02-02", "x-ms-request-id": secrets.token_hex(16)}
