"""Managed online endpoints of the SDK v2: deployments, traffic, keys, logs, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import joblib
import numpy as np
import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure.ai.ml.entities import CodeConfiguration, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from sklearn.linear_model import LogisticRegression

SCORE = """
import json, os

def init():
    global factor
    folder = os.environ["AZUREML_MODEL_DIR"]
    factor = int(open(os.path.join(folder, "factor.txt")).read()) * int(os.environ.get("SCALE", "1"))
    print("factor", factor)

def run(text):
    return [factor * value for value in json.loads(text)["data"]]
"""


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A request with two numbers."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"data": [1, 2]}))
    return file


@pytest.fixture
def endpoint(workspace: Any) -> str:
    """An endpoint without deployments."""
    made = workspace.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="digits", auth_mode="key"))
    return str(made.result().name)


def deployment(tmp_path: Path, endpoint: str, name: str, script: str = SCORE, **variables: str) -> Any:
    """Return the description of a deployment, with its code and its model beside it."""
    code, model = tmp_path / f"code-{name}", tmp_path / "factor.txt"
    code.mkdir(exist_ok=True)
    (code / "score.py").write_text(script)
    model.write_text("3")
    return ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model=Model(name="factor", version="1", path=str(model)),
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"),
        environment="azureml://registries/azureml/environments/sklearn-1.5/versions/1",
        environment_variables=variables,
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )


def score(endpoints: Any, endpoint: str, key: str = "") -> tuple[str | None, Any]:
    """Return the deployment that a request reaches by the traffic alone, and its response.

    The SDK's ``invoke`` keeps the deployment of an earlier call in its headers.
    """
    key = key or endpoints.get_keys(endpoint).primary_key
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    uri = endpoints.get(endpoint).scoring_uri
    with urlopen(Request(uri, b'{"data": [1, 2]}', headers), timeout=60) as response:  # noqa: S310 - the emulator
        return response.headers["azureml-model-deployment"], json.load(response)


def test_two_deployments_share_an_endpoint(workspace: Any, endpoint: str, request_file: Path, tmp_path: Path) -> None:
    """Each deployment answers by name; traffic goes where it is sent; logs, keys and deletion are the endpoint's."""
    deployments, endpoints = workspace.online_deployments, workspace.online_endpoints
    for name, scale in (("blue", "1"), ("green", "10")):
        made = deployments.begin_create_or_update(deployment(tmp_path, endpoint, name, SCALE=scale)).result()
        assert made.provisioning_state == "Succeeded"

    def invoke(**options: str) -> Any:
        return json.loads(endpoints.invoke(endpoint_name=endpoint, request_file=str(request_file), **options))

    assert invoke(deployment_name="blue") == [3, 6]
    assert invoke(deployment_name="green") == [30, 60]
    found = endpoints.get(endpoint)
    found.traffic, found.mirror_traffic = {"green": 100}, {"blue": 50}
    endpoints.begin_create_or_update(found).result()
    assert score(endpoints, endpoint) == ("green", [30, 60])
    with pytest.raises(HTTPError, match="401"):
        score(endpoints, endpoint, key="wrong")
    assert "factor 30" in deployments.get_logs(name="green", endpoint_name=endpoint, lines=20)
    before = endpoints.get_keys(endpoint).primary_key
    endpoints.begin_regenerate_keys(endpoint, key_type="primary").wait()
    assert endpoints.get_keys(endpoint).primary_key != before
    assert {each.name for each in deployments.list(endpoint)} == {"blue", "green"}
    with pytest.raises(HttpResponseError, match="has traffic"):
        deployments.begin_delete(name="green", endpoint_name=endpoint).result()
    endpoints.begin_delete(endpoint).wait()
    with pytest.raises(ResourceNotFoundError):
        endpoints.get(endpoint)


def test_an_mlflow_model_needs_no_script(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A model with an ``MLmodel`` beside its file predicts rows as they are sent."""
    folder = tmp_path / "model"
    folder.mkdir()
    X, y = np.array([[0.0, 0.0], [1.0, 1.0], [0.1, 0.0], [0.9, 1.0]]), np.array([0, 7, 0, 7])
    joblib.dump(LogisticRegression().fit(X, y), folder / "model.pkl")
    (folder / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n"
    )
    model = Model(name="two", version="1", path=str(folder), type="mlflow_model")
    described = ManagedOnlineDeployment(
        name="blue", endpoint_name=endpoint, model=model, instance_type="Standard_DS3_v2", instance_count=1
    )
    workspace.online_deployments.begin_create_or_update(described).result()
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"input_data": [[0.0, 0.1], [1.0, 0.9]]}))
    answer = workspace.online_endpoints.invoke(endpoint_name=endpoint, request_file=str(file), deployment_name="blue")
    assert json.loads(answer) == [0, 7]


def test_a_script_that_fails(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """A script whose ``init`` raises is a deployment that fails, with the last lines of its log."""
    broken = deployment(tmp_path, endpoint, "blue", "def init():\n    raise OSError('no weights')\n")
    with pytest.raises(HttpResponseError, match="no weights"):
        workspace.online_deployments.begin_create_or_update(broken, skip_script_validation=True).result()
    assert workspace.online_deployments.get("blue", endpoint).provisioning_state == "Failed"


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_what_cannot_be_deployed(workspace: Any, endpoint: str, tmp_path: Path) -> None:
    """Traffic to no deployment, a missing model, and a model without a script are refused with the reason."""
    found = workspace.online_endpoints.get(endpoint)
    found.traffic = {"blue": 100}
    with pytest.raises(HttpResponseError, match="no deployment 'blue'"):
        workspace.online_endpoints.begin_create_or_update(found).result()
    with pytest.raises(HTTPError, match="404"):
        score(workspace.online_endpoints, endpoint)
    plain = deployment(tmp_path, endpoint, "blue")
    plain.code_configuration = None
    with pytest.raises(HttpResponseError, match="needs a scoring script"):
        workspace.online_deployments.begin_create_or_update(plain).result()
