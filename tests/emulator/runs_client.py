"""Run history, snapshots and jobs, as a client without the SDK uses them."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from emulator.conftest import Client

FINAL = ("Completed", "Failed", "Canceled")


def scope(client: Client, service: str) -> str:
    """The beginning of a service's paths."""
    return f"/{service}{client.emulator.workspace.scope}"


def answer(response: urllib3.BaseHTTPResponse, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.status == status, response.data
    return json.loads(response.data)


def history(client: Client, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    """What run history answers about the experiment ``digits``."""
    url = f"{scope(client, 'history/v1.0')}/experiments/digits{path}"
    return answer(client.ask(method, url, body=body), status)


def make_run(client: Client, run_id: str, **fields: Any) -> Any:
    """A new run of the experiment."""
    history(client, "POST", "")
    return history(client, "PATCH", f"/runs/{run_id}", {"runId": run_id, **fields})


def snapshot(
    client: Client, files: dict[str, str], *, parent: str | None = None, changed: set[str] | None = None
) -> str:
    """The id of a snapshot of some files, of which those that changed are uploaded."""
    base = f"{scope(client, 'content/v2.0')}/snapshots"
    names = sorted(set(files) if changed is None else changed)
    nodes = answer(client.ask("POST", f"{base}/getblob", body={"FileNames": names}))["fileNodes"]
    for node in nodes:
        put = client.ask(
            "PUT",
            node["blobUri"],
            body=files[node["fullName"]].encode(),
            token=None,
            headers={"x-ms-blob-type": "BlockBlob"},
        )
        assert put.status == 201, put.data
    found = str(uuid.uuid4())
    body = {
        "ParentSnapshotId": parent,
        "DirTreeNode": tree(files),
        "FileRevisionList": {
            "FileNodes": [{"FullName": each["fullName"], "BlobUri": each["blobUri"]} for each in nodes]
        },
    }
    answer(client.ask("POST", f"{base}/{found}", body=body))
    return found


def tree(names: Any) -> dict[str, Any]:
    """Files in their folders, as the SDK tells them."""
    root: dict[str, Any] = {"name": "", "type": "Directory", "children": {}}
    for name in names:
        node, *parts = root, *name.split("/")
        for part in parts[:-1]:
            node = node["children"].setdefault(part, {"name": part, "type": "Directory", "children": {}})
        node["children"][parts[-1]] = {"name": parts[-1], "type": "File", "children": {}}
    return root


def cluster(client: Client, name: str = "cpu", max_nodes: int = 2) -> str:
    """A new cluster."""
    url = f"https://management.azure.com{client.emulator.workspace.scope}/computes/{name}?api-version=2020-01-01"
    scale = {"minNodeCount": 0, "maxNodeCount": max_nodes, "nodeIdleTimeBeforeScaleDown": "PT120S"}
    properties = {"vmSize": "STANDARD_D2_V2", "vmPriority": "dedicated", "scaleSettings": scale}
    body = {
        "location": client.emulator.workspace.location,
        "properties": {"computeType": "AmlCompute", "properties": properties},
    }
    assert client.ask("PUT", url, body=body).status in {200, 201}
    return name


def submit(client: Client, run_id: str, source: str, /, *, status: int = 200, **more: Any) -> Any:
    """Submit a script as the job of a run."""
    configuration = {"script": "train.py", "target": "cpu", "framework": "Python", "arguments": [], **more}
    body = {"Configuration": configuration, "SnapshotId": snapshot(client, {"train.py": source})}
    return send(client, run_id, body, status=status)


def send(client: Client, run_id: str, body: Any, *, status: int = 200) -> Any:
    """Submit what is given."""
    url = f"{scope(client, 'execution/v1.0')}/experiments/digits/snapshotrun?runId={run_id}"
    return answer(client.ask("POST", url, body=body), status)


def state(client: Client, run_id: str) -> str:
    """The state of a run."""
    return str(history(client, "GET", f"/runs/{run_id}")["status"])


def wait(client: Client, run_id: str, *states: str) -> Any:
    """The details of a run, once it is in one of these states: final ones by default."""
    end = time.monotonic() + 60
    while (now := state(client, run_id)) not in (states or FINAL):
        is_in_time = time.monotonic() < end and now not in FINAL
        assert is_in_time, history(client, "GET", f"/runs/{run_id}/details")
        time.sleep(0.02)
    return history(client, "GET", f"/runs/{run_id}/details")


def log(client: Client, run_id: str) -> str:
    """What a job has printed so far."""
    urls = history(client, "GET", f"/runs/{run_id}/details")["logFiles"]
    if "user_logs/std_log.txt" not in urls:
        return ""
    return client.ask("GET", urls["user_logs/std_log.txt"], token=None).data.decode()


def cancel(client: Client, run_id: str) -> None:
    """Cancel a run by the URL that it tells."""
    url = history(client, "GET", f"/runs/{run_id}")["cancelUri"]
    answer(client.ask("POST", url.removeprefix(client.emulator.workspace.url)))
