"""``.npz`` and ``.npy`` files become datasets."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import load_dataset
from mnistkit.data import Dataset, import_npy, import_npz
from mnistkit.errors import DataFormatError, NotFoundError, StorageError, UsageError
from support.tables import Sample

NAMES = [
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "Y_train", "X_test", "Y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
]


@pytest.mark.parametrize("names", NAMES)
def test_usual_names_are_found(sample: Sample, tmp_path: Path, names: tuple[str, ...]) -> None:
    """The names of keras and other collections are known; what else is in the file is told."""
    arrays = dict(zip(names, sample.arrays, strict=True))
    np.savez(tmp_path / "a.npz", val_images=sample.X[:2], **arrays)
    made = import_npz(tmp_path / "a.npz", tmp_path / "out")
    assert load_dataset(made.uri).sha256 == Dataset.from_arrays(*sample.arrays).sha256
    assert made.unused == ("val_images",)


def test_other_names_are_given(sample: Sample, tmp_path: Path) -> None:
    """Two names or four say which arrays; without them the message lists those that are there."""
    np.savez(tmp_path / "a.npz", a=sample.X, b=sample.y, c=sample.X_test, d=sample.y_test)
    two = import_npz(tmp_path / "a.npz", tmp_path / "two", arrays=("a", "b"))
    assert load_dataset(two.uri).sha256 == Dataset.from_arrays(sample.X, sample.y).sha256
    four = import_npz(tmp_path / "a.npz", tmp_path / "four", arrays=("a", "b", "c", "d"))
    assert load_dataset(four.uri).sha256 == Dataset.from_arrays(*sample.arrays).sha256
    with pytest.raises(DataFormatError, match=r"holds the arrays a, b, c, d: name those"):
        import_npz(tmp_path / "a.npz", tmp_path / "out")
    with pytest.raises(DataFormatError, match=r"no array 'x'; it has a, b, c, d"):
        import_npz(tmp_path / "a.npz", tmp_path / "out", arrays=("x", "b"))
    with pytest.raises(UsageError, match=r"name two arrays"):
        import_npz(tmp_path / "a.npz", tmp_path / "out", arrays=("a", "b", "c"))


@pytest.mark.parametrize(
    "form",
    [
        lambda X: X[..., None],
        lambda X: X[:, None],
        lambda X: X.reshape(len(X), -1),
        lambda X: X / 255,
        lambda X: (X / 255).astype("f2"),
        lambda X: X.astype(">f4"),
        lambda X: X.astype(">i8"),
        np.asfortranarray,
        lambda X: np.asfortranarray(X.reshape(len(X), -1) / 255),
    ],
)
@pytest.mark.parametrize(
    "label", [lambda y: y, lambda y: y[:, None], lambda y: y.astype(float), lambda y: y.astype(str)]
)
def test_every_form_gives_the_same_dataset(
    sample: Sample, tmp_path: Path, form: Any, label: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels, rows, floats, byte orders and memory orders of the same images make the same dataset, in any batch."""
    monkeypatch.setattr("mnistkit.data.importing.array_files._BATCH_BYTES", 100)
    monkeypatch.setattr("mnistkit.data.importing.spool._BATCH_BYTES", 70)
    expected = Dataset.from_arrays(sample.X, sample.y).sha256
    np.savez_compressed(tmp_path / "a.npz", x=form(sample.X), y=label(sample.y))
    assert load_dataset(import_npz(tmp_path / "a.npz", tmp_path / "a").uri).sha256 == expected
    np.save(tmp_path / "x.npy", form(sample.X))
    np.save(tmp_path / "y.npy", label(sample.y))
    assert load_dataset(import_npy(tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "b").uri).sha256 == expected


def test_rows_that_are_no_squares_have_a_shape(sample: Sample, tmp_path: Path) -> None:
    """With a shape, rows make images of it; without it they make squares or are refused."""
    np.savez(tmp_path / "a.npz", x=sample.X.reshape(30, -1)[:, :12], y=sample.y)
    made = import_npz(tmp_path / "a.npz", tmp_path / "out", shape=(3, 4), class_names=["a", "b", "c"])
    assert load_dataset(made.uri).train.images.shape == (24, 3, 4)
    assert made.class_names == ("a", "b", "c")
    with pytest.raises(DataFormatError, match=r"has shape \(30, 12\)"):
        import_npz(tmp_path / "a.npz", tmp_path / "b")


@pytest.mark.parametrize(
    ("X", "y", "expected"),
    [
        (np.zeros((4, 2, 2), object), np.arange(4) % 2, "would have to be unpickled"),
        (np.zeros((4, 2, 2)), np.array(["a", 1, "b", 2], object), "would have to be unpickled"),
        (np.zeros((4, 2, 2)), np.arange(3), "4 images and 3 labels"),
        (np.full((4, 2, 2), 300), np.arange(4) % 2, r"a\.npz: x holds int64 in 0..300"),
        (np.full((4, 2, 2), np.nan), np.arange(4) % 2, "NaN"),
        (np.zeros((4, 2, 2), complex), np.arange(4) % 2, "complex128 values"),
        (np.zeros((0, 2, 2)), np.zeros(0), r"has shape \(0, 2, 2\)"),
        (np.zeros((4, 2, 2)), np.array([0, 1, 0, np.nan]), r"a\.npz: y holds nan, at 3"),
        (np.zeros((4, 2, 2)), np.arange(4), "no class has two images"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, X: Any, y: Any, expected: str) -> None:
    """Objects, other types, ranges and lengths are refused, with the file and the array."""
    np.savez(tmp_path / "a.npz", x=X, y=y)
    with pytest.raises(DataFormatError, match=expected):
        import_npz(tmp_path / "a.npz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_files_are_refused(sample: Sample, tmp_path: Path) -> None:
    """No archive, a cut one, a header that claims more than there is, and a missing file are named."""
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataFormatError, match="is damaged, or no file of arrays"):
        import_npz(tmp_path / "a.npz", tmp_path / "out")
    np.savez(tmp_path / "b.npz", x=sample.X, y=sample.y)
    data = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(data.replace(b"(30, 4, 4), }  ", b"(99999, 4, 4),}"))
    with pytest.raises(DataFormatError, match=r"b\.npz"):
        import_npz(tmp_path / "b.npz", tmp_path / "out")
    np.save(tmp_path / "x.npy", sample.X)
    np.save(tmp_path / "y.npy", sample.y)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"(30, 4, 4), }    ", b"(99999999, 4, 4)}"))
    with pytest.raises(DataFormatError, match=r"99999999.*a dataset may have"):
        import_npy(tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "out")
    (tmp_path / "x.npy").write_bytes(data[:-1])
    with pytest.raises(DataFormatError, match="cut off: its header claims 1 more bytes"):
        import_npy(tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "out")
    with pytest.raises(NotFoundError, match=r"no file .*z\.npy"):
        import_npy(tmp_path / "z.npy", tmp_path / "y.npy", tmp_path / "out")
    with pytest.raises(StorageError, match="Can't read"):
        import_npz(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="come together"):
        import_npy(tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "out", test_images=tmp_path / "x.npy")


def test_a_bomb_costs_nothing(tmp_path: Path) -> None:
    """An archive that would unpack to far more than a dataset may have is refused by its header."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in (("x", (3_000_000, 28, 28)), ("y", (3_000_000,))):
            with archive.open(f"{name}.npy", "w") as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.write(bytes(1000))
    with pytest.raises(DataFormatError, match=r"x has shape \(3000000, 28, 28\): a dataset may have"):
        import_npz(tmp_path / "a.npz", tmp_path / "out")
