"""Data on its way to a workspace: registered, mounted, uploaded once; and an Open Datasets storage that fails."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from attrs import evolve

from mnistkit.azureml import OpenDatasetsMnist
from mnistkit.azureml.v1.data import mount
from mnistkit.data.dataset import Dataset
from mnistkit.data.manifest import DatasetManifest
from mnistkit.emulator import Fault, Settings
from mnistkit.emulator.synthetic import write_digits
from mnistkit.errors import ChecksumError, ConflictError, DownloadError, UsageError
from mnistkit.plugins import data_source
from mnistkit.utils.files import file_info

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import DataSource


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> DatasetManifest:
    """What the emulator serves as MNIST."""
    folder = tmp_path_factory.mktemp("served")
    write_digits(folder)
    return DatasetManifest(name="mnist", files={path.name: file_info(path) for path in folder.iterdir()})


@pytest.fixture
def unread(emulator: AzureMLEmulator, tmp_path: Path, request: pytest.FixtureRequest) -> DatasetManifest:
    """What the emulator serves as MNIST, never asked for before: the SDK's engine remembers what it has read."""
    folder = tmp_path / "unread"
    folder.mkdir()
    write_digits(folder, train=100, test=50, seed=zlib.crc32(request.node.name.encode()))
    emulator.reset(settings=Settings(data=folder))
    return DatasetManifest(name="mnist", files={path.name: file_info(path) for path in folder.iterdir()})


def test_the_uri_is_understood(workspace: Any) -> None:
    """The uri leads to the source again, with its version; another one is refused with the ones there are."""
    for uri in ("azureml:mnist_opendataset", "azureml:mnist_opendataset:3"):
        assert data_source(uri).uri == uri
    with pytest.raises(UsageError, match="azureml:mnist_opendataset"):
        data_source("azureml:something")


def test_register(workspace: Any, served: DatasetManifest, tmp_path: Path) -> None:
    """The dataset is registered under the tutorial's name, and its version can be fetched and mounted."""
    source = OpenDatasetsMnist(workspace, pins=served).register()
    assert (source.version, source.uri.partition("?")[0]) == (1, "azureml:mnist_opendataset:1")
    assert workspace.datasets["mnist_opendataset"].version == 1
    assert len(Dataset.from_folder(source.fetch(tmp_path / "data")).train) == 2000
    assert mount(workspace, source).dataset.name == "mnist_opendataset"


def test_register_again(workspace: Any) -> None:
    """The same data stays the same version; a name that is taken is a `ConflictError` if no new version may be made."""
    source = OpenDatasetsMnist(workspace)
    assert source.register("mine").version == source.register("mine").version == 1
    with pytest.raises(ConflictError, match="'mine'"):
        source.register("mine", create_new_version=False)


def test_mount(workspace: Any, emulator: AzureMLEmulator) -> None:
    """The Open Dataset is mounted as it is, or downloaded, and nothing is uploaded."""
    source = OpenDatasetsMnist(workspace)
    assert mount(workspace, source).mode == "mount"
    assert mount(workspace, source, mode="download").mode == "download"
    with pytest.raises(UsageError, match="mode='hdfs'"):
        mount(workspace, source, mode="hdfs")  # type: ignore[arg-type]  # what a caller may get wrong


def test_other_data_is_uploaded_once(workspace: Any, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """A folder's files and a manifest are put below a digest of their content, once, and read back verified."""
    dataset = mount(workspace, tiny_mnist, mode="download").dataset
    dataset.download(str(tmp_path / "there"))
    (manifest,) = (tmp_path / "there").rglob("dataset.json")
    assert Dataset.from_folder(manifest.parent).sha256 == Dataset.from_folder(tiny_mnist.fetch(tmp_path)).sha256
    store = workspace.get_default_datastore()
    container = store.blob_service.get_container_client(store.container_name)
    before = {blob.name: blob.last_modified for blob in container.list_blobs(name_starts_with="mnistkit/data/")}
    assert len(before) == 5
    mount(workspace, tiny_mnist)
    assert {b.name: b.last_modified for b in container.list_blobs(name_starts_with="mnistkit/data/")} == before


def test_an_upload_that_was_cut_off(workspace: Any, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """What a program left that died while it uploaded isn't taken for data: the next one makes it good."""
    mount(workspace, tiny_mnist)
    store = workspace.get_default_datastore()
    container = store.blob_service.get_container_client(store.container_name)
    names = [blob.name for blob in container.list_blobs(name_starts_with="mnistkit/data/")]
    for name in names:
        if name.endswith("dataset.json"):
            container.delete_blob(name)  # it comes last
        elif "train-images" in name:
            container.upload_blob(name, b"a part", overwrite=True)
    dataset = mount(workspace, tiny_mnist, mode="download").dataset
    dataset.download(str(tmp_path / "there"))
    (manifest,) = (tmp_path / "there").rglob("dataset.json")
    assert Dataset.from_folder(manifest.parent).sha256 == Dataset.from_folder(tiny_mnist.fetch(tmp_path)).sha256


def test_wrong_pins(emulator: AzureMLEmulator, served: DatasetManifest, tmp_path: Path) -> None:
    """Files that aren't the pinned ones are a `ChecksumError` that says which, and nothing of them is kept."""
    name = "train-labels-idx1-ubyte.gz"
    wrong = evolve(served, files={**served.files, name: evolve(served.files[name], sha256="0" * 64)})
    with pytest.raises(ChecksumError, match=name):
        OpenDatasetsMnist(pins=wrong).fetch(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_an_empty_answer(emulator: AzureMLEmulator, unread: DatasetManifest, tmp_path: Path) -> None:
    """A file that arrives empty isn't taken for MNIST; the next fetch makes it good."""
    emulator.inject(Fault("empty-download", match="azurefd.net/mnist/train-images", times=None))
    source = OpenDatasetsMnist(pins=unread)
    with pytest.raises((ChecksumError, DownloadError)):
        source.fetch(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
    emulator.clear_faults()
    assert source.fetch(tmp_path / "data") == tmp_path / "data"


def test_a_busy_storage(emulator: AzureMLEmulator, unread: DatasetManifest, tmp_path: Path) -> None:
    """A storage that is busy at first is waited for."""
    emulator.inject(Fault("unavailable", match="azurefd.net/mnist/train-labels"))
    assert Dataset.from_folder(OpenDatasetsMnist(pins=unread).fetch(tmp_path / "data")).name == "mnist"


def test_offline(
    emulator: AzureMLEmulator, served: DatasetManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline nothing is asked; what is in the folder and verified does."""
    source = OpenDatasetsMnist(pins=served)
    source.fetch(tmp_path / "data")
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    assert source.fetch(tmp_path / "data") == tmp_path / "data"
    with pytest.raises(DownloadError, match="MNISTKIT_OFFLINE"):
        source.fetch(tmp_path / "other")


def test_nothing_is_printed(
    emulator: AzureMLEmulator, served: DatasetManifest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The SDK's engine doesn't talk on standard output, where a program's results go."""
    OpenDatasetsMnist(pins=served).fetch(tmp_path / "data")
    assert capfd.readouterr().out == ""
