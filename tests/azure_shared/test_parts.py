"""What of the Azure backend needs no SDK: settings, the way to a workspace, what travels, and what runs on nodes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mnistkit.azureml import connect
from mnistkit.azureml.cluster import ClusterSettings
from mnistkit.azureml.failures import failure
from mnistkit.azureml.node.layout import JOB_FOLDER, LIBRARY_FILE, RUN_FOLDER
from mnistkit.azureml.runs.staging import ENTRY, stage
from mnistkit.azureml.v1.compute import AmlCompute
from mnistkit.azureml.v1.environments import environment_of
from mnistkit.azureml.v1.workspace import login
from mnistkit.azureml.workspace import find_config
from mnistkit.errors import (
    AuthenticationError,
    ConfigError,
    InvalidNameError,
    MissingExtraError,
    MnistkitError,
    NotFoundError,
    QuotaError,
    ServiceError,
    ServiceTimeoutError,
    SpecError,
    ThrottledError,
    UsageError,
)
from mnistkit.interfaces import DataSource
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.context import read_points

HAS_SDK = importlib.util.find_spec("azureml") is not None
MODULE = "mnistkit.azureml.v1.node"
NAMES = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder for a script."""
    folder = tmp_path / "script"
    folder.mkdir()
    return folder


# Bad input


@pytest.mark.skipif(HAS_SDK, reason="the SDK is installed")
def test_without_the_extra_the_extra_is_named() -> None:
    """Without the SDK, connecting says which extra brings it, or that there is none for this Python."""
    with pytest.raises(MissingExtraError, match=r"mnistkit\[azure-v1\]"):
        connect()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "1-begins-with-a-digit"}, InvalidNameError, "letter"),
        ({"name": "under_score"}, InvalidNameError, "under_score"),
        ({"name": "local"}, InvalidNameError, "local"),
        ({"vm_size": "huge"}, UsageError, "STANDARD_D2_V2"),
        ({"min_nodes": 3, "max_nodes": 2}, UsageError, "above max_nodes=2"),
        ({"min_nodes": -1}, UsageError, "at least 0"),
        ({"max_nodes": 0}, UsageError, "at least 1"),
        ({"max_nodes": "4"}, UsageError, "whole number"),
        ({"idle_seconds": -1}, UsageError, "idle_seconds"),
        ({"submit_with": "magic"}, UsageError, "script_run_config"),
        ({"mode": "copy"}, UsageError, "download"),
        ({"max_run_duration_seconds": 0}, UsageError, "at least 1"),
    ],
)
def test_bad_settings_are_refused_before_any_call(
    options: dict[str, Any], error: type[MnistkitError], says: str
) -> None:
    """What Azure would refuse is refused when the backend is made, which asks nobody."""
    with pytest.raises(error, match=says):
        AmlCompute(**options)


def test_settings_come_from_the_tutorials_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the tutorial fill in what isn't given, as numbers; what isn't one is a `ConfigError`."""
    monkeypatch.setenv("AML_COMPUTE_CLUSTER_NAME", "mine")
    monkeypatch.setenv("AML_COMPUTE_CLUSTER_MAX_NODES", "7")
    settings = ClusterSettings.of(min_nodes=1)
    assert (settings.name, settings.vm_size, settings.min_nodes, settings.max_nodes) == ("mine", "STANDARD_D2_V2", 1, 7)
    monkeypatch.setenv("AML_COMPUTE_CLUSTER_MAX_NODES", "many")
    with pytest.raises(ConfigError, match="AML_COMPUTE_CLUSTER_MAX_NODES is 'many'"):
        ClusterSettings.of()


def test_config_is_found_as_the_sdk_does(tmp_path: Path) -> None:
    """A workspace's file is found in .azureml, aml_config or the folder itself, upwards, .azureml first."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps(NAMES))
    assert find_config(below).found_in == tmp_path / "config.json"
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml" / "config.json").write_text(json.dumps({**NAMES, "workspace_name": "other"}))
    assert find_config(below).name == "other"
    assert find_config(tmp_path / "config.json").name == "w"


