"""The resources that the SDK v2 uses, requested without it: assets, models, jobs and their expressions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")

from emulator.runs_client import answer, cluster, scope, submit, wait
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.v2.commands import CommandJob, expand
from mnistkit.emulator.v2.resources import name_in, parts_of, seconds_of

if TYPE_CHECKING:
    from emulator.conftest import Client

MANAGEMENT = "https://management.azure.com"
DEADLINE = 60.0


def arm(client: Client, method: str, path: str, properties: Any = None, status: int = 200) -> Any:
    """What Azure Resource Manager answers about a resource of the workspace."""
    url = f"{MANAGEMENT}{client.emulator.workspace.scope}/{path}"
    body = None if properties is None else {"properties": properties}
    return answer(client.ask(method, url, body=body), status)


def upload(client: Client, name: str, files: dict[str, str]) -> str:
    """The id of a code asset with some files."""
    told = arm(client, "POST", f"codes/{name}/versions/1/startPendingUpload", {})["blobReferenceForConsumption"]
    base, _, signature = told["credential"]["sasUri"].partition("?")
    for path, text in files.items():
        headers = {"x-ms-blob-type": "BlockBlob"}
        put = client.ask("PUT", f"{base}/src/{path}?{signature}", body=text.encode(), token=None, headers=headers)
        assert put.status == 201
    return str(arm(client, "PUT", f"codes/{name}/versions/1", {"codeUri": f"{told['blobUri']}/src"}, 201)["id"])


def finished(client: Client, name: str) -> Any:
    """A job's properties when it has ended."""
    end = time.monotonic() + DEADLINE
    while (job := arm(client, "GET", f"jobs/{name}")["properties"])["status"] not in {"Completed", "Failed"}:
        assert time.monotonic() < end, job
        time.sleep(0.05)
    return job


def test_a_command_job(client: Client) -> None:
    """A job gets its code, inputs and outputs; what it leaves becomes an asset, and a model that v1 sees too."""
    script = (
        "import sys, pathlib\npathlib.Path(sys.argv[2], 'm.txt').write_text(pathlib.Path(sys.argv[1]).read_text())\n"
    )
    code = upload(client, "code", {"copy.py": script, "data/in.txt": "hello"})
    inputs = {
        "text": {"jobInputType": "uri_file", "uri": f"{code_uri(client)}/data/in.txt"},
        "skipped": None,
    }
    sent = {
        "jobType": "Command",
        "codeId": code,
        "command": "python copy.py ${{inputs.text}} ${{outputs.out}} $[[--more ${{inputs.skipped}}]]",
        "inputs": inputs,
        "outputs": {"out": {"jobOutputType": "custom_model", "assetName": "made"}},
        "experimentName": "exp",
        "tags": {"a": "b"},
    }
    assert arm(client, "PUT", "jobs/one", sent, 201)["properties"]["status"]
    job = finished(client, "one")
    assert (job["status"], job["experimentName"], job["tags"]) == ("Completed", "exp", {"a": "b"})
    assert arm(client, "PUT", "jobs/one", sent)["name"] == "one"  # a repeated request changes nothing
    assert [each["name"] for each in arm(client, "GET", "jobs")["value"]] == ["one"]
    data = answer(client.ask("POST", f"{scope(client, 'history/v1.0')}/rundata", body={"runId": "one"}))
    assert data["runMetadata"]["outputs"]["out"]["type"] == "CustomModel"
    model = arm(client, "GET", "models/made/versions/1")["properties"]
    assert model["modelUri"].endswith("/datastores/workspaceblobstore/paths/azureml/one/out/")
    older = answer(client.ask("GET", f"{scope(client, 'modelmanagement/v1.0')}/models/made:1"))
    assert (older["name"], older["runId"]) == ("made", "one")


