"""The pins of the Open Dataset: MNIST by its content, other data only by a manifest that somebody names."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mnistkit.azureml.pins import accepted_manifests, check_pins, identify
from mnistkit.data.dataset import Dataset
from mnistkit.data.manifest import DatasetManifest
from mnistkit.data.pins import MNIST, MNIST_PLAIN
from mnistkit.emulator.synthetic import PINS, write_digits
from mnistkit.errors import ChecksumError, ConfigError, UsageError
from mnistkit.utils.files import file_info
from mnistkit.utils.serialization import from_json

PINNED: DatasetManifest = from_json(PINS.read_bytes(), DatasetManifest, PINS)
VARIABLE = "MNISTKIT_OPEN_DATASETS_PINS"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with the emulator's digits, gzipped as this Python's zlib does it."""
    folder = tmp_path / "digits"
    folder.mkdir()
    write_digits(folder)
    return folder


def test_mnist_is_accepted_gzipped_or_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pins the manifests are MNIST's as published and plain; with pins nothing else counts."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert [dict(each.files) for each in accepted_manifests()] == [dict(MNIST), dict(MNIST_PLAIN)]
    monkeypatch.setenv(VARIABLE, str(PINS))
    assert accepted_manifests() == (PINNED,)
    own = DatasetManifest(name="mine", files=MNIST_PLAIN)
    assert accepted_manifests(own) == (own,)
    monkeypatch.setenv(VARIABLE, "")
    assert len(accepted_manifests()) == 2


def test_the_emulators_pins_are_those_of_its_digits(digits: Path, tmp_path: Path) -> None:
    """The manifest that ships with the emulator has the sizes and sha256s of what it writes."""
    for path in digits.iterdir():
        plain = tmp_path / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        assert file_info(plain) == PINNED.files[plain.name]


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"name": "x"}', '{"name": "x", "files": {"../a": {}}}'])
def test_a_pins_file_that_isnt_usable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """A file that is missing, broken or pins other names is a `ConfigError` that names variable and file."""
    path = tmp_path / "pins.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(ConfigError, match=rf"{VARIABLE} is .*pins\.json"):
        accepted_manifests()


def test_names_of_pins_cant_leave_the_folder() -> None:
    """Only the names of the four files, plain or gzipped, can be pinned."""
    info = PINNED.files["t10k-labels-idx1-ubyte"]
    for names in ({"../t10k-labels-idx1-ubyte"}, {*MNIST, "extra"}, set(list(MNIST)[:3]), {*MNIST, *MNIST_PLAIN}):
        with pytest.raises(UsageError, match="Pins must be of"):
            check_pins(DatasetManifest(name="x", files=dict.fromkeys(names, info)))


def test_another_gzip(digits: Path) -> None:
    """Only the content counts: gzipped in another way it is the same data, damaged it isn't."""
    with pytest.raises(ChecksumError, match="isn't MNIST"):
        identify(digits, accepted_manifests())
    for path in digits.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=3))
    manifest = identify(digits, [PINNED])
    assert manifest is not None
    assert Dataset.from_folder(digits, manifest=manifest).name == "synthetic-digits"
    labels = digits / "train-labels-idx1-ubyte.gz"
    for damaged in (labels.read_bytes()[:-9], b"no gzip", gzip.compress(bytes(2009))):
        labels.write_bytes(damaged)
        with pytest.raises(ChecksumError, match="isn't synthetic-digits"):
            identify(digits, [PINNED])
    assert identify(digits, []) is None
