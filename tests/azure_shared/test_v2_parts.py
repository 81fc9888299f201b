"""The backends on the SDK v2, as far as they need no SDK: settings, plan, places in storage, the node's process."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnistkit.azureml.node.layout import JOB_FOLDER
from mnistkit.azureml.properties import unpack_text
from mnistkit.azureml.runs.staging import ENTRY, stage
from mnistkit.azureml.v2.compute import AmlCompute
from mnistkit.azureml.v2.node import STEPLESS, open_writer
from mnistkit.azureml.v2.storage import parse_place
from mnistkit.azureml.v2.workspace import connect
from mnistkit.errors import InvalidNameError, MissingExtraError, MnistkitError, ServiceError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob

HAS_SDK = importlib.util.find_spec("azure") is not None and importlib.util.find_spec("azure.ai") is not None
MODULE = "mnistkit.azureml.v2.node"


class Tracking:
    """MLflow's REST API on loopback: keeps what is sent, and refuses some requests first.

    Attributes:
        requests: Paths and bodies, in their order.
        refusals: Statuses to answer with before requests are taken.
        tokens: The authorization headers.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.refusals: list[int] = []
        self.tokens: set[str] = set()

    def tags(self) -> dict[str, str]:
        """The tags that are set at the end."""
        found: dict[str, str] = {}
        for path, body in self.requests:
            if path.endswith("/log-batch"):
                found |= {tag["key"]: tag["value"] for tag in body["tags"]}
            elif path.endswith("/delete-tag"):
                found.pop(body["key"], None)
        return found


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    """The API, which this process and those that it starts belong to a run of."""
    kept = Tracking()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = kept.refusals.pop(0) if kept.refusals else 200
            if status == 200:
                kept.requests.append((self.path, body))
                kept.tokens.add(self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MLFLOW_RUN_ID", "run-1")
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "the token")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield kept
        server.shutdown()
        thread.join()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder for a script."""
    folder = tmp_path / "script"
    folder.mkdir()
    return folder


# Bad input


@pytest.mark.skipif(HAS_SDK, reason="the SDK is installed")
def test_without_the_extra_the_extra_is_named() -> None:
    """Without the SDK, connecting names the extra."""
    with pytest.raises(MissingExtraError, match=r"mnistkit\[azure\]"):
        connect()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "1-begins-with-a-digit"}, InvalidNameError, "letter"),
        ({"vm_size": "huge"}, UsageError, "STANDARD_D2_V2"),
        ({"min_nodes": 3, "max_nodes": 2}, UsageError, "above max_nodes=2"),
        ({"mode": "copy"}, UsageError, "download"),
        ({"max_run_duration_seconds": 0}, UsageError, "at least 1"),
    ],
)
def test_bad_settings_are_refused_before_any_call(
    options: dict[str, Any], error: type[MnistkitError], says: str
) -> None:
    """What Azure would refuse is refused when the backend is made, which sends nothing."""
    with pytest.raises(error, match=says):
        AmlCompute(**options)


def test_a_plan_sends_nothing(script: Path, tiny_mnist: DataSource) -> None:
    """`plan` returns the request without a workspace: command line, environment, limit; serverless has no cluster."""
    (script / "train.py").write_text("")
    job = ScriptJob(str(script), timeout=60, retries=1)
    plan = AmlCompute(name="planned", max_nodes=2).plan(job, tiny_mnist)
    assert (plan.data, plan.command) == (None, f"python {ENTRY['script']}")
    assert plan.cluster is not None
    assert plan.cluster.name == "planned"
    assert plan.max_run_duration_seconds >= 120
    assert not any("azureml" in requirement for requirement in plan.environment.pip)
    serverless = AmlCompute(serverless=True)
    reads = serverless.plan(ScriptJob(str(script), arguments=(DATA_FOLDER,)), tiny_mnist)
    assert reads.cluster is None
    assert reads.data == tiny_mnist.uri
    assert reads.command == f"python {ENTRY['script']} --data-folder ${{{{inputs.data}}}}"
    with pytest.raises(UsageError, match="no cluster to create"):
        serverless.ensure()


@pytest.mark.parametrize(
    ("uri", "datastore", "path"),
    [
        (
            "azureml://datastores/workspaceblobstore/paths/LocalUpload/1/model",
            "workspaceblobstore",
            "LocalUpload/1/model",
        ),
        (
            "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/other/paths/a/b/",
            "other",
            "a/b",
        ),
        (
            "azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.r",
            "workspaceartifactstore",
            "ExperimentRun/dcid.r",
        ),
        (
            "azureml://jobs/happy_day/outputs/artifacts/paths/outputs/model.skops",
            "workspaceartifactstore",
            "ExperimentRun/dcid.happy_day/outputs/model.skops",
        ),
    ],
)
def test_places_of_files(uri: str, datastore: str, path: str) -> None:
    """A URI of a datastore or of a job's artifacts is a place in storage, which has a URI again."""
    place = parse_place(uri)
    assert (place.datastore, place.path) == (datastore, path)
    assert parse_place(place.uri) == place


