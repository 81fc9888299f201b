"""The command line on a workspace: a project's settings choose cluster and registry, and every verb works on them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from mnistkit.azureml import AmlCompute
from mnistkit.cli import main
from mnistkit.emulator import Fault
from mnistkit.errors import QuotaError

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import DataSource

_SETTINGS = """
data = "{data}"
experiment = "on-azure"
compute = {{ backend = "azureml", name = "cli", max_nodes = 2 }}
models = {{ backend = "azureml" }}
"""

Program = Callable[..., str]


@pytest.fixture
def project(emulator: AzureMLEmulator, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with its settings and the workspace's config.json, as the working directory."""
    folder = tmp_path / "project"
    emulator.write_config(folder)
    (folder / "mnistkit.toml").write_text(_SETTINGS.format(data=tiny_mnist.uri), encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MNISTKIT_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def mnistkit(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Call the program in this process; its exit code must be the expected one; returns what it prints."""

    def call(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["mnistkit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == code, captured
        assert "Traceback" not in captured.err
        return captured.out

    return call


def test_train_to_promote(mnistkit: Program, project: Path, tmp_path: Path) -> None:
    """Train, look at run and model, promote, verify, download and delete: all on the workspace, nothing kept here."""
    trained = json.loads(mnistkit("train", "--name", "sklearn_mnist", "--max-iter", 20, "--json"))
    run_id = trained["run"]["id"]
    assert trained["run"]["state"] == "Completed"
    assert trained["metrics"]["accuracy"] > 0.5
    assert trained["model"]["id"] == "sklearn_mnist:1"
    assert trained["model"]["run_id"] == run_id
    assert [each["id"] for each in json.loads(mnistkit("runs", "list", "--json"))] == [run_id]
    assert json.loads(mnistkit("runs", "show", "latest", "--json"))["data"].startswith("idx:")
    mnistkit("runs", "download", run_id, "outputs/evaluation.json", "--into", tmp_path / "files")
    assert "accuracy" in json.loads((tmp_path / "files" / "evaluation.json").read_text(encoding="utf-8"))
    assert mnistkit("runs", "logs", run_id)
    assert re.search(r"^Kept in: +http://127.0.0.1", mnistkit("runs", "show", run_id), re.MULTILINE)
    assert re.search(r"^Kept in: +azureml://", mnistkit("models", "show", "sklearn_mnist"), re.MULTILINE)
    mnistkit("models", "promote", "sklearn_mnist:1", "champion", "--reason", "the first")
    shown = json.loads(mnistkit("models", "show", "sklearn_mnist@champion", "--json"))
    assert shown["aliases"] == ["champion"]
    assert set(shown["files"]) >= {"model.skops"}
    assert json.loads(mnistkit("models", "history", "sklearn_mnist", "--json"))[0]["reason"] == "the first"
    mnistkit("models", "download", "sklearn_mnist", "--into", tmp_path / "model")
    assert (tmp_path / "model" / "model.skops").is_file()
    assert json.loads(mnistkit("models", "verify", "--json"))["problems"] == []
    assert mnistkit("models", "register", run_id, "another").split() == ["another", "another:1", "1"]
    mnistkit("models", "delete", "another:1", "--yes")
    assert {each["id"] for each in json.loads(mnistkit("models", "list", "--json"))} == {"sklearn_mnist:1"}
    assert sorted(path.name for path in project.iterdir()) == ["config.json", "mnistkit.toml"]


def test_its_runs_stay(mnistkit: Program) -> None:
    """A workspace keeps its runs; what would delete some says so, and leaves the cluster alone."""
    mnistkit("train", "--max-iter", 2, "--no-register")
    for command in (("delete", "latest", "--yes"), ("prune", "--keep", 0, "--yes")):
        mnistkit("runs", *command, code=2)
    assert len(json.loads(mnistkit("runs", "list", "--json"))) == 1
    assert AmlCompute(name="cli").status().state == "Succeeded"


def test_doctor(mnistkit: Program) -> None:
    """The doctor tells the SDK, the workspace's file, the login, the workspace and what there is in it."""
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json"))}
    assert all(each["ok"] for each in found.values()), found
    assert "azureml-core" in found["extra azure-v1"]["detail"]
    assert "config.json" in found["azure config"]["detail"]
    assert found["azure login"]["detail"] == "service-principal"
    assert found["azure"]["detail"].startswith("connected to")
    assert "synthetic-digits is expected" in found["azure data"]["detail"]
    assert found["clusters"]["detail"].startswith("none yet")
    assert found["runs"]["detail"] == "0; running: none"


def test_doctor_with_a_cluster_that_failed(mnistkit: Program, emulator: AzureMLEmulator) -> None:
    """A cluster that couldn't be provisioned is broken, and Azure's reasons are told; nothing else is printed."""
    emulator.inject(Fault("quota"))
    with pytest.raises(QuotaError):
        AmlCompute(name="cli").ensure()
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json", code=1))}
    assert not found["cluster cli"]["ok"]
    assert "ClusterCoreQuotaReached" in found["cluster cli"]["detail"]
    assert "Delete it" in found["cluster cli"]["detail"]


def test_doctor_tells_once_what_is_wrong(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be looked at for the reason that another check has told says so, and doesn't repeat it."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json", code=1))}
    assert "AADSTS" in found["azure"]["detail"]
    assert found["runs"]["detail"] == found["models"]["detail"] == "unknown, as azure is broken"


def test_doctor_without_credentials(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the project needs a workspace and there is no login, that is broken, and the ways to log in are told."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "")
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json", code=1))}
    assert not found["azure"]["ok"]
    assert "az login" in found["azure"]["detail"]


def test_doctor_without_a_workspace(mnistkit: Program, project: Path) -> None:
    """Without a config.json the doctor says where it looked; if nothing needs it, that is no fault."""
    (project / "config.json").unlink()
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json", code=1))}
    assert str(project / ".azureml") in found["azure"]["detail"]
    (project / "mnistkit.toml").unlink()
    found = {each["check"]: each for each in json.loads(mnistkit("doctor", "--json"))}
    assert found["azure"]["detail"].startswith("no config.json")


def test_an_option_that_the_cluster_lacks(mnistkit: Program, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option of the settings is told with the ones there are, before Azure is asked."""
    (project / "mnistkit.toml").write_text('compute = { backend = "azureml", nodes = 3 }\n', encoding="utf-8")
    mnistkit("runs", "list", code=2)
