"""Web services over HTTP: real scoring scripts in processes of their own."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("h11")

from emulator.conftest import Client
from mnistkit.emulator import AzureMLEmulator

PATIENCE = 60.0
SCRIPT = """
import json, os, sys

def init():
    global folder
    folder = os.environ["AZUREML_MODEL_DIR"]
    print("ready to serve")

def run(data):
    if data == "files":
        found = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
        return sorted(os.path.relpath(each, folder) for each in found)
    if data == "where":
        return [folder, os.getcwd(), sorted(name for name in os.environ if "EMULATOR_" in name)]
    if data == "die":
        os._exit(7)
    if data == "exit":
        sys.exit("leaving")
    if data == "odd":
        return object()
    return {"got": json.loads(data), "pid": os.getpid()}
"""


class Services:
    """Web services of a workspace."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.base = f"/modelmanagement/v1.0{client.emulator.workspace.scope}"

    def ask(self, method: str, rest: str, body: Any = None) -> Any:
        """One request to model management."""
        return self.client.ask(method, f"{self.base}{rest}", body=body)

    def upload(self, name: str, content: bytes, container: str = "c") -> str:
        """Keep an artifact; its place."""
        scope = self.client.emulator.workspace.scope
        path = f"/artifact/v2.0{scope}/artifacts/content/LocalUpload/{container}/{name}"
        assert self.client.ask("POST", path, body=content).status == 200
        return f"LocalUpload/{container}/{name}"

    def model(self, name: str, *files: str) -> str:
        """Register a model of a folder with these files, or of one file; its id."""
        places = [self.upload(file, file.encode(), f"of-{name}") for file in files]
        prefix = places[0] if len(files) == 1 else places[0].rpartition("/")[0]
        asset = self.ask("POST", "/assets", {"name": name, "artifacts": [{"prefix": prefix}]}).json()["id"]
        body = {"name": name, "url": f"aml://asset/{asset}", "mimeType": "x"}
        return str(self.ask("POST", "/models", body).json()["id"])

    def image(self, script: str = SCRIPT, models: tuple[str, ...] = (), **variables: str) -> dict[str, Any]:
        """What a service is to be made of."""
        url = f"aml://artifact/{self.upload('score.py', script.encode())}"
        environment = {"environmentVariables": {"AZUREML_ENTRY_SCRIPT": "score.py", **variables}}
        assets = [{"id": "score.py", "url": url, "mimeType": "x"}]
        return {"assets": assets, "modelIds": list(models), "environment": environment, "driverProgram": "x"}

    def deploy(self, name: str = "digits", image: dict[str, Any] | None = None, **fields: Any) -> Any:
        """Deploy a service; the answer."""
        request = self.image() if image is None else image
        body = {"name": name, "computeType": "ACI", "environmentImageRequest": request, **fields}
        return self.ask("POST", "/services", body)

    def outcome(self, answer: Any) -> Any:
        """How the operation that an answer started has ended."""
        assert answer.status == 202, answer.data
        end = time.monotonic() + PATIENCE
        operation = answer.headers["Operation-Location"].rpartition("/")[2]
        while (found := self.ask("GET", f"/operations/{operation}").json())["state"] == "Running":
            assert time.monotonic() < end
        return found

    def score(self, text: str = "[1]", name: str = "digits", key: str = "") -> Any:
        """Ask a service; the answer. No token goes along."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = text.encode()
        return self.client.ask("POST", f"/api/v1/service/{name}/score", body=body, token=None, headers=headers)


@pytest.fixture
def services(client: Client) -> Services:
    """An empty workspace for services."""
    return Services(client)


def test_course_of_a_service(services: Services) -> None:
    """A service becomes Healthy, answers in JSON, has logs, is listed, and is gone after its delete."""
    answer = services.deploy(kvTags={"team": "digits"}, description="mine")
    assert services.outcome(answer)["state"] == "Succeeded"
    service = services.ask("GET", "/services/digits?expand=true").json()
    assert (service["state"], service["computeType"], service["kvTags"]) == ("Healthy", "ACI", {"team": "digits"})
    assert service["scoringUri"].endswith("/api/v1/service/digits/score")
    scored = services.score().json()
    assert scored["got"] == [1]
    assert scored["pid"] != os.getpid()
    assert "ready to serve" in services.ask("GET", "/services/digits/logs?tail=100&init=False").json()["content"]
    assert [each["name"] for each in services.ask("GET", "/services?tags=team&expand=true").json()["value"]] == [
        "digits"
    ]
    assert services.ask("GET", "/services?tags=other").json() == {"value": []}  # a nextLink of null would be followed
    assert services.ask("DELETE", "/services/digits").status == 200
    assert not psutil.pid_exists(scored["pid"])
    assert services.ask("GET", "/services/digits").status == 404
    assert services.ask("DELETE", "/services/digits").status == 204
    assert services.score().status == 404


def test_models_are_where_azure_has_them(services: Services) -> None:
    """A single model's folder is AZUREML_MODEL_DIR; with several it is the one above them all."""
    one, two = services.model("one", "one.pkl"), services.model("two", "net/a.bin", "net/deep/b.bin")
    services.outcome(services.deploy(image=services.image(models=(one,))))
    assert services.score("files").json() == ["one.pkl"]
    folder, app, secrets = services.score("where").json()
    assert folder == f"{app}/azureml-models/one/1"
    assert secrets == ["MNISTKIT_EMULATOR_GROUP", "MNISTKIT_EMULATOR_OWNER"]  # not those of the scoring process
    services.outcome(services.deploy("digits", services.image(models=(one, two)), overwrite=True))
    assert services.score("files").json() == ["one/1/one.pkl", "two/1/net/a.bin", "two/1/net/deep/b.bin"]


