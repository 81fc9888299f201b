"""Snapshots: the folders that jobs are submitted with, each uploaded as what changed since the one before."""

from __future__ import annotations

import io
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistkit.emulator.payloads import body_of, list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Snapshots"]

_CONTAINER_NAME = "snapshots"
_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_MAX_DEPTH = 100


class Snapshots:
    """All snapshots of a workspace: for each the blobs of its files."""

    def __init__(self, workspace: Workspace, store: Store, blobs: Blobs) -> None:
        self._table = store.table("snapshots")
        self._blobs = blobs

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        found = []
        for version in ("v1.0", "v2.0"):
            base = f"/content/{version}{{scope}}/snapshots"
            found += [
                Route("POST", f"{base}/getblob", self._offer),
                Route("GET", f"{base}/latest/metadata", self._latest),
                Route("GET", f"{base}/{{snapshot}}/metadata", self._show),
                Route("POST", f"{base}/{{snapshot}}/zip", self._zip),
                Route("POST", f"{base}/{{snapshot}}", self._make),
            ]
        return found

    def files(self, snapshot_id: str) -> dict[str, str]:
        """Return the names of a snapshot's files, and their blobs.

        Raises:
            Refusal: 404: there is no such snapshot.
        """
        if snapshot_id not in self._table:
            raise Refusal(404, f"Snapshot {snapshot_id!r} was not found.", code="SnapshotNotFound")
        found: dict[str, str] = self._table[snapshot_id]["files"]
        return found

    def extract(self, snapshot_id: str, folder: Path) -> None:
        """Write a snapshot's files into a folder.

        Raises:
            Refusal: 404: there is no such snapshot.
        """
        for name, blob in self.files(snapshot_id).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._blobs.file(_CONTAINER_NAME, blob), target)

    def _offer(self, request: Request) -> Response:
        names = list_of(body_of(request, "FileNames"), "FileNames", str)
        upload = uuid.uuid4().hex
        nodes = []
        for number, name in enumerate(names):
            _checked(name)
            blob = f"{upload}/{number}"  # some clients encode the names in URLs twice
            nodes.append({"fullName": name, "blobUri": self._blobs.url(_CONTAINER_NAME, blob, "rcw")})
        return Response.json({"fileNodes": nodes})

    def _make(self, request: Request, snapshot: str) -> Response:
        if not _ID_PATTERN.fullmatch(snapshot):
            raise Refusal(400, f"{snapshot!r} can't be a snapshot's id.")
        asked = body_of(request, needs=("DirTreeNode", "FileRevisionList"))
        parent = asked.get("ParentSnapshotId")
        files = self.files(str(parent)) if parent else {}
        if not isinstance(asked["DirTreeNode"], dict) or not isinstance(asked["FileRevisionList"], dict):
            raise Refusal(400, "'DirTreeNode' and 'FileRevisionList' have to be objects.")
        for node in list_of(asked["FileRevisionList"], "FileNodes", dict):
            container, blob = self._blobs.name_of(str(node.get("BlobUri")))
            if container != _CONTAINER_NAME:
                raise Refusal(400, f"{node.get('FullName')!r} is in the container {container!r}.")
            self._blobs.file(container, blob)
            files[_checked(node.get("FullName"))] = blob
        wanted = set(_leaves(asked["DirTreeNode"]))
        missing = sorted(wanted - set(files))
        if missing:
            raise Refusal(
                400, f"Neither what was uploaded nor the parent has {missing[:5]}.", code="SnapshotIncomplete"
            )
        _check_folders(wanted)
        kept = {name: blob for name, blob in files.items() if name in wanted}
        self._table[snapshot] = {"files": kept, "createdTime": now(), "properties": asked.get("Properties") or {}}
        return Response.json({"id": snapshot})

    def _latest(self, request: Request) -> Response:
        return Response.json({"id": None, "root": {}})

    def _show(self, request: Request, snapshot: str) -> Response:
        self.files(snapshot)
        record = self._table[snapshot]
        about = {"id": snapshot, "createdTime": record["createdTime"], "properties": record["properties"]}
        return Response.json(about | {"root": _tree(record["files"])})

    def _zip(self, request: Request, snapshot: str) -> Response:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, blob in self.files(snapshot).items():
                archive.write(self._blobs.file(_CONTAINER_NAME, blob), name)
        name = f"zips/{snapshot}.zip"
        self._blobs.write(_CONTAINER_NAME, name, out.getvalue())
        return Response.json({"zipSasUri": self._blobs.url(_CONTAINER_NAME, name)})


def _leaves(node: Mapping[str, Any], folder: str = "", depth: int = 0) -> Iterator[str]:
    """Return the files of a tree of folders, as the client describes it."""
    if depth > _MAX_DEPTH:
        raise Refusal(400, f"Folders are nested more than {_MAX_DEPTH} deep.")
    children = node.get("children") or {}
    for child in children.values() if isinstance(children, dict) else list_of(node, "children", dict):
        if not isinstance(child, dict):
            raise Refusal(400, f"{str(child)[:80]!r} isn't a file or a folder.")
        name = _checked(f"{folder}{child.get('name')}")
        if child.get("type") == "File":
            yield name
        else:
            yield from _leaves(child, f"{name}/", depth + 1)


def _tree(files: Mapping[str, str]) -> dict[str, Any]:
    root: dict[str, Any] = {"name": "", "type": "Directory", "children": {}}
    for path in sorted(files):
        node, *parts = root, *path.split("/")
        for part in parts[:-1]:
            node = node["children"].setdefault(part, {"name": part, "type": "Directory", "children": {}})
        node["children"][parts[-1]] = {"name": parts[-1], "type": "File", "children": {}}
    return root


def _check_folders(names: set[str]) -> None:
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in names:
                raise Refusal(400, f"{'/'.join(parts[:end])!r} is a file and a folder.")


def _checked(name: object) -> str:
    """Return the name if it stays in the folder that it is written into.

    Raises:
        Refusal: 400: it doesn't.
    """
    parts = str(name).split("/")
    bad = not isinstance(name, str) or not name or {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name
    if bad or any(len(part.encode()) > 255 for part in parts):  # noqa: PLR2004 - what file systems hold
        raise Refusal(400, f"{name!r} can't be a file's name in a snapshot.", code="InvalidFileName")
    return str(name)
