"""What the registry of a workspace does besides the contract: runs, others' models, races, and a service that fails."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import joblib
from attrs import evolve
from sklearn.linear_model import LogisticRegression

from mnistkit.azureml import WorkspaceRegistry
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.emulator import Fault
from mnistkit.emulator.services.models import Models
from mnistkit.errors import (
    AuthenticationError,
    ConflictError,
    IntegrityError,
    ModelNotFoundError,
    NotFoundError,
    RunNotFoundError,
    ServiceError,
    SignatureError,
    ThrottledError,
    UnsafeModelError,
    UsageError,
)
from mnistkit.registry.events import log_name
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import promote, resolve_model, rollback
from mnistkit.registry.signing import check_signature, make_keys, sign
from mnistkit.registry.verification import verify_models, version_numbers

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.registry.version import ModelVersion


@pytest.fixture
def registry(workspace: Any) -> WorkspaceRegistry:
    """The registry of an empty workspace."""
    return WorkspaceRegistry(workspace)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file to register."""
    path = tmp_path / "source"
    path.mkdir()
    (path / "model.skops").write_bytes(b"the model")
    return path


@pytest.fixture
def run(workspace: Any, tmp_path: Path) -> Any:
    """A completed run of the SDK's own, with three files."""
    run = sdk("azureml.core").Experiment(workspace, "registry").start_logging(snapshot_directory=None)
    for name in ("model.skops", "model.skops.bak", "probe.json"):
        (tmp_path / name).write_bytes(f"the {name}".encode())
        run.upload_file(f"outputs/{name}", str(tmp_path / name))
    run.complete()
    return run


def versions_in_azure(workspace: Any, name: str) -> list[int]:
    """The numbers that the workspace has under a name."""
    return sorted(model.version for model in sdk("azureml.core").Model.list(workspace, name=name, expand=False))


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_runs_files_stay_where_they_are(
    registry: WorkspaceRegistry, workspace: Any, run: Any, tmp_path: Path
) -> None:
    """Files of a run are registered on the server, hashed, and only those: none with a longer name."""
    model = registry.register_from_run(
        "digits",
        ["outputs/model.skops", "outputs/probe.json"],
        ModelInfo(format="skops", metrics={"accuracy": 0.9}, run_id=run.id),
    )
    assert (model.id, model.run_id, model.format) == ("digits:1", run.id, "skops")
    assert sorted(model.files) == ["model.skops", "probe.json"]
    registry.download(model, tmp_path / "into")
    assert (tmp_path / "into" / "model.skops").read_bytes() == b"the model.skops"
    stored = sdk("azureml.core").Model(workspace, id="digits:1")
    assert (stored.run_id, stored.experiment_name) == (run.id, "registry")
    prefixes = [artifact.prefix for artifact in stored._get_asset().artifacts]
    assert prefixes[0] == f"ExperimentRun/{run._container}/outputs/model.skops"


def test_a_runs_files_arrive_whole(
    registry: WorkspaceRegistry, emulator: AzureMLEmulator, run: Any, tmp_path: Path
) -> None:
    """What a run's files are is never told from an answer without their bytes."""
    emulator.inject(Fault("empty-download"))
    model = registry.register_from_run("digits", ["outputs/model.skops"], ModelInfo(format="skops", run_id=run.id))
    assert model.files["model.skops"].size == len(b"the model.skops")
    emulator.inject(Fault("empty-download", times=None))
    with pytest.raises(ServiceError, match="arrived with 0"):
        registry.register_from_run("digits", ["outputs/model.skops"], ModelInfo(format="skops", run_id=run.id))
    emulator.clear_faults()
    assert registry.versions("digits") == (model,)
    registry.download(model, tmp_path / "into")


def test_what_a_run_lacks(registry: WorkspaceRegistry, run: Any) -> None:
    """A path that the run doesn't have is told with the files it has; a run that isn't there is told as well."""
    with pytest.raises(NotFoundError, match=r"no file 'outputs/other'; it has outputs/model\.skops"):
        registry.register_from_run("digits", ["outputs/other"], ModelInfo(format="files", run_id=run.id))
    with pytest.raises(RunNotFoundError):
        registry.register_from_run("digits", ["outputs/other"], ModelInfo(format="files", run_id="not-there"))
    assert registry.has_run(run.id)
    assert not registry.has_run("not-there")
    assert registry.names() == ()


# --- others' models --------------------------------------------------------------------------------------------------


