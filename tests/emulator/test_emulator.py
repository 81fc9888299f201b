"""The emulator as a whole: it starts, answers, keeps its state, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h11")
pytest.importorskip("certifi")

from mnistkit.emulator import AzureMLEmulator, Fault, Settings
from mnistkit.emulator.synthetic import PINS, write_digits
from mnistkit.errors import ConfigError, NotFoundError, StorageError, UsageError

if TYPE_CHECKING:
    from emulator.conftest import Client

MANAGEMENT = "https://management.azure.com"


def test_a_token_is_needed(client: Client) -> None:
    """Services answer nobody without a good token."""
    url = MANAGEMENT + client.emulator.workspace.scope
    assert client.ask("GET", url).status == 200
    assert client.ask("GET", url, token=None).status == 401
    assert client.ask("GET", url, token="a.b.c").status == 401
    answer = client.ask("GET", url, token=client.emulator.token(seconds=-1))
    assert (answer.status, answer.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")


def test_what_isnt_emulated_is_said_and_noted(client: Client) -> None:
    """An unknown request gets 501, whatever its token, and is recorded."""
    assert client.ask("GET", f"{MANAGEMENT}/nothing", token=None).status == 501
    assert client.ask("PATCH", "/history/v1.0/nothing").status == 501
    assert client.emulator.unknown_requests == (
        "GET management.azure.com/nothing",
        "PATCH 127.0.0.1/history/v1.0/nothing",
    )


def test_a_link_to_a_run(client: Client) -> None:
    """Who follows the link that the SDK prints is told that there is no studio, and nothing of the run."""
    answer = client.ask("GET", "/runs/mine%3Cb%3E?wsid=x", token=None)
    page = answer.data.decode()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "no studio" in page
    assert "mine&lt;b&gt;" in page
    assert client.emulator.unknown_requests == ()


def test_a_bug_is_an_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises answers 500; the emulator goes on."""
    monkeypatch.setattr(client.emulator._tokens, "check", lambda request: 1 / 0)
    assert client.ask("GET", f"{MANAGEMENT}/subscriptions").status == 500
    monkeypatch.undo()
    assert client.ask("GET", f"{MANAGEMENT}/subscriptions").status == 200


def test_state_is_kept(tmp_path: Path) -> None:
    """A stopped emulator that is started again is the same workspace, at the same address, with the same secrets."""
    with AzureMLEmulator(tmp_path) as first:
        names, environment = first.workspace, first.environment()
        token = first.token()
    with AzureMLEmulator(tmp_path) as second:
        assert second.workspace == names
        assert second.environment() == environment
        assert asks(second, token) == 200


def asks(emulator: AzureMLEmulator, token: str) -> int:
    """The status of a request with a token."""
    from emulator.conftest import Client

    return Client(emulator).ask("GET", f"{MANAGEMENT}/subscriptions", token=token).status


def test_new_state_has_a_new_id(tmp_path: Path) -> None:
    """Two workspaces never have the same id: clients keep what they have uploaded under it."""
    with AzureMLEmulator(tmp_path / "one") as one, AzureMLEmulator(tmp_path / "other") as other:
        assert one.workspace.id != other.workspace.id
        assert asks(other, one.token()) == 401


def test_without_state_nothing_stays() -> None:
    """Without a folder of one's own, all is gone when it stops; stopping twice is fine."""
    emulator = AzureMLEmulator().start()
    folder = emulator.bundle.parents[1]
    assert folder.exists()
    emulator.stop()
    emulator.stop()
    assert not folder.exists()


