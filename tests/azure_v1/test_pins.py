"""The Open Dataset's pins against the emulator, here and on its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.azureml import OpenDatasetsMnist
from mnistkit.azureml.v1.data import mount
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_folder, fetch_dataset
from mnistkit.data.manifest import DatasetManifest
from mnistkit.emulator import Settings
from mnistkit.emulator.synthetic import PINS, write_digits
from mnistkit.errors import ChecksumError
from mnistkit.plugins import data_source
from mnistkit.runs.record import RunState
from mnistkit.utils.serialization import from_json

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator


PINNED: DatasetManifest = from_json(PINS.read_bytes(), DatasetManifest, PINS)


def test_an_emulators_digits(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    """They are fetched, called what they are, verified again later, and told apart from MNIST by their digests."""
    source, folder = OpenDatasetsMnist(), tmp_path / "data"
    dataset = Dataset.from_folder(source.fetch(folder))
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("synthetic-digits", 2000, 400)
    assert source.expected(folder) is not None
    assert dict(source.digests()) == {name: info.sha256 for name, info in PINNED.files.items()}
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    assert Dataset.from_folder(source.fetch(folder)).sha256 == dataset.sha256


def test_elsewhere_they_are_refused(emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pins of the emulator's digits they aren't taken for MNIST: neither from the storage nor the cache."""
    source, folder = OpenDatasetsMnist(), tmp_path / "data"
    source.fetch(folder)
    monkeypatch.delenv("MNISTKIT_OPEN_DATASETS_PINS")
    assert source.expected(folder) is None
    for place in (folder, tmp_path / "empty"):
        with pytest.raises(ChecksumError, match=r"isn't MNIST's: expected 9912422 bytes .*MNISTKIT_OPEN_DATASETS_PINS"):
            source.fetch(place)
    assert list((tmp_path / "empty").iterdir()) == []


def test_on_a_node(workspace: Any, emulator: AzureMLEmulator) -> None:
    """A training on the mounted Open Dataset reads the emulator's digits, and the run's log calls them that."""
    trainer = Trainer.azure(workspace=workspace, max_nodes=1)
    run = trainer.train(LogisticRegression(max_iter=5), limit=200)
    assert "data: synthetic-digits, 200 to train on, 400 to test on" in run.logs()


def test_other_data_on_a_node(
    workspace: Any, emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training doesn't take for MNIST whatever is mounted there: the run fails, and says what helps."""
    other = tmp_path / "other"
    other.mkdir()
    write_digits(other, train=100, test=50, seed=7)
    names = emulator.workspace
    monkeypatch.delenv("MNISTKIT_OPEN_DATASETS_PINS")
    emulator.reset(settings=Settings(data=other))
    assert emulator.workspace.id != names.id
    trainer = Trainer.azure(
        name="cpu-cluster",
        credentials="service-principal",
        workspace=names.name,
        resource_group=names.resource_group,
        subscription_id=names.subscription_id,
    )
    run = trainer.submit(trainer.job(LogisticRegression(max_iter=5)))
    assert run.wait().state is RunState.FAILED
    assert run.error is not None
    assert "isn't MNIST" in run.error
    assert "idx:FOLDER" in run.error


@pytest.mark.mnist
@pytest.mark.azureml_emulator(settings=Settings(data=dataset_folder(data_source("mnist"))))
def test_mnist_as_the_cache_has_it(
    real_mnist: Dataset, emulator: AzureMLEmulator, workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real files, plain in mnistkit's own cache and gzipped by the emulator, are MNIST; and nothing else then."""
    monkeypatch.setenv("MNISTKIT_CACHE", str(tmp_path))
    source = OpenDatasetsMnist()
    found = fetch_dataset(source)
    assert (found.name, found.sha256) == ("mnist", real_mnist.sha256)
    assert mount(workspace, source).mode == "mount"
    assert source.expected(dataset_folder(source)) is not None
    monkeypatch.setenv("MNISTKIT_OPEN_DATASETS_PINS", str(PINS))
    assert source.expected(dataset_folder(source)) is None
    with pytest.raises(ChecksumError, match=r"isn't synthetic-digits's"):
        source.fetch(dataset_folder(source))
