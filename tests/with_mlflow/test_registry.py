"""What MLflow and mnistkit see of the same models."""

from __future__ import annotations

import logging
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import (
    AuthenticationError,
    IntegrityError,
    ServiceError,
    StorageError,
    UnsafeModelError,
    UsageError,
)
from mnistkit.mlflow import MlflowRegistry
from mnistkit.mlflow._sdk import client, sdk
from mnistkit.mlflow.address import Address
from mnistkit.models import save_model
from mnistkit.plugins import model_registry
from mnistkit.registry import ModelInfo, load_model, promote, verify_models
from support.mlflow_server import Server

X = np.random.default_rng(0).random((60, 9)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.fixture(scope="module")
def fitted() -> LogisticRegression:
    """A small classifier."""
    return LogisticRegression().fit(X, Y)


@pytest.fixture
def registry(sqlite_uri: str) -> MlflowRegistry:
    """An empty registry in a file."""
    return MlflowRegistry(sqlite_uri)


def registered(registry: MlflowRegistry, model: Any, folder: Path, kind: Any = "skops", **info: Any) -> None:
    """Register a fitted model as the next version of digits."""
    save_model(model, folder, format=kind, probe=X)
    registry.register("digits", folder, ModelInfo(format=kind, **info))


@pytest.mark.parametrize("kind", ["skops", "linear"])
def test_mlflow_loads_what_mnistkit_registered(
    registry: MlflowRegistry, fitted: LogisticRegression, tmp_path: Path, kind: str
) -> None:
    """MLflow's own ``pyfunc`` predicts as the model does, from a number and from an alias, with a signature."""
    registered(registry, fitted, tmp_path / "model", kind)
    registry.assign("digits", "champion", 1)
    with mlflow_at(registry._address.uri) as mlflow:
        for reference in ("models:/digits/1", "models:/digits@champion"):
            found = mlflow.pyfunc.load_model(reference)
            np.testing.assert_array_equal(found.predict(X), fitted.predict(X))
            assert found.metadata.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 9)
        assert found.input_example.shape == (2, 9)
        if kind == "skops":
            own = mlflow.sklearn.load_model("models:/digits/1")
            np.testing.assert_array_equal(own.predict_proba(X), fitted.predict_proba(X))


class mlflow_at:  # noqa: N801 - used like a function
    """MLflow's own functions at an address, within the block."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> Any:
        mlflow = sdk()
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        return mlflow

    def __exit__(self, *_: object) -> None:
        mlflow = sdk()
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            os.environ.pop(name, None)


def test_plain_mlflow_sees_versions(registry: MlflowRegistry, fitted: LogisticRegression, tmp_path: Path) -> None:
    """MLflow's client sees versions with tags, description and run, the run's metrics, and aliases."""
    info = {"metrics": {"accuracy": 0.5}, "tags": {"owner": "me", "not a key?": "x"}, "description": "first"}
    registered(registry, fitted, tmp_path / "model", **info)
    registry.assign("digits", "champion", 1)
    plain = client(registry._address)
    version = plain.get_model_version_by_alias("digits", "champion")
    assert (int(version.version), version.description, version.tags["owner"]) == (1, "first", "me")
    run = plain.get_run(version.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"accuracy": 0.5})
    assert registry.get("digits").tags == info["tags"]


def foreign(uri: str, model: Any, place: str | None) -> None:
    """Register a fitted model as plain MLflow does."""
    with mlflow_at(uri) as mlflow:
        experiment = mlflow.create_experiment("theirs", artifact_location=place)
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(
                model, name="model", registered_model_name="theirs", serialization_format="pickle", pip_requirements=[]
            )


def check_foreign(registry: MlflowRegistry, fitted: LogisticRegression, folder: Path) -> None:
    """Check that a version of plain MLflow's is listed, loaded, promoted and counted on."""
    found = registry.get("theirs")
    assert (found.version, found.digest, found.format) == (1, "", "joblib")
    assert registry.versions("theirs")[0].files == {}
    promote(registry, "theirs:1", "champion", reason="theirs is good")
    with pytest.raises(UnsafeModelError):
        load_model(registry, "theirs@champion")
    model = load_model(registry, "theirs@champion", allow_pickle=True)
    np.testing.assert_array_equal(model.predict(X), fitted.predict(X))
    save_model(fitted, folder)
    registry.register("theirs", folder, ModelInfo(format="skops"))
    assert [(each.version, bool(each.digest)) for each in registry.versions("theirs")] == [(2, True), (1, False)]
    assert verify_models(registry, "theirs").problems == ()