@pytest.mark.parametrize(
    "uri", ["aml://asset/1", "https://x/y", "azureml://registries/azureml/models/m/versions/1", ""]
)
def test_other_places_are_refused(uri: str) -> None:
    """A URI that names no storage of the workspace is a `ServiceError` with the URI."""
    with pytest.raises(ServiceError, match="aren't in a datastore"):
        parse_place(uri)


# The process on the node


def run_staged(staged: Path) -> subprocess.CompletedProcess[str]:
    """Run what was staged as a node does."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MNISTKIT_", "AZUREML_", "PYTHONPATH"))}
    command = [sys.executable, ENTRY["script"]]
    return subprocess.run(
        command, cwd=staged, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_node_writes_to_mlflow(script: Path, tmp_path: Path, tracking: Tracking) -> None:
    """Metrics with steps and times, tags, the attempt and the result arrive at the run, with the node's token."""
    (script / "train.py").write_text(
        "from mnistkit import get_context\n"
        "run = get_context()\n"
        "run.log('loss', 0.5, step=0)\nrun.log('loss', 0.25, step=1)\nrun.log('accuracy', 0.9)\n"
        "run.tag('kind', 'test')\n"
        "(run.outputs / 'a.txt').write_text('a')\n"
    )
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script)), "none", staged, module=MODULE)
    outcome = run_staged(staged)
    assert outcome.returncode == 0, outcome.stderr
    points = [body for path, body in tracking.requests if path == "/api/2.0/mlflow/runs/log-metric"]
    assert [(p["run_id"], p["key"], p["value"], p["step"]) for p in points] == [
        ("run-1", "loss", 0.5, 0), ("run-1", "loss", 0.25, 1), ("run-1", "accuracy", 0.9, 0),
    ]  # fmt: skip
    assert all(p["timestamp"] > 1_600_000_000_000 for p in points)
    tags = tracking.tags()
    assert tags["kind"] == "test"
    assert json.loads(tags[STEPLESS]) == ["accuracy"]
    result = json.loads(unpack_text("mnistkit_result", tags, "run-1") or "")
    assert (result["points"], bool(result["manifest"]), "python" in result["versions"]) == (3, True, True)
    assert json.loads(unpack_text("mnistkit_attempt1", tags, "run-1") or "")["cause"] is None
    assert tracking.tokens == {"Bearer the token"}


def test_tags_of_an_attempt_that_failed_are_removed(script: Path, tmp_path: Path, tracking: Tracking) -> None:
    """After another attempt only the last one's tags are there, and those that the job came with."""
    (script / "train.py").write_text(
        "import pathlib, sys\nfrom mnistkit import get_context\n"
        f"mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists():\n"
        "    mark.touch()\n    get_context().tag('first', 'yes')\n    get_context().tag('given', 'changed')\n"
        "    sys.exit(3)\n"
    )
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script), retries=1, tags={"given": "kept"}), "none", staged, module=MODULE)
    outcome = run_staged(staged)
    assert outcome.returncode == 0, outcome.stderr
    tags = tracking.tags()
    assert "first" not in tags
    assert tags["given"] == "kept"
    assert json.loads(unpack_text("mnistkit_attempt1", tags, "run-1") or "")["exit_code"] == 3


def test_a_busy_service_is_waited_for(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is repeated while the service is busy; what it refuses for good is raised at once."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    writer = open_writer()
    assert writer is not None
    tracking.refusals = [503, 429]
    writer.set_tags({"a": "b"})
    assert tracking.tags() == {"a": "b"}
    tracking.refusals = [400, 200]
    with pytest.raises(OSError, match="400"):
        writer.set_tags({"c": "d"})
    assert tracking.refusals == [200]


def test_without_a_run_nothing_is_sent(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A staged script that is run by hand, outside Azure, works as it is."""
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert open_writer() is None
    (script / "train.py").write_text("from mnistkit import get_context\nget_context().log('loss', 1)\nprint('done')\n")
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script)), "none", staged, module=MODULE)
    outcome = run_staged(staged)
    assert (outcome.returncode, outcome.stdout) == (0, "done\n"), outcome.stderr
    assert (staged / JOB_FOLDER).is_dir()


def test_azures_address_becomes_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that Azure gives a job leads to MLflow's API over HTTPS."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/s?x=1")
    monkeypatch.setenv("MLFLOW_RUN_ID", "run-1")
    writer = open_writer()
    assert writer is not None
    assert writer._url == "https://westeurope.api.azureml.ms/mlflow/v2.0/subscriptions/s/api/2.0/mlflow"
