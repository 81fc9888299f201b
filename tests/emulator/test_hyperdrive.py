"""HyperDrive over HTTP: real jobs, which log their metrics without the SDK."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("h11")

from emulator.conftest import MANAGEMENT, Client
from mnistkit.emulator import AzureMLEmulator

FINAL = {"Completed", "Failed", "Canceled"}
PATIENCE = 120.0
SCRIPT = """
import json, os, sys, time, urllib.request

def log(value):
    base = os.environ["AZUREML_SERVICE_ENDPOINT"] + "/metric/v2.0" + os.environ["AZUREML_WORKSPACE_SCOPE"]
    cell = {"data": {"score": value}, "createdUtc": "2026-01-01T00:00:00+00:00"}
    metric = {"name": "score", "columns": {"score": "Double"}, "value": [cell], "properties": {}}
    request = urllib.request.Request(
        base + "/runs/" + os.environ["AZUREML_RUN_ID"] + "/batch",
        json.dumps({"values": [metric]}).encode(),
        {"Authorization": "Bearer " + os.environ["AZUREML_RUN_TOKEN"], "Content-Type": "application/json"},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if arguments.get("--fail") == arguments["--x"]:
    sys.exit("as asked for")
log(float(arguments["--x"]))
time.sleep(float(arguments.get("--sleep", 0)))
"""


class Sweeps:
    """Sweeps of that script, on a cluster of four nodes."""

    def __init__(self, client: Client) -> None:
        self.client, self.scope = client, client.emulator.workspace.scope
        settings = {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"}
        nodes = {"vmSize": "STANDARD_D2_V2", "scaleSettings": settings}
        body = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": nodes}}
        client.ask("PUT", f"{MANAGEMENT}{self.scope}/computes/cpu?api-version=1", body=body)
        content = f"/content/v2.0{self.scope}/snapshots"
        offer = client.ask("POST", f"{content}/getblob", body={"FileNames": ["train.py"]}).json()["fileNodes"][0]
        headers = {"x-ms-blob-type": "BlockBlob"}
        client.ask("PUT", offer["blobUri"], body=SCRIPT.encode(), token=None, headers=headers)
        tree = {"name": "", "type": "Directory", "children": {"train.py": {"name": "train.py", "type": "File"}}}
        files = {"FileNodes": [{"FullName": "train.py", "BlobUri": offer["blobUri"]}]}
        body = {"DirTreeNode": tree, "FileRevisionList": files}
        assert client.ask("POST", f"{content}/snap", body=body).status == 200

    def url(self, rest: str, scope: str = "") -> str:
        """A path of the service, which takes the experiment as one part of it."""
        return f"/hyperdrive/v1.0/{quote((scope or self.scope)[1:] + '/experiments/sweep', safe='')}{rest}"

    def ask(self, rest: str = "/runs", *, arguments: tuple[str, ...] = (), **changes: Any) -> Any:
        """Ask for a sweep over three values of x; the answer."""
        overrides = {"script": "train.py", "arguments": list(arguments), "target": "cpu"}
        config = {
            "generator_config": {"name": "GRID", "parameter_space": {"--x": ["choice", [[1, 3, 2]]]}},
            "policy_config": {"name": "Default"},
            "primary_metric_config": {"name": "score", "goal": "maximize"},
            "platform": "AML",
            "platform_config": {"Definition": {"Overrides": overrides, "SnapshotId": "snap", "TargetDetails": None}},
            "max_total_jobs": 10,
            "max_concurrent_jobs": 3,
            "max_duration_minutes": 60,
            "name": "sweep",
            "user": "nobody",
            **changes,
        }
        part = b'--b\r\nContent-Disposition: form-data; name="config"; filename="config.json"\r\n\r\n'
        body = part + json.dumps(config).encode() + b"\r\n--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        return self.client.ask("POST", self.url(rest), body=body, headers=headers)

    def start(self, **options: Any) -> str:
        """The id of a new sweep's parent run."""
        answer = self.ask(**options)
        assert answer.status == 201, answer.data
        return str(answer.json()["result"]["platform_config"]["ParentRunId"])

    def run(self, run_id: str) -> Any:
        """A run's record."""
        return self.client.ask("GET", f"/history/v1.0{self.scope}/experiments/sweep/runs/{run_id}").json()

    def children(self, run_id: str) -> dict[str, str]:
        """The states of a sweep's children, by their numbers."""
        path = f"/history/v1.0{self.scope}/experiments/sweep/runs/{run_id}/children"
        found = self.client.ask("GET", path).json()["value"]
        return {each["runId"].removeprefix(f"{run_id}_"): each["status"] for each in found}

    def wait(self, run_id: str) -> Any:
        """The parent's record once it has ended."""
        end = time.monotonic() + PATIENCE
        while (record := self.run(run_id))["status"] not in FINAL:
            assert time.monotonic() < end, self.children(run_id)
            time.sleep(0.05)
        return record

    def wait_for(self, run_id: str, states: dict[str, str]) -> None:
        """Wait until the children are in these states."""
        end = time.monotonic() + PATIENCE
        while self.children(run_id) != states:
            assert time.monotonic() < end, self.children(run_id)
            time.sleep(0.05)


@pytest.fixture
def sweeps(client: Client) -> Sweeps:
    """An empty workspace for sweeps."""
    return Sweeps(client)


def test_best_child(sweeps: Sweeps) -> None:
    """Every point is a child with its arguments; the parent is Completed with them and names the best."""
    parent = sweeps.wait(run_id := sweeps.start())
    assert (parent["status"], parent["runType"]) == ("Completed", "hyperdrive")
    assert sweeps.children(run_id) == dict.fromkeys("012", "Completed")
    assert (parent["properties"]["best_child_run_id"], parent["properties"]["score"]) == (f"{run_id}_1", "3.0")
    assert json.loads(parent["tags"][f"_aml_system_{run_id}_2"]) == {"--x": 2}
    child = sweeps.run(f"{run_id}_2")
    assert (child["parentRunId"], child["runDefinition"]["arguments"]) == (run_id, ["--x", "2"])


def test_least_is_best(sweeps: Sweeps) -> None:
    """With a metric to minimize the least value is best."""
    metric = {"name": "score", "goal": "minimize"}
    run_id = sweeps.start(primary_metric_config=metric)
    assert sweeps.wait(run_id)["properties"]["best_child_run_id"] == f"{run_id}_0"


def test_so_many_at_a_time(sweeps: Sweeps) -> None:
    """No more children run at a time than asked for, though there are nodes, and the rest follows."""
    run_id = sweeps.start(max_concurrent_jobs=2, arguments=("--sleep", "600"))
    sweeps.wait_for(run_id, {"0": "Running", "1": "Running"})
    time.sleep(0.5)
    assert sorted(sweeps.children(run_id)) == ["0", "1"]
    sweeps.client.ask("POST", f"/execution/v1.0{sweeps.scope}/experiments/sweep/runs/{run_id}_0/cancel")
    sweeps.wait_for(run_id, {"0": "Canceled", "1": "Running", "2": "Running"})


def test_max_total(sweeps: Sweeps) -> None:
    """No more children than asked for are started."""
    run_id = sweeps.start(max_total_jobs=1)
    assert sweeps.wait(run_id)["status"] == "Completed"
    assert list(sweeps.children(run_id)) == ["0"]


def test_cancel(sweeps: Sweeps) -> None:
    """A canceled parent cancels its children and starts no others; canceling again changes nothing."""
    run_id = sweeps.start(max_concurrent_jobs=2, arguments=("--sleep", "600"))
    sweeps.wait_for(run_id, {"0": "Running", "1": "Running"})
    for _ in range(2):
        assert sweeps.client.ask("POST", sweeps.url(f"/runs/{run_id}/cancel")).status == 200
        assert sweeps.wait(run_id)["status"] == "Canceled"
    assert sweeps.children(run_id) == {"0": "Canceled", "1": "Canceled"}


def test_cancel_as_any_run(sweeps: Sweeps) -> None:
    """The address that a run is canceled at, and an event that asks for it, work as well."""
    for how in ("cancelUri", "event"):
        run_id = sweeps.start(arguments=("--sleep", "600"))
        if how == "cancelUri":
            sweeps.client.ask(
                "POST", sweeps.run(run_id)["cancelUri"].removeprefix(sweeps.client.emulator.workspace.url)
            )
        else:
            event = {"name": "Microsoft.MachineLearning.Run.CancelRequested", "data": {}}
            path = f"/history/v1.0{sweeps.scope}/experiments/sweep/runs/{run_id}/events"
            assert sweeps.client.ask("POST", path, body=event).status == 200
        assert sweeps.wait(run_id)["status"] == "Canceled"


def test_time_is_up(sweeps: Sweeps) -> None:
    """After its time a sweep is canceled, with its children."""
    run_id = sweeps.start(max_duration_minutes=0.02, arguments=("--sleep", "600"))
    assert sweeps.wait(run_id)["status"] == "Canceled"
    assert set(sweeps.children(run_id).values()) <= {"Canceled"}


def test_policy(sweeps: Sweeps) -> None:
    """A termination policy ends children that are far from the best while the others go on."""
    policy = {"name": "Bandit", "properties": {"slack_amount": 0.5, "evaluation_interval": 1}}
    run_id = sweeps.start(policy_config=policy, arguments=("--sleep", "600"))
    sweeps.wait_for(run_id, {"0": "Canceled", "1": "Running", "2": "Canceled"})


def test_failing_children(sweeps: Sweeps) -> None:
    """A failed child doesn't fail the sweep, but it fails when all do."""
    run_id = sweeps.start(arguments=("--fail", "3"))
    assert sweeps.wait(run_id)["status"] == "Completed"
    assert sweeps.children(run_id) == {"0": "Completed", "1": "Failed", "2": "Completed"}
    space = {"name": "grid", "parameter_space": {"--x": ["choice", [[3]]]}}
    run_id = sweeps.start(arguments=("--fail", "3"), generator_config=space)
    parent = sweeps.wait(run_id)
    assert parent["status"] == "Failed"
    assert "None of the 1" in parent["error"]["error"]["message"]


def test_own_id(sweeps: Sweeps) -> None:
    """A client can choose the parent's id; a second sweep of that id is a conflict."""
    assert sweeps.ask("/hdruns/mine").status == 201
    assert sweeps.ask("/hdruns/mine").status == 409
    assert sweeps.ask("/hdruns/..%2fmine").status == 400
    assert sweeps.wait("mine")["status"] == "Completed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator_config": {"name": "BayesianOptimization", "parameter_space": {"--x": ["choice", [[1]]]}}},
            "Bayes",
        ),
        ({"policy_config": {"name": "Mystery"}}, "Mystery"),
        ({"platform": "AmlPipelines"}, "AmlPipelines"),
        ({"resume_from": [{"run": "x"}]}, "key of a run"),
        ({"resume_child_runs": [{"run_id": "x"}]}, "resume_child_runs"),
        ({"max_total_jobs": 1001}, "at most 1000"),
        ({"max_concurrent_jobs": 0}, "above 0"),
        ({"primary_metric_config": {"name": "score", "goal": "enjoy"}}, "goal"),
        ({"platform_config": {"Definition": {"Overrides": {"command": "ls"}}}}, "scripts"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_refused(sweeps: Sweeps, changes: dict[str, Any], message: str) -> None:
    """What isn't emulated, and what can't be understood, is refused before anything is started."""
    answer = sweeps.ask(**changes)
    assert answer.status == 400
    assert message in answer.json()["message"]
    query = sweeps.client.ask("POST", f"/history/v1.0{sweeps.scope}/experiments/sweep/runs:query", body={})
    assert query.status == 404 or query.json()["value"] == []


def test_resuming_from_nothing(sweeps: Sweeps) -> None:
    """A sweep can't be resumed from what isn't there."""
    assert sweeps.ask(resume_from=[{"run_id": "x"}]).status == 404


def test_other_workspaces(sweeps: Sweeps) -> None:
    """A sweep in another workspace, of another form, or of a run that isn't there, is refused."""
    other = sweeps.scope.replace("workspaces/", "workspaces/other-")
    assert sweeps.client.ask("POST", sweeps.url("/runs", other), body=b"").status == 404
    assert sweeps.client.ask("POST", sweeps.url("/runs"), body=b"x").status == 400
    assert sweeps.client.ask("POST", sweeps.url("/runs/nothing/cancel")).status == 404


def test_an_emulator_that_stops(tmp_path: Path) -> None:
    """Sweeps and children that are going on when the emulator stops have failed when it is started again."""
    with AzureMLEmulator(tmp_path / "state") as emulator:
        sweeps = Sweeps(Client(emulator))
        run_id = sweeps.start(arguments=("--sleep", "600"), max_concurrent_jobs=1)
        sweeps.wait_for(run_id, {"0": "Running"})
    with AzureMLEmulator(tmp_path / "state") as emulator:
        sweeps = Sweeps(Client(emulator))
        assert sweeps.run(run_id)["status"] == "Failed"
        assert "stopped" in sweeps.run(run_id)["error"]["error"]["message"]
        assert sweeps.children(run_id) == {"0": "Failed"}