def test_foreign_versions(registry: MlflowRegistry, fitted: LogisticRegression, tmp_path: Path) -> None:
    """Versions of plain MLflow's are listed, loaded, promoted and counted on; nothing pins them."""
    foreign(registry._address.uri, fitted, (tmp_path / "theirs").as_uri())
    check_foreign(registry, fitted, tmp_path / "model")


def test_foreign_versions_on_a_server(session_server: Server, fitted: LogisticRegression, tmp_path: Path) -> None:
    """The same on a server."""
    foreign(session_server.uri, fitted, None)
    check_foreign(MlflowRegistry(session_server.uri), fitted, tmp_path / "model")


def test_a_tag_or_a_file_that_was_altered(registry: MlflowRegistry, fitted: LogisticRegression, tmp_path: Path) -> None:
    """A manifest that was altered in its tag, with the digest beside it or without, is found; so is an added file."""
    plain = client(registry._address)
    for number in range(1, 5):
        registered(registry, fitted, tmp_path / f"model{number}", metrics={"accuracy": 0.5})
    text = plain.get_model_version("digits", "1").tags["mnistkit.manifest"].replace("0.5", "0.9")
    plain.set_model_version_tag("digits", "1", "mnistkit.manifest", text)
    with pytest.raises(IntegrityError, match="sha256"):
        registry.get("digits", 1)
    plain.set_model_version_tag("digits", "2", "mnistkit.manifest", text)
    plain.set_model_version_tag("digits", "2", "mnistkit.digest", _sha256(text))
    plain.delete_model_version_tag("digits", "3", "mnistkit.digest")
    stored = Path(plain.get_model_version("digits", "4").source.removeprefix("file://"))
    (stored / "mnistkit" / "more.txt").write_text("more")
    problems = verify_models(registry, "digits").problems
    assert {problem.model for problem in problems} == {f"digits:{number}" for number in range(1, 5)}
    assert "more.txt" in str(problems[-1])


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def test_a_manifest_too_large_for_a_tag(registry: MlflowRegistry, tmp_path: Path) -> None:
    """A manifest that no tag can hold is kept among the files alone, and comes back whole."""
    (tmp_path / "notes.txt").write_text("x")
    tags = {f"key {number}": "x" * 1000 for number in range(120)}
    made = registry.register("digits", tmp_path, ModelInfo(format="files", description="y" * 100, tags=tags))
    assert MlflowRegistry(registry._address.uri).get("digits") == made


