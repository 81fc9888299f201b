"""The real SDK registers, finds, changes, downloads and deletes models."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Experiment, Model, Workspace
from azureml.exceptions import WebserviceException


@pytest.fixture
def files(workspace: Workspace) -> Path:
    """The current folder, with a file and a folder of files in it."""
    Path("model.pkl").write_text("one file")
    Path("net/deep").mkdir(parents=True)
    Path("net/a.bin").write_text("a")
    Path("net/deep/b.bin").write_text("b")
    return Path.cwd()


def test_register_a_file(workspace: Workspace, files: Path) -> None:
    """A local file becomes version 1 of a model, which can be downloaded again."""
    model = Model.register(workspace, "model.pkl", "digits", tags={"stage": "dev"}, description="linear")
    assert (model.id, model.version, model.description) == ("digits:1", 1, "linear")
    found = Model(workspace, "digits").download("down")
    assert Path(found).read_text() == "one file"


def test_register_a_folder(workspace: Workspace, files: Path) -> None:
    """A folder is registered as a whole, and comes back as it was."""
    Model.register(workspace, "net", "digits")
    folder = Path(Model(workspace, "digits").download("down"))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "a.bin",
        "deep/b.bin",
    }


def test_register_from_a_run(workspace: Workspace, files: Path) -> None:
    """A run's output becomes a model that knows its run, and is found by it."""
    run = Experiment(workspace, "digits").start_logging(snapshot_directory=None)
    run.upload_file("outputs/sklearn_mnist_model.pkl", "model.pkl")
    run.upload_file("outputs/notes.txt", "model.pkl")
    model = run.register_model("sklearn_mnist", model_path="outputs/sklearn_mnist_model.pkl")
    run.complete()
    assert (model.name, model.id, model.version) == ("sklearn_mnist", "sklearn_mnist:1", 1)
    found = Model(workspace, "sklearn_mnist")
    assert (found.run_id, found.run.id, found.experiment_name) == (run.id, run.id, "digits")
    assert [each.id for each in Model.list(workspace, run_id=run.id)] == ["sklearn_mnist:1"]
    assert Path(found.download("down")).name == "sklearn_mnist_model.pkl"
    assert [path.name for path in Path("down").iterdir()] == ["sklearn_mnist_model.pkl"]


def test_versions_and_queries(workspace: Workspace, files: Path) -> None:
    """Models are found by name, tags and properties, and by being the latest; versions aren't given again."""
    for number in range(3):
        Model.register(workspace, "model.pkl", "digits", tags={"n": str(number)}, properties={"sha": f"s{number}"})
    Model.register(workspace, "model.pkl", "other", tags={"n": "1"})
    assert Model(workspace, "digits").version == 3
    assert Model(workspace, "digits", version=2).tags == {"n": "1"}
    assert [each.id for each in Model.list(workspace, "digits", tags=[["n", "1"]])] == ["digits:2"]
    assert [each.id for each in Model.list(workspace, properties=[["sha", "s0"]])] == ["digits:1"]
    assert [each.id for each in Model.list(workspace, latest=True)] == ["other:1", "digits:3"]
    Model(workspace, "digits").delete()
    assert Model(workspace, "digits").version == 2
    assert Model.register(workspace, "model.pkl", "digits").version == 4


def test_more_than_a_page(workspace: Workspace, files: Path) -> None:
    """A listing goes on over its pages."""
    asset = Model.register(workspace, "model.pkl", "digits").url.removeprefix("aml://asset/")
    for _ in range(24):
        Model._register_with_asset(workspace, "digits", asset)
    assert [each.version for each in Model.list(workspace, page_count=20)] == list(range(25, 0, -1))


def test_change(workspace: Workspace, files: Path) -> None:
    """Tags, description and new properties can be changed; a property can't be once it is set."""
    model = Model.register(workspace, "model.pkl", "digits", tags={"a": "1"}, properties={"p": "1"})
    model.add_tags({"b": "2"})
    model.remove_tags(["a"])
    model.add_properties({"q": "2"})
    model.update(description="better")
    found = Model(workspace, "digits")
    assert (found.tags, found.properties, found.description) == ({"b": "2"}, {"p": "1", "q": "2"}, "better")
    with pytest.raises(WebserviceException):
        model.add_properties({"p": "other"})


def test_what_is_not_there(workspace: Workspace) -> None:
    """A model that isn't there is the SDK's ModelNotFound."""
    with pytest.raises(WebserviceException, match="ModelNotFound"):
        Model(workspace, "digits")
    with pytest.raises(WebserviceException, match="ModelNotFound"):
        Model(workspace, "digits", version=3)
    assert Model.list(workspace) == []