def code_uri(client: Client) -> str:
    """The folder of the code asset ``code``."""
    return str(arm(client, "GET", "codes/code/versions/1")["properties"]["codeUri"])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"command": None}, "has no command"),
        ({"command": "echo ${{inputs.lr}}"}, "has no 'inputs.lr'"),
        ({"inputs": {"d": {"jobInputType": "uri_file", "uri": "azureml://datastores/x/paths/y"}}}, "no datastore 'x'"),
        ({"computeId": "nowhere"}, "no compute target 'nowhere'"),
        ({"jobType": "Spark"}, "type 'Spark' aren't emulated"),
        ({"limits": {"timeout": "soon"}}, "isn't a duration"),
        ({"distribution": {"distributionType": "Ray"}}, "'ray' aren't emulated"),
        ({"resources": {"instanceCount": 9}}, "at most here"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_jobs_that_cannot_run(client: Client, changes: dict[str, Any], why: str) -> None:
    """What can't be run is refused when it is submitted, or fails with the reason; nothing is left half made."""
    sent = {"jobType": "Command", "command": "true", **changes}
    response = client.ask("PUT", f"{MANAGEMENT}{client.emulator.workspace.scope}/jobs/bad", body={"properties": sent})
    if response.status == 201:
        assert finished(client, "bad")["status"] == "Failed"
        url = f"{scope(client, 'history/v1.0')}/runs/bad/details"
        assert why in answer(client.ask("GET", url))["error"]["error"]["message"]
    else:
        assert why in answer(response, response.status)["error"]["message"]


def test_versions_never_change(client: Client) -> None:
    """A version's path and definition are fixed; description, tags and the archive can change."""
    path = "azureml://datastores/workspaceblobstore/paths/a"
    sent = {"dataUri": path, "dataType": "uri_folder"}
    assert arm(client, "PUT", "data/d/versions/1", sent, 201)["properties"]["provisioningState"] == "Succeeded"
    changed = arm(client, "PUT", "data/d/versions/1", {**sent, "tags": {"x": "1"}, "isArchived": True})
    assert changed["properties"]["tags"] == {"x": "1"}
    assert arm(client, "GET", "data/d/versions")["value"] == []
    assert len(arm(client, "GET", "data/d/versions?listViewType=All")["value"]) == 1
    refused = arm(client, "PUT", "data/d/versions/1", {**sent, "dataUri": f"{path}/b"}, 400)
    assert refused["error"]["message"] == "Asset paths cannot be updated."  # the SDK compares the text
    assert arm(client, "GET", "data/d")["properties"]["nextVersion"] == "2"
    arm(client, "PUT", "environments/e/versions/1", {"image": "i"}, 201)
    assert (
        "can't be changed" in arm(client, "PUT", "environments/e/versions/1", {"image": "j"}, 409)["error"]["message"]
    )
    assert arm(client, "GET", "environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu")["properties"]["latestVersion"]


def test_models_of_a_path_that_is_not_there(client: Client) -> None:
    """A model is made of files; a number is taken once, and stays taken."""
    where = "azureml://datastores/workspaceblobstore/paths/none"
    assert "no files" in arm(client, "PUT", "models/m/versions/1", {"modelUri": where}, 404)["error"]["message"]
    upload(client, "code", {"w.txt": "w"})
    sent = {"modelUri": f"{code_uri(client)}/w.txt"}
    arm(client, "PUT", "models/m/versions/7", sent, 201)
    assert arm(client, "GET", "models/m")["properties"]["nextVersion"] == "8"
    assert "positive number" in arm(client, "PUT", "models/m/versions/new", sent, 400)["error"]["message"]


def test_expressions() -> None:
    """Expressions are replaced by values, an optional part without its value is left out, unknown ones are refused."""
    values = {"inputs.a": "1", "outputs.b": "/b"}
    assert (
        expand("x ${{ inputs.a }} ${{outputs.b}} $[[--c ${{inputs.c}}]]$[[--a ${{inputs.a}}]]", values)
        == "x 1 /b --a 1"
    )
    with pytest.raises(Refusal, match=r"has no 'inputs.c'; it has inputs.a, outputs.b"):
        expand("${{inputs.c}}", values)


def test_ids_and_durations() -> None:
    """Names come out of ids, and durations are ISO 8601."""
    assert name_in("/subscriptions/s/x/computes/cpu", "computes") == name_in("cpu", "computes") == "cpu"
    assert parts_of("/subscriptions/s/models/m/versions/2", "models") == ("m", "2")
    assert [seconds_of(each) for each in (None, "PT5M", "P1DT2H3.5S", 60)] == [None, 300.0, 93603.5, 60.0]
    for wrong in ("5m", "P", "PT"):
        with pytest.raises(Refusal, match="isn't a duration"):
            seconds_of(wrong)


def test_several_processes() -> None:
    """A job's processes are those of its distribution, on the instances of its resources."""
    sent = {
        "command": "x",
        "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 2},
        "resources": {"instanceCount": 2},
    }
    job = CommandJob.of(sent, outputs_uri="", conda_file=None)
    assert (job.plan.distribution.kind, job.plan.distribution.processes) == ("pytorch", 4)
    assert job.plan.target == "serverless"


def test_what_v1_made_is_seen(client: Client) -> None:
    """A model, a run's job and a datastore of the SDK v1 are resources of the same workspace."""
    base = scope(client, "modelmanagement/v1.0")
    asset = {"name": "m", "artifacts": [{"prefix": "LocalUpload/here/model.pkl"}]}
    url = f"aml://asset/{answer(client.ask('POST', f'{base}/assets', body=asset))['id']}"
    sent = {"name": "digits", "url": url, "mimeType": "application/json", "kvTags": {"a": "b"}}
    answer(client.ask("POST", f"{base}/models", body=sent))
    model = arm(client, "GET", "models/digits/versions/1")["properties"]
    assert model["modelUri"].endswith("/datastores/workspaceartifactstore/paths/LocalUpload/here/model.pkl")
    assert (model["modelType"], model["tags"]) == ("custom_model", {"a": "b"})
    assert [each["name"] for each in arm(client, "GET", "models")["value"]] == ["digits"]
    cluster(client)
    submit(client, "older", "print('hello')")
    wait(client, "older", "Completed")
    job = arm(client, "GET", "jobs/older")["properties"]
    assert (job["jobType"], job["status"], job["experimentName"]) == ("Command", "Completed", "digits")
    assert "python" in job["command"]
    names = [each["name"] for each in arm(client, "GET", "datastores")["value"]]
    assert names == ["workspaceblobstore", "workspaceartifactstore"]
    assert arm(client, "POST", "datastores/workspaceblobstore/listSecrets", {})["secretsType"] == "AccountKey"