@pytest.mark.parametrize("alias", ["v1", "with.dot"])
def test_an_alias_that_mlflow_forbids(
    registry: MlflowRegistry, tmp_path: Path, alias: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An alias whose name MLflow forbids is kept in the history alone, and a warning says so."""
    (tmp_path / "notes.txt").write_text("x")
    registry.register("digits", tmp_path, ModelInfo(format="files"))
    with caplog.at_level(logging.WARNING):
        registry.assign("digits", alias, 1)
    assert [each.version for each in registry.aliases("digits")[alias]] == [1]
    assert f"digits@{alias} holds in mnistkit alone" in caplog.text
    assert client(registry._address).get_registered_model("digits").aliases == {}


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


def test_looking_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that isn't there is an empty one; the first registration makes it, and nothing elsewhere."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    registry = model_registry("mlflow", home)
    assert (registry.names(), registry.versions("digits"), dict(registry.aliases("digits"))) == ((), (), {})
    assert not home.exists()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("x")
    registry.register("digits", tmp_path / "model", ModelInfo(format="files"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "model"]
    assert sorted(path.name for path in (home / "mlflow").iterdir()) == ["artifacts", "mlflow.db", "mlflow.db.lock"]


@pytest.mark.parametrize(
    "uri", ["postgresql://h/db", "file:///tmp/x", "databricks", "", "sqlite://", "http://", None, 5]
)
def test_other_addresses(uri: Any) -> None:
    """Another scheme is a usage error that names the two that there are."""
    with pytest.raises(UsageError, match=r"sqlite:///FILE, or http\(s\)://SERVER"):
        MlflowRegistry(uri)


def test_addresses_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's variables count where no uri is given; the registry's before that of the runs; a bad one is named."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1/")
    assert "127.0.0.1:1" in repr(model_registry("mlflow", tmp_path))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://me:hunter2hunter2@127.0.0.1:2")
    assert repr(model_registry("mlflow", tmp_path)) == "MlflowRegistry('http://127.0.0.1:2')"
    assert "127.0.0.1:3" in repr(model_registry("mlflow", tmp_path, {"uri": "http://127.0.0.1:3"}))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "postgresql://me:hunter2hunter2@db/x")
    with pytest.raises(UsageError, match="MLFLOW_REGISTRY_URI") as caught:
        model_registry("mlflow", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_down(own_server: Server, tmp_path: Path) -> None:
    """A server that doesn't answer is a service error within 10 seconds, without its password."""
    registry = MlflowRegistry(own_server.uri.replace("//", "//me:hunter2hunter2@"))
    (tmp_path / "notes.txt").write_text("x")
    calls = [registry.names, lambda: registry.get("digits"), lambda: registry.assign("digits", "champion", 1)]
    for call in [*calls, lambda: registry.register("digits", tmp_path, ModelInfo(format="files"))]:
        begin = time.monotonic()
        with pytest.raises(ServiceError, match="can't be reached") as caught:
            call()
        assert time.monotonic() - begin < 10
        assert "hunter2" not in str(caught.value)


class _Answering(BaseHTTPRequestHandler):
    """Answers all requests alike, but those whether it is there."""

    status, body = 401, b"{}"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/health" else self.status)
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"who?", AuthenticationError),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', AuthenticationError),
        (200, b"<html>a page</html>", ServiceError),
    ],
)
def test_a_server_that_refuses(status: int, body: bytes, kind: type[ServiceError]) -> None:
    """A server that refuses the user is an authentication error that names the variables; a page is a service error."""
    handler = type("Handler", (_Answering,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(ServiceError) as caught:
                MlflowRegistry(f"http://127.0.0.1:{server.server_port}").names()
        finally:
            server.shutdown()
            thread.join()
    assert type(caught.value) is kind
    assert ("MLFLOW_TRACKING_TOKEN" in str(caught.value)) is (kind is AuthenticationError)


def test_a_folder_that_cant_be_written(registry: MlflowRegistry, tmp_path: Path) -> None:
    """Files that can't be written beside the database are a storage error, and nothing is registered."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("x")
    assert registry._address.artifacts is not None
    registry._address.artifacts.write_text("in the way")
    with pytest.raises(StorageError, match="can't be read or written"):
        registry.register("digits", tmp_path / "model", ModelInfo(format="files"))
    assert registry.names() == ()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file of another kind is a storage error, and stays as it is."""
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match="database"):
        MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}").names()
    assert (tmp_path / "mlflow.db").read_bytes() == b"no database" * 100


def test_addresses_are_values() -> None:
    """An address is absolute, and shows no password."""
    assert Address.parse("sqlite:///a.db").file == Path("a.db").absolute()
    assert Address.parse("https://me:pw@host/mlflow/").shown == "https://host/mlflow"
