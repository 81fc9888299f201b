"""Snapshots: what changed is merged with what was there, and pruned by the tree."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from emulator.runs_client import answer, scope, snapshot, tree

if TYPE_CHECKING:
    from emulator.conftest import Client


def content(client: Client, snapshot_id: str) -> dict[str, str]:
    """The files of a snapshot, downloaded."""
    url = f"{scope(client, 'content/v2.0')}/snapshots/{snapshot_id}/zip"
    data = client.ask("GET", answer(client.ask("POST", url))["zipSasUri"], token=None).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_changes(client: Client) -> None:
    """A snapshot with a parent has the parent's files, but for those that changed or are gone."""
    first = snapshot(client, {"a.py": "1", "deep/b.py": "2", "c.py": "3"})
    assert content(client, first) == {"a.py": "1", "deep/b.py": "2", "c.py": "3"}
    now = {"a.py": "new", "deep/b.py": "not uploaded", "d e.py": "4"}
    second = snapshot(client, now, parent=first, changed={"a.py", "d e.py"})
    assert content(client, second) == {"a.py": "new", "deep/b.py": "2", "d e.py": "4"}
    assert content(client, first)["a.py"] == "1"
    url = f"{scope(client, 'content/v1.0')}/snapshots"
    assert answer(client.ask("GET", f"{url}/latest/metadata")) == {"id": None, "root": {}}
    root = answer(client.ask("GET", f"{url}/{second}/metadata"))["root"]
    assert set(root["children"]) == {"a.py", "deep", "d e.py"}


def test_incomplete(client: Client) -> None:
    """A tree with files that nobody uploaded is refused, and so are unknown parents and other accounts' blobs."""
    base = f"{scope(client, 'content/v2.0')}/snapshots"
    for body in (
        {"DirTreeNode": tree(["a.py"]), "FileRevisionList": {"FileNodes": []}},
        {"DirTreeNode": tree([]), "FileRevisionList": {"FileNodes": []}, "ParentSnapshotId": "none"},
        {
            "DirTreeNode": tree(["a.py"]),
            "FileRevisionList": {"FileNodes": [{"FullName": "a.py", "BlobUri": "https://x.blob.core.windows.net/a/b"}]},
        },
    ):
        assert client.ask("POST", f"{base}/mine", body=body).status in {400, 404}
    assert client.ask("GET", f"{base}/mine/metadata").status == 404


@pytest.mark.parametrize("name", ["../x.py", "a/../../x.py", "/x.py", "a\\x.py", "", ".", "a//b", "a\0b", "x" * 300])
def test_hostile_names(client: Client, name: str) -> None:
    """A file that would be written outside of the job's folder is refused, at the upload and in the tree."""
    base = f"{scope(client, 'content/v2.0')}/snapshots"
    assert client.ask("POST", f"{base}/getblob", body={"FileNames": [name]}).status == 400
    node = {"name": "", "type": "Directory", "children": [{"name": name, "type": "File"}]}
    body = {"DirTreeNode": node, "FileRevisionList": {"FileNodes": []}}
    assert client.ask("POST", f"{base}/mine", body=body).status == 400


def test_file_and_folder(client: Client) -> None:
    """No name can be a file and a folder."""
    good = snapshot(client, {"a": "1"})
    node = {
        "name": "",
        "children": [{"name": "a", "type": "File"}, {"name": "a", "children": [{"name": "a", "type": "File"}]}],
    }
    body = {"DirTreeNode": node, "FileRevisionList": {"FileNodes": []}, "ParentSnapshotId": good}
    assert client.ask("POST", f"{scope(client, 'content/v2.0')}/snapshots/mine", body=body).status == 400