def test_models_of_others(registry: WorkspaceRegistry, workspace: Any, run: Any, tmp_path: Path) -> None:
    """What was registered without mnistkit is listed, told apart by its digest, and can be taken and promoted."""
    theirs = run.register_model("theirs", "outputs/model.skops", tags={"by": "others"}, description="hand-made")
    assert theirs.version == 1
    assert registry.names() == ("theirs",)
    (listed,) = registry.versions("theirs")
    assert (listed.digest, dict(listed.files), dict(listed.tags)) == ("", {}, {"by": "others"})
    model = registry.get("theirs")
    assert (model.digest, model.format, model.description, model.run_id) == ("", "skops", "hand-made", run.id)
    assert list(model.files) == ["model.skops"]
    registry.download(model, tmp_path / "into")
    assert (tmp_path / "into" / "model.skops").read_bytes() == b"the model.skops"
    promote(registry, "theirs:1", "champion")
    assert resolve_model(registry, "theirs@champion").version == 1
    assert verify_models(registry, "theirs").problems == ()


def test_the_tutorials_model(registry: WorkspaceRegistry, run: Any, tmp_path: Path) -> None:
    """A model that the tutorial's own script left and registered is loaded, by who agrees to unpickle it."""
    fitted = LogisticRegression().fit([[0.0], [1.0]], [3, 7])
    joblib.dump(fitted, tmp_path / "sklearn_mnist_model.pkl")
    run.upload_file("outputs/sklearn_mnist_model.pkl", str(tmp_path / "sklearn_mnist_model.pkl"))
    run.register_model("sklearn_mnist", "outputs/sklearn_mnist_model.pkl")
    assert registry.get("sklearn_mnist").format == "joblib"
    with pytest.raises(UnsafeModelError):
        load_model(registry, "sklearn_mnist")
    assert list(load_model(registry, "sklearn_mnist", allow_pickle=True).predict([[0.0], [1.0]])) == [3, 7]


def test_models_of_others_cant_be_signed(registry: WorkspaceRegistry, run: Any, tmp_path: Path) -> None:
    """Nothing pins the files of a model without a manifest, so that a signature would vouch for nothing."""
    run.register_model("theirs", "outputs/model.skops")
    private, _ = make_keys(tmp_path / "key")
    with pytest.raises(UsageError, match="register"):
        sign(registry, registry.get("theirs"), private)


def test_names_of_others(registry: WorkspaceRegistry, run: Any) -> None:
    """A name that Azure takes and we don't isn't listed, and hides no other."""
    run.register_model("x" * 80, "outputs/model.skops")
    run.register_model("good", "outputs/model.skops")
    assert registry.names() == ("good",)


def test_the_sdk_can_use_ours(registry: WorkspaceRegistry, workspace: Any, folder: Path, tmp_path: Path) -> None:
    """Who uses the SDK alone finds tags and description, and downloads the files."""
    registry.register("digits", folder, ModelInfo(format="skops", tags={"stage": "test"}, description="ours"))
    model = sdk("azureml.core").Model(workspace, "digits")
    assert (model.version, model.tags, model.description) == (1, {"stage": "test"}, "ours")
    path = Path(model.download(str(tmp_path / "sdk")))
    assert [each.read_bytes() for each in path.rglob("*") if each.is_file()] or path.read_bytes() == b"the model"


# --- history ---------------------------------------------------------------------------------------------------------


def test_signatures(registry: WorkspaceRegistry, folder: Path, tmp_path: Path) -> None:
    """A version is signed and checked; another key's signature doesn't do, and the first of a key stays."""
    model = registry.register("digits", folder, ModelInfo(format="skops"))
    private, public = make_keys(tmp_path / "key")
    _, other = make_keys(tmp_path / "other")
    first = sign(registry, model, private)
    sign(registry, model, private)
    assert registry.signatures(model) == (first,)
    assert check_signature(registry, model, [public]) == first.key
    with pytest.raises(SignatureError):
        check_signature(registry, model, [other])


def test_rollback(registry: WorkspaceRegistry, folder: Path) -> None:
    """An alias is promoted and taken back, and its history says so."""
    for _ in range(2):
        registry.register("digits", folder, ModelInfo(format="skops"))
    promote(registry, "digits:1", "champion")
    promote(registry, "digits:2", "champion", reason="better")
    assert rollback(registry, "digits", "champion").version == 1
    history = registry.aliases("digits")["champion"]
    assert [(entry.version, entry.reason) for entry in history] == [
        (1, ""), (2, "better"), (1, "rollback from version 2"),
    ]  # fmt: skip