def test_what_killed_emulators_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next emulator removes the folder of one that was killed; one that runs keeps its own, a user any state."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = "import os\nfrom mnistkit.emulator import AzureMLEmulator\nAzureMLEmulator().start()\nos._exit(9)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    (abandoned,) = tmp_path.iterdir()
    kept = tmp_path / "mnistkit-emulator-mine"
    with AzureMLEmulator(kept):
        pass
    with AzureMLEmulator() as running:
        held = running.bundle.parents[1]
        assert abandoned.exists()  # it is young
        for folder in (abandoned, held, kept):
            os.utime(folder / "lock.sqlite", (0, 0))
        with AzureMLEmulator():
            assert not abandoned.exists()
            assert held.exists()
            assert kept.exists()


def test_a_state_has_one_emulator(tmp_path: Path) -> None:
    """A second emulator with the same state is refused, until the first one has ended."""
    with AzureMLEmulator(tmp_path), pytest.raises(StorageError, match="another emulator"):
        AzureMLEmulator(tmp_path).start()
    with AzureMLEmulator(tmp_path):
        pass


def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    """A state that can't be a folder is refused, and the message names it."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(StorageError, match="file"):
        AzureMLEmulator(file).start()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that another one has is refused; the last one of a state is only preferred."""
    with AzureMLEmulator(tmp_path / "one") as one:
        port = int(one.workspace.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=str(port)):
            AzureMLEmulator(port=port).start()
    with AzureMLEmulator(port=port) as other, AzureMLEmulator(tmp_path / "one") as again:
        assert other.workspace.url != again.workspace.url


def test_it_stands_in_for_a_workspace_of_ones_own(tmp_path: Path) -> None:
    """With a config.json the emulator takes that workspace's names."""
    names = {
        "subscription_id": "11111111-2222-3333-4444-555555555555",
        "resource_group": "team",
        "workspace_name": "ml",
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**names, "Scope": "ignored"}))
    with AzureMLEmulator(config=file) as emulator:
        assert emulator.workspace.scope.endswith(
            "/resourceGroups/team/providers/Microsoft.MachineLearningServices/workspaces/ml"
        )
        assert json.loads(emulator.write_config(tmp_path / "written").read_text()) == names


def test_settings_that_cant_be(tmp_path: Path) -> None:
    """Numbers below 0 and a folder that isn't there are refused; a folder may be a text."""
    for wrong in ({"phase_seconds": -1}, {"job_seconds": float("nan")}, {"job_bytes": -1}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Settings(**wrong)  # type: ignore[arg-type]  # what a caller may get wrong
    with pytest.raises(NotFoundError, match=r"There is no folder .*gone"):
        AzureMLEmulator(settings=Settings(data=str(tmp_path / "gone"))).start()  # type: ignore[arg-type]  # as above


def test_its_environment_tells_which_digits_it_serves(tmp_path: Path) -> None:
    """An emulator of synthetic digits names their pins to its clients; with files of the user they expect MNIST."""
    write_digits(tmp_path)
    assert _pins(Settings()) == str(PINS)
    assert _pins(Settings(data=tmp_path)) == ""


def _pins(settings: Settings) -> str | None:
    with AzureMLEmulator(settings=settings) as emulator:
        return emulator.environment().get("MNISTKIT_OPEN_DATASETS_PINS")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"subscription_id": 1, "resource_group": "g", "workspace_name": "w"}']
)
def test_a_wrong_config(tmp_path: Path, text: str) -> None:
    """What isn't a workspace's config.json is refused, and the message names the file."""
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        AzureMLEmulator(config=file)


def test_reset(client: Client) -> None:
    """A reset leaves an empty workspace with a new id, at the same address and with the same credentials."""
    emulator = client.emulator
    before, environment, token = emulator.workspace, emulator.environment(), emulator.token()
    client.ask("GET", f"{MANAGEMENT}/nothing")
    emulator.reset(faults=[Fault("unavailable")], settings=Settings(phase_seconds=1))
    assert emulator.workspace.id != before.id
    assert (emulator.workspace.url, emulator.environment()) == (before.url, environment)
    assert emulator.unknown_requests == ()
    assert [client.ask("GET", f"{MANAGEMENT}/subscriptions", token=token).status for _ in range(2)] == [503, 200]
    emulator.reset()
    assert client.ask("GET", f"{MANAGEMENT}/subscriptions").status == 200


