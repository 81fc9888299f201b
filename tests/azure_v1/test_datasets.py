"""The real SDK and its engine read, register and write data."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("azureml.opendatasets")
pytest.importorskip("h11")

from azureml.core import Dataset, Datastore, Workspace
from azureml.data import FileDataset
from azureml.opendatasets import MNIST

from mnistkit.emulator.synthetic import FILES


@pytest.fixture
def folder(workspace: Workspace) -> Path:
    """A folder with a text, a table and a folder in it."""
    folder = Path("data")
    (folder / "deep").mkdir(parents=True)
    (folder / "table.csv").write_text("digit,count\n0,5923\n1,6742\n")
    (folder / "deep" / "text.txt").write_text("hello")
    return folder


def names(paths: list[str]) -> list[str]:
    """The files' names, sorted."""
    return sorted(path.rpartition("/")[2] for path in paths)


def test_open_dataset(workspace: Workspace, tmp_path: Path) -> None:
    """MNIST comes from Azure's Open Datasets, through the engine: the tutorial's way."""
    dataset = MNIST.get_file_dataset()
    assert names(dataset.to_path()) == sorted(FILES)
    files = dataset.download(str(tmp_path / "down"), overwrite=True)
    assert names(files) == sorted(FILES)
    labels = next(Path(file) for file in files if file.endswith(FILES[3]))
    assert len(gzip.decompress(labels.read_bytes())) == 408
    assert names(MNIST.get_file_dataset("test").to_path()) == sorted(FILES)[:2]


def test_register_the_open_dataset(workspace: Workspace, tmp_path: Path) -> None:
    """It can be registered, again too, and got by its name to be downloaded."""
    dataset = MNIST.get_file_dataset()
    made = dataset.register(workspace, "mnist_opendataset", description="train and test", create_new_version=True)
    assert (made.name, made.version) == ("mnist_opendataset", 1)
    made.register(workspace, "mnist_opendataset", create_new_version=True)
    found = Dataset.get_by_name(workspace, "mnist_opendataset")
    assert found.description == "train and test"
    assert names(found.download(str(tmp_path / "down"), overwrite=True)) == sorted(FILES)
    assert Dataset.get_by_id(workspace, made.id).name == "mnist_opendataset"


def test_datastore_round_trip(workspace: Workspace, folder: Path, tmp_path: Path) -> None:
    """The default datastore takes files and gives them back."""
    store = workspace.get_default_datastore()
    assert (store.name, store.credential_type) == ("workspaceblobstore", "Sas")
    store.upload(str(folder), "here", show_progress=False)
    assert store.download(str(tmp_path / "down"), prefix="here", show_progress=False) == 2
    assert (tmp_path / "down" / "here" / "deep" / "text.txt").read_text() == "hello"
    assert names(Dataset.File.from_files((store, "here")).to_path()) == ["table.csv", "text.txt"]


def test_large_files(workspace: Workspace, tmp_path: Path) -> None:
    """A file that is sent in blocks and read in ranges comes back as it was."""
    content = bytes(range(256)) * (40 << 12)
    Path("large").mkdir()
    Path("large/file.bin").write_bytes(content)
    store = workspace.get_default_datastore()
    dataset = Dataset.File.upload_directory("large", (store, "large"), overwrite=True, show_progress=False)
    [file] = dataset.download(str(tmp_path / "down"))
    assert Path(file).read_bytes() == content


def test_upload_directory_and_versions(workspace: Workspace, folder: Path) -> None:
    """What is uploaded can be registered; another one of that name is the next version, and the first stays."""
    store = workspace.get_default_datastore()
    first = Dataset.File.upload_directory(str(folder), (store, "one"), show_progress=False)
    second = Dataset.File.upload_directory(str(folder / "deep"), (store, "two"), show_progress=False)
    versions = [each.register(workspace, "texts", create_new_version=True).version for each in (first, second)]
    assert versions == [1, 2]
    assert names(Dataset.get_by_name(workspace, "texts").to_path()) == ["text.txt"]
    assert names(Dataset.get_by_name(workspace, "texts", version=1).to_path()) == ["table.csv", "text.txt"]
    assert isinstance(workspace.datasets["texts"], FileDataset)
    with pytest.raises(Exception, match="already a dataset registered"):
        first.register(workspace, "texts")


def test_tags(workspace: Workspace, folder: Path) -> None:
    """Tags are added, removed, and kept."""
    store = workspace.get_default_datastore()
    dataset = Dataset.File.upload_directory(str(folder), (store, "one"), show_progress=False)
    dataset = dataset.register(workspace, "texts", tags={"a": "1"})
    dataset = dataset.add_tags({"b": "2"})
    dataset.remove_tags(["a"])
    assert Dataset.get_by_name(workspace, "texts").tags == {"b": "2"}
    dataset.unregister_all_versions()
    with pytest.raises(Exception, match="Cannot find dataset"):
        Dataset.get_by_name(workspace, "texts")


def test_from_files_on_the_web(workspace: Workspace, tmp_path: Path) -> None:
    """A dataset can be made of a URL."""
    url = f"https://azureopendatastorage.blob.core.windows.net/mnist/{FILES[1]}"
    [file] = Dataset.File.from_files(url).download(str(tmp_path / "down"))
    assert len(gzip.decompress(Path(file).read_bytes())) == 2008


def test_tables(workspace: Workspace, folder: Path) -> None:
    """A table is read into a data frame, also once it is registered."""
    store = workspace.get_default_datastore()
    Dataset.File.upload_directory(str(folder), (store, "tables"), show_progress=False)
    table = Dataset.Tabular.from_delimited_files((store, "tables/table.csv"))
    assert table.to_pandas_dataframe()["count"].tolist() == [5923, 6742]
    table.register(workspace, "counts")
    assert Dataset.get_by_name(workspace, "counts").to_pandas_dataframe()["digit"].tolist() == [0, 1]


def test_datastores(workspace: Workspace, folder: Path) -> None:
    """A container can be registered as a datastore with a signature; without one it is refused."""
    default = workspace.get_default_datastore()
    mine = Datastore.register_azure_blob_container(
        workspace, "mine", default.container_name, default.account_name, sas_token=default.sas_token
    )
    mine.upload(str(folder), "mine", show_progress=False)
    assert names(Dataset.File.from_files((default, "mine")).to_path()) == ["table.csv", "text.txt"]
    assert sorted(workspace.datastores) == ["mine", "workspaceblobstore"]
    with pytest.raises(Exception, match="sas_token"):
        Datastore.register_azure_blob_container(
            workspace, "other", default.container_name, default.account_name, account_key="a2V5"
        )
    mine.unregister()
    assert list(workspace.datastores) == ["workspaceblobstore"]