def test_no_config_says_where_it_looked(tmp_path: Path) -> None:
    """Where there is no config.json, the error names the folders that were looked through."""
    with pytest.raises(NotFoundError, match=r"\.azureml.*aml_config") as caught:
        find_config(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_config_that_isnt_there_is_told(tmp_path: Path) -> None:
    """A file that was named and isn't there is no reason to take another workspace, above it."""
    (tmp_path / "config.json").write_text(json.dumps(NAMES))
    with pytest.raises(NotFoundError, match=r"There is no .*other\.json: name"):
        find_config(tmp_path / "other.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Scope": "/a"}', json.dumps({**NAMES, "workspace_name": 3})])
def test_a_broken_config_is_told(tmp_path: Path, text: str) -> None:
    """A config.json that names no workspace is a `ConfigError` with its path."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        find_config(tmp_path)


def test_no_credentials_names_the_ways_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any credentials nobody is asked: the error names what is missing, and the ways to log in."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TENANT_ID", "t")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AuthenticationError, match=r"AZURE_CLIENT_ID, AZURE_CLIENT_SECRET not set.*az login"):
        login()
    with pytest.raises(UsageError, match="service-principal, managed-identity, cli, interactive"):
        login("password")


class Answer(Exception):  # noqa: N818 - as the SDK's carry a response
    """An error with an HTTP status."""

    def __init__(self, status: int | None, text: str) -> None:
        super().__init__(text)
        if status is not None:
            self.status_code = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Answer(401, "no"), AuthenticationError),
        (Answer(403, "no"), AuthenticationError),
        (Answer(None, "AADSTS7000215: Invalid client secret provided"), AuthenticationError),
        (Answer(429, "slow down"), ThrottledError),
        (Answer(None, "Response Code: 429 Headers: ..."), ThrottledError),
        (ValueError("OIDC Discovery failed on https://x. HTTP status: 429, Error: slow down"), ThrottledError),
        (
            ValueError("Unable to get authority configuration. Also please double check your tenant name"),
            AuthenticationError,
        ),
        (Answer(None, "You are logged-in to x tenant. You don't have access to s subscription"), AuthenticationError),
        (Answer(404, "gone"), NotFoundError),
        (Answer(400, "QuotaExceeded: 4 cores are left"), QuotaError),
        (Answer(504, "late"), ServiceTimeoutError),
        (TimeoutError("timed out"), ServiceTimeoutError),
        (Answer(500, "oops"), ServiceError),
        (ConnectionError("refused"), ServiceError),
        (Answer(400, "bad"), ServiceError),
    ],
    ids=str,
)
def test_what_goes_wrong_has_its_error(error: Exception, kind: type[MnistkitError]) -> None:
    """Statuses, and where there is none what the SDK says, become errors of ours that name what was done."""
    found = failure(error, "testing")
    assert type(found) is kind
    assert "testing failed" in str(found)


_POOL = "HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /x (Caused by "
_REFUSED = (
    "ProxyError('Unable to connect to proxy', NewConnectionError(\"HTTPSConnection(host='127.0.0.1', port=39869): "
    'Failed to establish a new connection: [Errno 111] Connection refused")))'
)
_REFUSED_TOLD = (
    " through the proxy 127.0.0.1:39869: Unable to connect to proxy, Failed to establish a new connection: "
    "Connection refused. That is on this machine: has the program behind it ended?"
)
_UNKNOWN = (
    "NameResolutionError(\"HTTPSConnection(host='x', port=443): Failed to resolve 'x' ([Errno -3] No such name)\"))"
)
_ABORTED = "ProtocolError(<urllib3.connection.HTTPSConnection object at 0x7f>, 'Connection aborted.'))"


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (_REFUSED, _REFUSED_TOLD),
        (_UNKNOWN, ": Failed to resolve x No such name."),
        (_ABORTED, ": Connection aborted."),
    ],
    ids=["proxy", "name", "aborted"],
)
def test_who_cant_be_reached_is_told_in_words(cause: str, told: str) -> None:
    """What an HTTP library says of a connection it can't have becomes one line for people: whom, through whom, why."""
    found = failure(ConnectionError(_POOL + cause), "connecting")
    assert type(found) is ServiceError
    assert f"connecting failed: login.microsoftonline.com can't be reached{told} Try again" in str(found)


def test_a_tenant_that_isnt_there_is_told_by_whichever_error_is_behind() -> None:
    """A status that only an error behind another one tells counts: being asked to slow down is no wrong tenant."""
    behind = ValueError("OIDC Discovery failed on https://x. HTTP status: 429, Error: slow down")
    error = ValueError("Unable to get authority configuration. Also please double check your tenant name")
    error.__context__ = behind
    assert type(failure(error, "logging in")) is ThrottledError
    behind.args = ("OIDC Discovery failed on https://x. HTTP status: 400, Error: invalid_tenant",)
    assert type(failure(error, "logging in")) is AuthenticationError


def test_secrets_stay_out_of_errors() -> None:
    """What looks like a secret in the SDK's message isn't in ours."""
    assert "abc123" not in str(failure(ValueError("GET https://x/y?sv=1&sig=abc123 failed"), "testing"))


# What travels


def test_a_staged_script_is_as_it_was(script: Path, tmp_path: Path) -> None:
    """The script's folder travels as it is, without caches and links, with what mnistkit sends in one folder beside."""
    (script / "train.py").write_text("print(1)\n")
    (script / "__pycache__").mkdir()
    (script / "secret").symlink_to("/etc/hostname")
    staged = tmp_path / "staged"
    assert stage(ScriptJob(str(script)), "none", staged, module=MODULE) == ENTRY["script"]
    assert sorted(path.name for path in staged.iterdir()) == [JOB_FOLDER, "train.py"]
    assert (staged / "train.py").read_text() == "print(1)\n"


def test_a_folder_that_ignores_all_still_sends_ours(script: Path, tmp_path: Path) -> None:
    """What a folder's ignore rules leave out, which the SDK obeys, isn't what mnistkit sends along."""
    (script / "train.py").write_text("")
    (script / ".gitignore").write_text("*.zip\n*.json")
    stage(ScriptJob(str(script)), "none", tmp_path / "staged", module=MODULE)
    rules = (tmp_path / "staged" / ".amlignore").read_text().splitlines()
    assert rules[:2] == ["*.zip", "*.json"]
    assert rules[-1] == f"!/{JOB_FOLDER}/**"


def test_a_folder_of_our_name_is_refused(script: Path, tmp_path: Path) -> None:
    """A script's folder that holds what is named like ours is refused."""
    (script / "train.py").write_text("")
    (script / JOB_FOLDER).mkdir()
    with pytest.raises(UsageError, match="rename it"):
        stage(ScriptJob(str(script)), "none", tmp_path / "staged", module=MODULE)


def test_equal_sources_make_equal_archives(script: Path, tmp_path: Path) -> None:
    """The library travels as an archive that is the same every time, so it is uploaded once; Python imports from it."""
    (script / "train.py").write_text("")
    for name in ("a", "b"):
        stage(ScriptJob(str(script)), "none", tmp_path / name, module=MODULE)
    archives = [tmp_path / name / JOB_FOLDER / LIBRARY_FILE for name in ("a", "b")]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        assert {"mnistkit/__init__.py", "mnistkit/azureml/node/job.py", "mnistkit/runs/context.py"} <= set(
            archive.namelist()
        )


def test_environments_are_pinned_and_named_by_content() -> None:
    """A job's environment is what is installed here, or its own, with what mnistkit needs; equal ones have one name."""
    model = ModelSpec("sklearn.linear_model.LogisticRegression")
    environment = environment_of(TrainingJob(model=model))
    assert environment == environment_of(TrainingJob(model=model, seed=1))
    assert any(each.startswith("scikit-learn==") for each in environment.pip)
    assert any(each.startswith("azureml-defaults") for each in environment.pip)
    assert not any(each.startswith("mnistkit") for each in environment.pip)
    own = Environment(name="mine", python="3.10", pip=("scikit_learn<2", "torch"))
    mine = environment_of(ScriptJob("folder", environment=own))
    assert mine.name.startswith("mine-")
    assert mine.name != environment.name
    assert {"scikit_learn<2", "torch"} <= set(mine.pip)
    assert not any(each.startswith("scikit-learn==") for each in mine.pip)


def test_a_plan_asks_nobody(script: Path, tiny_mnist: DataSource) -> None:
    """`plan` tells what would be submitted, without a workspace; what can't run is refused there too."""
    (script / "train.py").write_text("")
    compute = AmlCompute(name="planned", max_nodes=2)
    plan = compute.plan(ScriptJob(str(script), timeout=60, retries=1), tiny_mnist)
    assert (plan.data, plan.entry, plan.cluster.name) == (None, ENTRY["script"], "planned")
    assert plan.max_run_duration_seconds >= 120
    assert compute.plan(ScriptJob(str(script), arguments=(DATA_FOLDER,)), tiny_mnist).data == tiny_mnist.uri
    with pytest.raises(SpecError):
        compute.plan(TrainingJob(model=ModelSpec("sklearn.linear_model.Ridge")), tiny_mnist)


# What runs on the node


def run_staged(staged: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run what was staged as a node does, but for the SDK: there is no Azure run to tell."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MNISTKIT_", "AZUREML_", "PYTHONPATH"))}
    command = [sys.executable, ENTRY["script"], *arguments]
    return subprocess.run(command, cwd=staged, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_staged_script_runs(script: Path, tmp_path: Path) -> None:
    """On the node a script has its arguments, its data folder, its neighbours and the library that was sent."""
    (script / "helper.py").write_text("WORD = 'from next door'\n")
    (script / "train.py").write_text(
        "import sys, mnistkit\nfrom helper import WORD\nfrom mnistkit import get_context\n"
        "print(WORD, sys.argv[1:], mnistkit.__file__)\nget_context().log('loss', 0.5, step=2)\n"
        "(get_context().outputs / 'a.txt').write_text('a')\n"
    )
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script), arguments=("--data", DATA_FOLDER)), "none", staged, module=MODULE)
    outcome = run_staged(staged, "--data-folder", "/mounted")
    assert outcome.returncode == 0, outcome.stderr
    assert "from next door ['--data', '/mounted']" in outcome.stdout
    assert LIBRARY_FILE in outcome.stdout
    assert [(p.name, p.value, p.step) for p in read_points(staged / JOB_FOLDER / RUN_FOLDER)] == [("loss", 0.5, 2)]
    assert (staged / "outputs" / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("body", "code"),
    [("raise SystemExit(3)", 3), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9)],
)
def test_a_node_exits_as_the_script_did(script: Path, tmp_path: Path, body: str, code: int) -> None:
    """Azure sees the script's exit code, or the one by which shells tell a signal."""
    (script / "train.py").write_text(body)
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script)), "none", staged, module=MODULE)
    assert run_staged(staged).returncode == code


def test_a_late_script_is_ended_with_what_it_started(script: Path, tmp_path: Path) -> None:
    """When its time is over a script is ended, and so is what it has started; what doesn't end is repeated."""
    import psutil

    (script / "train.py").write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    staged = tmp_path / "staged"
    stage(ScriptJob(str(script), timeout=6, retries=1, retry_on=("timeout",)), "none", staged, module=MODULE)
    outcome = run_staged(staged)
    assert outcome.returncode == 124
    pids = [int(line) for line in outcome.stdout.split()]
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