def test_the_environment_is_complete(emulator: AzureMLEmulator) -> None:
    """A client gets the proxy, the certificates, credentials and a home of its own; nothing of the user's is used."""
    given = emulator.environment()
    assert given["https_proxy"] == emulator.workspace.url
    assert given["no_proxy"] == "127.0.0.1,localhost"
    assert given["REQUESTS_CA_BUNDLE"] == given["SSL_CERT_FILE"] == str(emulator.bundle)
    assert Path(given["HOME"]).is_dir()
    assert given["HOME"] != os.environ.get("HOME")
    assert {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"} <= set(given)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_state_is_private(tmp_path: Path) -> None:
    """Nobody else may read the state, with its secrets."""
    with AzureMLEmulator(tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_the_extra_is_named() -> None:
    """Without the extra the message says how to install it; importing the package needs none."""
    code = (
        "import sys; sys.modules['h11'] = None\n"
        "import mnistkit.emulator\n"
        "try:\n    mnistkit.emulator.AzureMLEmulator\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("MissingExtraError The emulator needs the package 'h11'")
    assert "mnistkit[emulator]" in result.stdout


def run_pytest(folder: Path, code: str) -> str:
    """What a pytest of its own says of a test file."""
    (folder / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), "-rA", "test_it.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    ).stdout


def test_the_fixture(tmp_path: Path) -> None:
    """Each test has an empty workspace, at one address, and the environment that leads there; afterwards it is gone."""
    out = run_pytest(
        tmp_path,
        """
import os
seen = []

def test_one(azureml_emulator):
    seen.append(azureml_emulator.workspace)
    assert os.environ["https_proxy"] == azureml_emulator.workspace.url

def test_two(azureml_emulator):
    assert azureml_emulator.workspace.id != seen[0].id
    assert azureml_emulator.workspace.url == seen[0].url

def test_three():
    assert os.environ.get("https_proxy") != seen[0].url
""",
    )
    assert "3 passed" in out, out


def test_the_fixture_fails_on_what_isnt_emulated(tmp_path: Path) -> None:
    """A test that asks for what isn't emulated fails, unless it says that this is fine."""
    out = run_pytest(
        tmp_path,
        """
import pytest, urllib3

def ask(emulator):
    assert urllib3.request("GET", emulator.workspace.url + "/nothing").status == 501

def test_one(azureml_emulator):
    ask(azureml_emulator)

@pytest.mark.azureml_emulator(allow_unknown=True)
def test_two(azureml_emulator):
    ask(azureml_emulator)

def test_three(azureml_emulator):
    pass
""",
    )
    assert "3 passed, 1 error" in out, out
    assert "doesn't emulate: GET 127.0.0.1/nothing" in out


def test_the_fixtures_marker(tmp_path: Path) -> None:
    """The marker gives a test faults and settings of its own."""
    out = run_pytest(
        tmp_path,
        """
import pytest, urllib3
from mnistkit.emulator import Fault

def status(emulator):
    return urllib3.request("GET", emulator.workspace.url + "/discovery", retries=False).status

@pytest.mark.azureml_emulator(faults=[Fault("throttle")])
def test_one(azureml_emulator):
    assert [status(azureml_emulator), status(azureml_emulator)] == [429, 200]

def test_two(azureml_emulator):
    assert status(azureml_emulator) == 200
""",
    )
    assert "2 passed" in out, out


def test_the_fixture_without_the_extra(tmp_path: Path) -> None:
    """Where the extra isn't installed, the test is skipped, and says which."""
    out = run_pytest(
        tmp_path,
        "import sys\nsys.modules['h11'] = None\n\ndef test_one(azureml_emulator):\n    pass\n",
    )
    assert "1 skipped" in out, out
    assert "mnistkit[emulator]" in out