def test_two_registries_race(workspace: Any, folder: Path) -> None:
    """Of two processes that decided on one history, one assigns, and the other is told."""
    one, two = WorkspaceRegistry(workspace), WorkspaceRegistry(workspace)
    for _ in range(2):
        one.register("digits", folder, ModelInfo(format="skops"))
    outcomes: list[str] = []
    together = threading.Barrier(2, timeout=60)

    def assign(registry: WorkspaceRegistry, version: int) -> None:
        together.wait()
        try:
            registry.assign("digits", "champion", version, seen=())
            outcomes.append("assigned")
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=assign, args=each) for each in ((one, 1), (two, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["assigned", "conflict"]
    assert len(one.aliases("digits")["champion"]) == 1


def test_history_has_a_name_of_its_own(registry: WorkspaceRegistry, workspace: Any, folder: Path) -> None:
    """The events are versions of a name that no model can have, with texts for people in the studio."""
    registry.register("digits", folder, ModelInfo(format="skops"))
    registry.assign("digits", "champion", 1)
    assert registry.names() == ("digits",)
    (entry,) = sdk("azureml.core").Model.list(workspace, name=log_name("digits"), expand=False)
    assert entry.description == "version 1 assigned champion"
    with pytest.raises(ModelNotFoundError):
        registry.get("digits", 2)


def test_a_number_that_is_given_again(registry: WorkspaceRegistry, emulator: AzureMLEmulator, folder: Path) -> None:
    """Should the workspace give a deleted version's number again, the registration goes on to a new one."""
    for _ in range(2):
        registry.register("digits", folder, ModelInfo(format="skops"))
    registry.delete("digits", 2)
    handlers = (getattr(route.handler, "__self__", None) for route in emulator._open.router.routes)
    models = next(each for each in handlers if isinstance(each, Models))
    with models._numbers.change("digits") as record:
        record.update({key: value - 1 for key, value in record.items() if value == 2})
    assert registry.register("digits", folder, ModelInfo(format="skops")).version == 3
    assert version_numbers(registry, "digits") == (3, 1)


# --- a service that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["throttle", "unavailable"])
def test_a_busy_service_is_waited_for(
    registry: WorkspaceRegistry, workspace: Any, emulator: AzureMLEmulator, folder: Path, kind: str
) -> None:
    """What is refused once for being too much is asked for again, and registered once."""
    emulator.inject(Fault(kind, match="POST */models", seconds=1))
    assert registry.register("digits", folder, ModelInfo(format="skops")).version == 1
    assert versions_in_azure(workspace, "digits") == [1]


def test_a_service_that_stays_busy(registry: WorkspaceRegistry, emulator: AzureMLEmulator, folder: Path) -> None:
    """A service that goes on refusing is a typed error, and nothing is registered."""
    emulator.inject(Fault("throttle", match="POST */models", times=None))
    with pytest.raises(ThrottledError):
        registry.register("digits", folder, ModelInfo(format="skops"))
    emulator.clear_faults()
    assert registry.names() == ()


def test_a_connection_that_breaks_registers_once(
    registry: WorkspaceRegistry, workspace: Any, emulator: AzureMLEmulator, folder: Path
) -> None:
    """A registration that was done, and whose answer was lost, is there once; the next one counts on."""
    emulator.inject(Fault("reset", match="POST */models"))
    model = registry.register("digits", folder, ModelInfo(format="skops"))
    assert versions_in_azure(workspace, "digits") == [model.version]
    assert registry.versions("digits") == (model,)
    emulator.inject(Fault("reset", match="POST */models"))
    registry.assign("digits", "champion", model.version, reason="once")
    assert [entry.reason for entry in registry.aliases("digits")["champion"]] == ["once"]
    assert registry.register("digits", folder, ModelInfo(format="skops")).version > model.version


def test_an_empty_answer_is_asked_for_again(
    registry: WorkspaceRegistry, emulator: AzureMLEmulator, folder: Path, tmp_path: Path
) -> None:
    """A download without its bytes is repeated; if it stays empty it is an `IntegrityError`, and leaves nothing."""
    model = registry.register("digits", folder, ModelInfo(format="skops"))
    emulator.inject(Fault("empty-download"))
    registry.download(model, tmp_path / "good")
    assert (tmp_path / "good" / "model.skops").read_bytes() == b"the model"
    emulator.inject(Fault("empty-download", times=None))
    with pytest.raises(IntegrityError, match=r"model\.skops has 0 bytes"):
        registry.download(model, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_a_login_that_ends(registry: WorkspaceRegistry, emulator: AzureMLEmulator, folder: Path) -> None:
    """A token that isn't taken any more is an `AuthenticationError` that tells how to log in."""
    registry.register("digits", folder, ModelInfo(format="skops"))
    emulator.inject(Fault("unauthorized", match="/modelmanagement/", times=None))
    with pytest.raises(AuthenticationError, match="az login"):
        registry.versions("digits")


def test_what_was_noted_counts(registry: WorkspaceRegistry, folder: Path, tmp_path: Path) -> None:
    """A version at hand that has another digest than the workspace's isn't delivered."""
    model: ModelVersion = registry.register("digits", folder, ModelInfo(format="skops"))
    with pytest.raises(IntegrityError, match="the version given"):
        registry.download(evolve(model, digest="0" * 64), tmp_path / "into")