def test_a_served_model_cannot_be_deleted(services: Services) -> None:
    """A model can be deleted once no service serves it."""
    model = services.model("one", "one.pkl")
    services.outcome(services.deploy(image=services.image(models=(model,))))
    assert services.ask("DELETE", f"/models/{model}").status == 400
    services.ask("DELETE", "/services/digits")
    assert services.ask("DELETE", f"/models/{model}").status == 200


def test_keys(services: Services) -> None:
    """With keys asked for, only a request with one of them is answered; a key can be replaced."""
    services.outcome(services.deploy(authEnabled=True, keys={"primaryKey": "one", "secondaryKey": None}))
    keys = services.ask("POST", "/services/digits/listkeys").json()
    assert keys["primaryKey"] == "one"
    assert [services.score(key=key).status for key in ("", "wrong", *keys.values())] == [401, 401, 200, 200]
    assert services.ask("POST", "/services/digits/regenerateKeys", {"keyType": "Primary"}).status == 202
    assert services.score(key="one").status == 401
    assert services.ask("POST", "/services/digits/regenerateKeys", {"keyType": "Golden"}).status == 400


def test_keys_cannot_be_gone_around(services: Services) -> None:
    """Who finds the scoring process's own port gets no answer from it."""
    services.outcome(services.deploy(authEnabled=True, keys={"primaryKey": "one"}))
    process = psutil.Process(services.score(key="one").json()["pid"])
    ports = [each.laddr.port for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
    assert ports
    for port in ports:
        direct = services.client._direct.request("POST", f"http://127.0.0.1:{port}/score", body=b"[1]")
        assert direct.status == 403


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("def init():\n    raise RuntimeError('no such model')\n", "RuntimeError: no such model"),
        ("import not_there\n", "ModuleNotFoundError"),
        ("def init(:\n", "SyntaxError"),
        ("def run(data):\n    return 1\n", "init"),
        ("import sys\ndef init():\n    sys.exit('enough')\n", "enough"),
    ],
)
def test_failing_scripts(services: Services, script: str, message: str) -> None:
    """A script that fails before it can be asked makes the service Failed, with its traceback in error and logs."""
    outcome = services.outcome(services.deploy(image=services.image(script)))
    assert outcome["state"] == "Failed"
    assert message in json.dumps(outcome["error"])
    service = services.ask("GET", "/services/digits").json()
    assert (service["state"], service["scoringUri"]) == ("Failed", None)
    assert message in services.ask("GET", "/services/digits/logs").json()["content"]
    assert services.score().status == 503


def test_failing_requests(services: Services) -> None:
    """A request that the script can't answer fails alone; the log says why."""
    services.outcome(services.deploy())
    for text, trace in (("{", "JSONDecodeError"), ("exit", "leaving"), ("odd", "TypeError")):
        assert services.score(text).status == 502
        assert trace in services.ask("GET", "/services/digits/logs").json()["content"]
    assert services.score().status == 200
    assert len(services.ask("GET", "/services/digits/logs?tail=2").json()["content"].splitlines()) == 2


def test_a_script_that_dies(services: Services) -> None:
    """A service whose process has ended is Unhealthy, and says so to who asks it."""
    services.outcome(services.deploy())
    assert services.score("die").status == 502
    end = time.monotonic() + PATIENCE
    while services.ask("GET", "/services/digits").json()["state"] != "Unhealthy":
        assert time.monotonic() < end
    assert services.score().status == 503


def test_names_are_taken_once(services: Services) -> None:
    """A name that is taken is refused, and the check before says so; with overwrite the old process goes."""
    services.outcome(services.deploy())
    before = services.score().json()["pid"]
    assert services.deploy().status == 409
    check = {"type": "Create", "serviceName": "digits", "createRequest": {"name": "digits"}}
    assert "already" in services.ask("POST", "/services/validate", check).json()["error"]["message"]
    assert "already" in services.ask("POST", "/services/validate/name/digits", {}).json()["error"]["message"]
    assert services.ask("POST", "/services/validate/name/other", {}).json() == {}
    services.outcome(services.deploy(overwrite=True))
    assert services.score().json()["pid"] != before
    assert not psutil.pid_exists(before)


