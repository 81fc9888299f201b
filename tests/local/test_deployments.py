"""Deployments on this machine: they outlive the program, and end as a whole."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.errors import ServiceError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.local import FolderRegistry, LocalDeployments
from mnistkit.registry import DeploymentState
from mnistkit.serving import Deployment
from mnistkit.testing import DeploymentTargetSuite

pytest.importorskip("flask", reason="the extra 'serve' isn't installed")
pytest.importorskip("waitress", reason="the extra 'serve' isn't installed")


class TestLocalDeployments(DeploymentTargetSuite):
    """The contract."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> LocalDeployments:
        """A target without deployments."""
        return LocalDeployments(tmp_path / "home", start_seconds=60)

    @pytest.fixture
    def registry(self, tmp_path: Path) -> FolderRegistry:
        """An empty registry."""
        return FolderRegistry(tmp_path / "models")


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, tiny_mnist_source: DataSource) -> Trainer:
    """A trainer with one registered model."""
    made = Trainer.local(data=tiny_mnist_source, home=tmp_path_factory.mktemp("home"))
    made.register(made.train(LogisticRegression(max_iter=20), limit=200), "digits")
    return made


@pytest.fixture(scope="module")
def tiny_mnist_source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """A small dataset for the whole module."""
    from mnistkit.data import FolderSource
    from mnistkit.testing import write_tiny_mnist

    return FolderSource(write_tiny_mnist(tmp_path_factory.mktemp("data")))


@pytest.fixture
def deployed(trainer: Trainer) -> Iterator[Deployment]:
    """A deployment of it."""
    made = trainer.deploy("digits", "web")
    yield made
    if trainer.deployments():
        made.delete()


def processes(home: Path) -> list[psutil.Process]:
    """The processes of this home's deployments."""
    return [p for p in psutil.process_iter() if any(str(home) in part for part in _cmdline(p))]


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_it_predicts_as_python_does(trainer: Trainer, deployed: Deployment) -> None:
    """The same images, through HTTP and in this process: the same labels, by the version that was deployed."""
    test = trainer.dataset().test
    assert deployed.predict(test).labels.tolist() == trainer.predict(test, "digits").labels.tolist()
    assert deployed.model == "digits:1"
    assert trainer.deployment("web").url == deployed.url


def test_its_key_is_needed_and_private(trainer: Trainer, deployed: Deployment) -> None:
    """Nobody gets an answer without the key, and no other user of the machine can read it."""
    assert urllib3.request("POST", deployed.url, json={"data": []}).status == 401
    folder = trainer.home / "deployments" / "web"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_killed_server_is_a_failed_deployment(trainer: Trainer, deployed: Deployment) -> None:
    """A server that has died is Failed, its log can still be read, and it can be deleted."""
    (process,) = processes(trainer.home)
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while deployed.refresh().state is not DeploymentState.FAILED and time.monotonic() < deadline:
        time.sleep(0.05)
    assert deployed.refresh().state is DeploymentState.FAILED
    assert "ended" in deployed.refresh().record.error
    with pytest.raises(ServiceError, match="doesn't answer"):
        deployed.predict(trainer.dataset().test)
    deployed.logs()
    deployed.delete()
    assert processes(trainer.home) == []
    assert not (trainer.home / "deployments" / "web").exists()


def test_it_outlives_the_program(trainer: Trainer) -> None:
    """A deployment made by a program that has ended answers, and another program deletes it with its process."""
    code = (
        "import sys; from mnistkit import Trainer; "
        f"Trainer.local(data='digits', home={str(trainer.home)!r}).deploy('digits', 'web')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    found = trainer.deployment("web")
    assert found.state is DeploymentState.HEALTHY
    test = trainer.dataset().test
    assert found.predict(test.images[:5]).labels.shape == (5,)
    found.delete()
    assert processes(trainer.home) == []


def test_another_machine_s_deployment_is_left_alone(
    trainer: Trainer, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a home that machines share, a deployment of another one is shown as such, and not deleted."""
    monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
    assert "runs on" in deployed.refresh().record.error
    with pytest.raises(UsageError, match="delete it there"):
        deployed.delete()
    monkeypatch.undo()
    assert deployed.refresh().state is DeploymentState.HEALTHY
