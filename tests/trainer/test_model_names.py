"""The names of models that nobody named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from sklearn.linear_model import LogisticRegression

from mnistkit.config import Config
from mnistkit.data.arrays import ArraySource
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_name
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.interfaces import DataSource
from mnistkit.plugins import data_source, load_dataset
from mnistkit.trainer import Trainer
from mnistkit.utils.names import check_name, default_model_name


@pytest.mark.parametrize("uri", ["mnist", "digits", "fashion-mnist", "emnist-letters"])
def test_a_named_dataset_names_its_models(uri: str) -> None:
    """Without a name, models of MNIST are called sklearn_mnist, those of others after theirs."""
    assert Trainer.local(uri).model_name == f"sklearn_{uri}"


def test_a_folder_is_named_by_its_manifest_its_prefix_or_itself(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """The default name is that of the dataset as it is read, without reading it."""
    folder = shutil.copytree(tiny_mnist.fetch(tmp_path), tmp_path / "of mine")
    (folder / MANIFEST).unlink(missing_ok=True)
    assert Trainer.local(f"idx:{folder}").model_name == "sklearn_of-mine"
    assert dataset_name(data_source(f"idx:{folder}")) == load_dataset(f"idx:{folder}").name
    assert Trainer.local(f"idx:{folder}#emnist-letters").model_name == "sklearn_emnist-letters"
    DatasetManifest(name="Çiçek/../x").write(folder)
    assert Trainer.local(f"idx:{folder}").model_name == "sklearn_Cicek-x"
    (folder / MANIFEST).write_text("no JSON")
    assert Trainer.local(f"idx:{folder}").model_name == "sklearn_of-mine"
    assert Trainer.local(f"idx:{tmp_path / 'nowhere'}").model_name == "sklearn_nowhere"


def test_arrays_are_named_by_their_dataset(tiny_mnist: DataSource, tmp_path: Path) -> None:
    """Arrays have the name of their dataset; those of an earlier program have lost it."""
    dataset = Dataset.from_folder(tiny_mnist.fetch(tmp_path / "data"))
    source = ArraySource.of(evolve(dataset, name="mine"))
    assert Trainer.local(source).model_name == "sklearn_mine"
    assert Trainer.local(source.uri).model_name == "sklearn_arrays"
    assert Trainer.local((np.zeros((4, 2, 2), dtype=np.uint8), [0, 1, 0, 1])).model_name == "sklearn_arrays"


@pytest.mark.parametrize("text", ["", "..", "---", "a" * 200, "x/../y", "con", "数字", "é\0", "\ud800", " a b "])
def test_any_text_gives_a_name(text: str) -> None:
    """Whatever a dataset is called, its models have a name that follows the rule."""
    assert check_name(default_model_name(text), "model name").startswith("sklearn_")


def test_a_configured_name_wins() -> None:
    """What mnistkit.toml or the caller names isn't replaced by the dataset's name."""
    trainer = Trainer.from_config(Config(data="digits", model="mine"))
    assert trainer.model_name == "mine"
    run = trainer.train(LogisticRegression(tol=0.1), limit=100)
    assert trainer.register(run).id == "mine:1"
    other = Trainer.local("digits")
    assert other.register(run).id == "sklearn_digits:1"
    assert other.register(run, "yours").id == "yours:1"
    assert trainer.default_model() == "mine"


def test_the_only_model_is_the_default() -> None:
    """Where no model is named, the dataset's is used, or the only one there is."""
    trainer = Trainer.local("digits")
    images = trainer.dataset().test.images[:3]
    run = trainer.train(LogisticRegression(tol=0.1), limit=100)
    trainer.register(run, "mine")
    assert Trainer.local("mnist").default_model() == "mine"
    expected = trainer.predict(images).labels.tolist()
    trainer.register(run)
    assert trainer.default_model() == "sklearn_digits"
    assert Trainer.local("mnist").default_model() == "sklearn_mnist"
    assert trainer.predict(images).labels.tolist() == expected
