"""The real SDK deploys models as web services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import requests
from azureml.core import Environment, Model, Webservice, Workspace
from azureml.core.model import InferenceConfig
from azureml.core.webservice import AciWebservice
from azureml.exceptions import WebserviceException

SCORE = """
import json, os, pickle
from azureml.core.model import Model

def init():
    global weights
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"), "rb") as file:
        weights = pickle.load(file)
    assert Model.get_model_path("digits").endswith("model.pkl")
    print("loaded", weights)

def run(raw_data):
    data = json.loads(raw_data)["data"]
    return [sum(one * weight for one, weight in zip(row, weights)) for row in data]
"""


@pytest.fixture
def model(workspace: Workspace) -> Model:
    """A registered model: two weights."""
    import pickle

    Path("model.pkl").write_bytes(pickle.dumps([2, 3]))
    return Model.register(workspace, "model.pkl", "digits")


def deploy(
    workspace: Workspace, model: Model, script: str = SCORE, name: str = "digits-service", **options: object
) -> Webservice:
    """Deploy a scoring script with a model, as the tutorial does."""
    Path("score.py").write_text(script)
    configuration = InferenceConfig(entry_script="score.py", environment=Environment("serving"))
    overwrite = bool(options.pop("overwrite", False))
    target = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1, **options)
    return Model.deploy(workspace, name, [model], configuration, target, overwrite=overwrite)


def test_deploy_and_run(workspace: Workspace, model: Model) -> None:
    """A service answers with what the script returns, has logs, is found by name, and can be deleted."""
    service = deploy(workspace, model, tags={"data": "mnist"}, description="digits")
    service.wait_for_deployment()
    assert (service.state, service.tags, service.description) == ("Healthy", {"data": "mnist"}, "digits")
    assert service.run(json.dumps({"data": [[1, 1], [10, 0]]})) == [5, 20]
    assert "loaded [2, 3]" in service.get_logs()
    assert list(workspace.webservices) == ["digits-service"]
    assert Webservice(workspace, "digits-service").scoring_uri == service.scoring_uri
    assert [each.name for each in Webservice.list(workspace, model_name="digits")] == ["digits-service"]
    answer = requests.post(service.scoring_uri, data=json.dumps({"data": [[1, 0]]}), timeout=60)
    assert answer.json() == [2]
    service.delete()
    assert workspace.webservices == {}


def test_keys(workspace: Workspace, model: Model) -> None:
    """With authentication a request needs one of the keys; the SDK brings it along."""
    service = deploy(workspace, model, auth_enabled=True)
    service.wait_for_deployment()
    body = json.dumps({"data": [[1, 1]]})
    assert service.run(body) == [5]
    codes = [
        requests.post(
            service.scoring_uri, data=body, headers={"Authorization": f"Bearer {key}"}, timeout=60
        ).status_code
        for key in ("wrong", *service.get_keys())
    ]
    assert codes == [401, 200, 200]


def test_failed_init(workspace: Workspace, model: Model) -> None:
    """A script that can't be initialised fails the deployment, which names the reason, as the logs do."""
    service = deploy(workspace, model, "def init():\n    raise RuntimeError('no such weights')\n")
    with pytest.raises(WebserviceException, match="no such weights"):
        service.wait_for_deployment()
    assert service.state == "Failed"
    assert "no such weights" in service.get_logs()


def test_failed_request(workspace: Workspace, model: Model) -> None:
    """A request that the script can't answer is an error; the service goes on."""
    service = deploy(workspace, model)
    service.wait_for_deployment()
    with pytest.raises(WebserviceException, match="get_logs"):
        service.run("no json")
    assert "JSONDecodeError" in service.get_logs()
    assert service.run(json.dumps({"data": []})) == []


def test_update_and_overwrite(workspace: Workspace, model: Model) -> None:
    """Tags and authentication can be updated; the name can be deployed to again only with overwrite."""
    service = deploy(workspace, model)
    service.wait_for_deployment()
    service.update(tags={"a": "b"}, auth_enabled=True)
    assert (service.tags, service.auth_enabled) == ({"a": "b"}, True)
    with pytest.raises(WebserviceException, match="already"):
        deploy(workspace, model)
    again = deploy(workspace, model, "def init(): pass\ndef run(data): return 'new'\n", overwrite=True)
    again.wait_for_deployment()
    assert again.run("") == "new"


def test_a_served_model_stays(workspace: Workspace, model: Model) -> None:
    """A model that is served can't be deleted."""
    service = deploy(workspace, model)
    with pytest.raises(WebserviceException, match="400"):
        model.delete()
    service.delete()
    model.delete()
