"""Models and runs on a real MLflow server; one file, so that one worker of the tests starts it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnistkit import Trainer
from mnistkit.errors import ServiceError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.interfaces import ModelRegistry
from mnistkit.jobs import ScriptJob
from mnistkit.mlflow import MlflowRegistry, MlflowRuns, mirror_runs
from mnistkit.mlflow._sdk import client, pages
from mnistkit.mlflow.address import Address
from mnistkit.registry import ModelInfo
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.record import RunState
from mnistkit.testing import ModelRegistrySuite
from support.mlflow_server import Server
from with_mlflow.test_contract import flip, overwrite_manifest, stored_version
from with_mlflow.test_registry import check_foreign, fitted_classifier, foreign
from with_mlflow.test_runs import DEADLINE, history, runs_in


class TestServer(ModelRegistrySuite):
    """`MlflowRegistry` on a real server keeps the contract of `ModelRegistry`."""

    @pytest.fixture
    def registry(self, session_server: Server) -> MlflowRegistry:
        """A registry without models: those of the test before are removed."""
        _empty(session_server.uri)
        return MlflowRegistry(session_server.uri)

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another one of the same server."""
        assert isinstance(registry, MlflowRegistry)
        return MlflowRegistry(registry._address.uri)

    @pytest.fixture(autouse=True)
    def _server(self, session_server: Server) -> None:
        self.server = session_server

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte of the stored model."""
        path = stored_version(registry, model).source.removeprefix("mlflow-artifacts:/")
        flip(self.server.folder / "artifacts" / path / "mnistkit" / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Overwrite the tag that holds the manifest."""
        overwrite_manifest(registry, model)


def test_a_request_that_was_sent_twice(session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration whose answer was lost, so that MLflow's client sent it again, is one version."""
    registry, plain = MlflowRegistry(session_server.uri), client(Address.parse(session_server.uri))
    (tmp_path / "notes.txt").write_text("x")
    create = type(plain).create_model_version

    def twice(self: Any, *arguments: Any, **options: Any) -> Any:
        create(self, *arguments, **options)
        return create(self, *arguments, **options)

    registry.register("twice", tmp_path, ModelInfo(format="files"))
    with monkeypatch.context() as patched:
        patched.setattr(type(plain), "create_model_version", twice)
        assert registry.register("twice", tmp_path, ModelInfo(format="files")).version == 2
        registry.assign("twice", "champion", 2)
    assert registry.numbers("twice") == (2, 1)
    assert len(registry.aliases("twice")["champion"]) == 1
    assert registry.register("twice", tmp_path, ModelInfo(format="files")).version == 4


def test_foreign_versions_on_a_server(session_server: Server, tmp_path: Path) -> None:
    """Versions of plain MLflow's are listed, loaded, promoted and counted on, on a server."""
    model = fitted_classifier()
    foreign(session_server.uri, model, None)
    check_foreign(MlflowRegistry(session_server.uri), model, tmp_path / "model")


@pytest.fixture
def stopping(session_server: Server) -> Iterator[Server]:
    """The server, to be stopped and started; it runs again after the test."""
    yield session_server
    if session_server.process is None:
        session_server.start()


def test_a_server_that_stops_and_comes_back(stopping: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is down fails and delays no run, and is one warning; later all is mirrored, and nothing twice."""
    server, uri = stopping, stopping.uri
    observer = MlflowRuns(uri)
    trainer = Trainer.local("digits", "stops", home=tmp_path / "home", observers=[observer])
    (tmp_path / "train.py").write_text(
        "import pathlib, time\nfrom mnistkit.runs import get_context\n"
        "for step in range(3):\n    get_context().log('loss', step, step=step)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n    time.sleep(0.02)\n"
        "get_context().log('loss', 3, step=3)\n"
    )
    run = trainer.submit(ScriptJob(str(tmp_path), "train.py"))
    deadline = time.monotonic() + DEADLINE
    while not any(each.data.metrics for each in runs_in(uri, "stops")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.stop()
    begin = time.monotonic()
    (tmp_path / "go").touch()
    with caplog.at_level(logging.WARNING, "mnistkit"):
        assert run.wait(DEADLINE).state is RunState.COMPLETED
        assert time.monotonic() - begin < 10
        assert trainer.train(FastLogisticRegression(), limit=50).state is RunState.COMPLETED
        assert observer.wait(1) is False
    assert caplog.text.count("aren't mirrored to MLflow for now") == 1
    with pytest.raises(ServiceError, match="can't be reached"):
        mirror_runs(trainer.compute, uri)
    server.start()
    for _ in range(2):
        mirror_runs(trainer.compute, uri)
    found = runs_in(uri, "stops")
    assert [each.info.status for each in found] == ["FINISHED", "FINISHED"]
    assert history(uri, found[0], "loss") == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert observer.wait(DEADLINE)
    assert len(runs_in(uri, "stops")) == 2


def _empty(uri: str) -> None:
    made = client(Address.parse(uri))
    for model in pages(made.search_registered_models):
        made.delete_registered_model(model.name)
