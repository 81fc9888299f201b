"""Artifacts: paths, URLs to write and to read, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from emulator.runs_client import answer, history, make_run, scope

if TYPE_CHECKING:
    from emulator.conftest import Client

HOLDER = "ExperimentRun/dcid.one"


def make(client: Client, *paths: str, status: int = 200) -> Any:
    """Announce artifacts of the run ``one``."""
    url = f"{scope(client, 'artifact/v2.0')}/artifacts/batch/metadata/{HOLDER}"
    return answer(client.ask("POST", url, body={"paths": [{"path": path} for path in paths]}), status)


def upload(client: Client, path: str, content: bytes) -> None:
    """Upload an artifact, by the URL that comes with it."""
    uri = make(client, path)["artifactContentInformation"][path]["contentUri"]
    put = client.ask("PUT", uri, body=content, token=None, headers={"x-ms-blob-type": "BlockBlob"})
    assert put.status == 201


def listed(client: Client, more: str = "") -> list[str]:
    """The paths of the run's artifacts."""
    url = f"{scope(client, 'artifact/v2.0')}/artifacts/{more}{HOLDER}"
    return [each["path"] for each in answer(client.ask("GET", url))["value"]]


@pytest.mark.parametrize("path", ["outputs/model.pkl", "./outputs//è ~100% #1?.txt", "outputs/" + "x" * 300])
def test_upload_and_download(client: Client, path: str) -> None:
    """What is uploaded comes back, whatever signs its path has; the path is kept without its detours."""
    make_run(client, "one")
    upload(client, path, b"content")
    (kept,) = listed(client)
    assert kept == path.removeprefix("./").replace("//", "/")
    url = f"{scope(client, 'artifact/v2.0')}/artifacts/contentinfo/{HOLDER}/{quote(kept)}"
    uri = answer(client.ask("GET", url))["contentUri"]
    assert client.ask("GET", uri, token=None).data == b"content"
    assert client.ask("PUT", uri, body=b"x", token=None, headers={"x-ms-blob-type": "BlockBlob"}).status == 403
    content = client.ask("GET", f"{scope(client, 'artifact/v2.0')}/artifacts/content/{HOLDER}/{quote(kept)}")
    assert content.data == b"content"


def test_prefixes(client: Client) -> None:
    """Artifacts are found by what their paths begin with, also through run history."""
    make_run(client, "one")
    for path in ("outputs/a", "outputs/b", "logs/c"):
        upload(client, path, path.encode())
    base = f"{scope(client, 'artifact/v2.0')}/artifacts/prefix/contentinfo/{HOLDER}"
    found = answer(client.ask("GET", f"{base}/outputs/"))["value"]
    assert [each["path"] for each in found] == ["outputs/a", "outputs/b"]
    assert [client.ask("GET", each["contentUri"], token=None).data for each in found] == [b"outputs/a", b"outputs/b"]
    assert len(history(client, "GET", "/runs/one/artifacts")["value"]) == 3
    assert len(history(client, "GET", "/runs/one/artifacts/path/outputs")["value"]) == 2
    assert history(client, "GET", "/runs/one/details")["logFiles"] == {}
    history(client, "GET", "/runs/one/artifacts/contentinfo/none", status=404)


@pytest.mark.parametrize(
    "path", ["../x", "outputs/../../x", "/etc/passwd", "\\x", "C:/x", "..", ".", "a\0b", "a\\..\\b"]
)
def test_hostile_paths(client: Client, path: str) -> None:
    """A path that leads out of the folder of whoever downloads it is refused, with all that came with it."""
    make_run(client, "one")
    make(client, "outputs/good", path, status=400)
    assert listed(client) == []
