"""A registry's database that is made once and copied, and an MLflow server on loopback."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnistkit.mlflow._sdk import client
from mnistkit.mlflow.address import Address
from support.mlflow_server import Server, new_server

collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("mlflow") is None else []


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave MLflow's own warnings out of its tests; threads on a server take long, as races of processes do."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            if "TestServer::test_threads" in item.nodeid or "TestServer::test_readers" in item.nodeid:
                item.add_marker(pytest.mark.slow)
            if {"session_server", "own_server"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.xdist_group("server"))  # one worker starts it
            for kind in ("UserWarning", "FutureWarning", "DeprecationWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's: making its tables takes a second or two."""
    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    client(Address.parse(f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_uri(template: Path, tmp_path: Path) -> str:
    """The uri of a database file without runs and models."""
    file = tmp_path / "mlflow" / "mlflow.db"
    file.parent.mkdir()
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def session_server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests share; its models have names of their own."""
    server = new_server(template, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(template: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to stop and start; not started yet."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = new_server(template, folder)
    yield server
    server.stop()