def test_update(services: Services) -> None:
    """Tags and keys change in place; another script is deployed, and the old process goes."""
    services.outcome(services.deploy())
    patch = [
        {"op": "replace", "path": "/authEnabled", "value": True},
        {"op": "add", "path": "/properties/a", "value": "b"},
    ]
    changed = services.ask("PATCH", "/services/digits", patch)
    assert (changed.status, changed.json()["properties"]) == (200, {"a": "b"})
    assert services.score().status == 401
    key = services.ask("POST", "/services/digits/listkeys").json()["primaryKey"]
    image = services.image("def init(): pass\ndef run(data): return 'new'\n")
    patch = [{"op": "replace", "path": "/environmentImageRequest", "value": image}]
    assert services.outcome(services.ask("PATCH", "/services/digits", patch))["state"] == "Succeeded"
    assert services.score(key=key).json() == "new"
    assert (
        services.ask("PATCH", "/services/digits", [{"op": "add", "path": "/sslEnabled", "value": True}]).status == 400
    )


def archive(*members: tuple[str, bytes | None]) -> bytes:
    """A tar file; a member without content is a link to the system's passwords."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def test_source_folders(services: Services) -> None:
    """A folder of scripts is unpacked, and its modules can be imported by the entry script."""
    script = b"import helper\ndef init(): pass\ndef run(data): return helper.WORD\n"
    content = archive(("src/score.py", script), ("src/helper.py", b"WORD = 'helped'\n"))
    url = f"aml://artifact/{services.upload('src.tar.gz', content)}"
    image = services.image(AZUREML_ENTRY_SCRIPT="src/score.py")
    image["assets"] = [{"id": "src.tar.gz", "url": url, "unpack": True}]
    assert services.outcome(services.deploy(image=image))["state"] == "Succeeded"
    assert services.score().json() == "helped"


@pytest.mark.parametrize("member", [("../out.py", b"x"), ("/out.py", b"x"), ("a/../../out.py", b"x"), ("link", None)])
def test_hostile_archives(services: Services, member: tuple[str, bytes | None]) -> None:
    """An archive whose members lead out of the service's folder is refused, and nothing is left of it."""
    url = f"aml://artifact/{services.upload('src.tar.gz', archive(('score.py', SCRIPT.encode()), member))}"
    image = services.image()
    image["assets"] = [{"id": "src.tar.gz", "url": url, "unpack": True}]
    assert services.deploy(image=image).status == 400
    assert services.ask("GET", "/services").json() == {"value": []}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": "../digits"}, 400),
        ({"name": "Digits"}, 400),
        ({"computeType": "AKS"}, 400),
        ({"sslEnabled": True}, 400),
        ({"dnsNameLabel": "mine"}, 400),
        ({"vnetConfiguration": {"vnetName": "x"}}, 400),
        ({"dataCollection": {"storageEnabled": True}}, 400),
        ({"surprise": 1}, 400),
        ({"environmentImageRequest": {"modelIds": ["nothing:1"]}}, 404),
        ({"environmentImageRequest": {"assets": [{"id": "x", "url": "https://example.com/x"}]}}, 400),
        ({"environmentImageRequest": {"assets": [{"id": "x", "url": "aml://artifact/a/b/nothing"}]}}, 404),
    ],
)
def test_refused(services: Services, fields: dict[str, Any], status: int) -> None:
    """Names like paths, and what isn't emulated or isn't there, are refused."""
    assert services.deploy(**fields).status == status
    assert services.ask("GET", "/services").json() == {"value": []}


@pytest.mark.parametrize("entry", ["../score.py", "/etc/passwd", "nothing.py", ""])
def test_entry_scripts_stay_inside(services: Services, entry: str) -> None:
    """An entry script that isn't among the files of the service is refused."""
    assert services.deploy(image=services.image(AZUREML_ENTRY_SCRIPT=entry)).status == 400


def test_an_asset_cannot_be_put_elsewhere(services: Services) -> None:
    """An asset's id is its path below the service's folder, and no other."""
    image = services.image()
    image["assets"][0]["id"] = "../../score.py"
    assert services.deploy(image=image).status == 400


def test_services_end_with_the_emulator(tmp_path: Path) -> None:
    """No process is left when the emulator stops; opened again, the service has failed and says what to do."""
    with AzureMLEmulator(tmp_path / "state") as emulator:
        services = Services(Client(emulator))
        services.outcome(services.deploy())
        process = services.score().json()["pid"]
    assert not psutil.pid_exists(process)
    with AzureMLEmulator(tmp_path / "state") as emulator:
        services = Services(Client(emulator))
        assert services.ask("GET", "/services/digits").json()["state"] == "Failed"
        assert "overwrite=True" in services.ask("GET", "/services/digits/logs").json()["content"]
        assert services.score().status == 503
        services.outcome(services.deploy(overwrite=True))
        assert services.score().status == 200
