"""The real SDK and data elsewhere: provided by folders it works, else it fails within seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Dataset, Datastore, Workspace

from mnistkit.emulator import AzureMLEmulator, Settings

CSV = "Name,Age\nAda,36\nGrace,85\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a table, and files below it."""
    folder = tmp_path / "titanic"
    (folder / "deep").mkdir(parents=True)
    (folder / "Titanic.csv").write_text(CSV)
    (folder / "deep" / "more.csv").write_text(CSV)
    return folder


@pytest.fixture
def provided(workspace: Workspace, emulator: AzureMLEmulator, data: Path, tmp_path: Path) -> Workspace:
    """A workspace beside which a container of another account is provided."""
    emulator.reset(settings=Settings(blobs={"dprepdata/demo": data}))
    emulator.write_config(tmp_path / "project")
    return Workspace.from_config(str(tmp_path / "project" / "config.json"))


def test_tables_of_another_account(provided: Workspace) -> None:
    """A notebook's public CSV is read from the folder that was provided in its place."""
    table = Dataset.Tabular.from_delimited_files("https://dprepdata.blob.core.windows.net/demo/Titanic.csv")
    assert list(table.to_pandas_dataframe()["Name"]) == ["Ada", "Grace"]
    registered = table.register(provided, "titanic")
    assert len(Dataset.get_by_name(provided, registered.name).to_pandas_dataframe()) == 2


@pytest.mark.parametrize("credential", [{"account_key": "a2V5"}, {"sas_token": "?sv=1&sig=x"}, {}])
def test_datastores_of_another_account(provided: Workspace, credential: dict[str, str], tmp_path: Path) -> None:
    """A datastore of the account works, however it is opened."""
    store = Datastore.register_azure_blob_container(
        provided, "public", container_name="demo", account_name="dprepdata", **credential
    )
    files = Dataset.File.from_files((store, "deep/*.csv")).download(str(tmp_path / "files"))
    assert [Path(file).read_text() for file in files] == [CSV]
    table = Dataset.Tabular.from_delimited_files((Datastore.get(provided, "public"), "Titanic.csv"))
    assert list(table.to_pandas_dataframe()["Age"]) == [36, 85]
    if credential:
        assert store.download(str(tmp_path / "down"), prefix="Titanic") == 1


@pytest.mark.azureml_emulator(allow_unknown=True)
@pytest.mark.parametrize("url", ["https://other.blob.core.windows.net/box/x.csv", "https://example.com/x.csv"])
def test_data_that_is_nowhere(workspace: Workspace, emulator: AzureMLEmulator, url: str) -> None:
    """Data that isn't provided fails within seconds; the emulator's list says how to provide it."""
    start = time.monotonic()
    with pytest.raises(Exception, match=r"not found|Connection failed"):
        Dataset.Tabular.from_delimited_files(url).to_pandas_dataframe()
    assert time.monotonic() - start < 30
    noted = "; ".join(emulator.unknown_requests)
    assert "--blob other/box=FOLDER" in noted or "--web example.com=FOLDER" in noted


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_datastore_that_is_nowhere(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """A datastore of an account that isn't provided is refused, and the error says how to provide it."""
    with pytest.raises(Exception, match="--blob other/box=FOLDER"):
        Datastore.register_azure_blob_container(workspace, "other", "box", "other", account_key="a2V5")
    assert emulator.unknown_requests


def test_workspace_is_created_where_it_is(workspace: Workspace) -> None:
    """Creating the workspace that is there, in a region, returns it."""
    same = Workspace.create(
        workspace.name,
        subscription_id=workspace.subscription_id,
        resource_group=workspace.resource_group,
        location="eastus2",
        exist_ok=True,
    )
    assert same.get_details()["id"] == workspace.get_details()["id"]
