"""``mnistkit data import`` of files, and what ``--data`` says of them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import load_dataset
from mnistkit.data import Dataset
from mnistkit.data.split import Split
from support.tables import write_csv

Program = Callable[..., Any]


@pytest.fixture
def digits() -> Dataset:
    """A part of the digits: 60 images to train on, 20 to test on."""
    whole = load_dataset("digits")
    train, test = (
        Split(images=split.images[:n], labels=split.labels[:n]) for split, n in ((whole.train, 60), (whole.test, 20))
    )
    return Dataset(name="part", version="1", uri="", class_names=whole.class_names, train=train, test=test)


def write_all(digits: Dataset) -> None:
    """The digits as CSV, npz and npy files."""
    (x, y), (x_test, y_test) = digits.arrays()
    write_csv(Path("train.csv"), x, y)
    write_csv(Path("test.csv"), x_test, y_test)
    np.savez("part.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    for name, array in (("x", x), ("y", y), ("x2", x_test), ("y2", y_test)):
        np.save(f"{name}.npy", array)


@pytest.mark.parametrize(
    "sources",
    [("train.csv", "--test", "test.csv"), ("part.npz",), ("x.npy", "y.npy", "x2.npy", "y2.npy")],
)
def test_files_become_datasets(mnistkit: Program, digits: Dataset, sources: tuple[str, ...]) -> None:
    """CSV, npz and npy files become the same dataset, and the new folder is printed."""
    write_all(digits)
    done = mnistkit("data", "import", *sources, "--out", "data")
    assert done.out == "data\n"
    assert "60 images to train on, 20 to test on, 10 classes" in done.err
    assert load_dataset("idx:data").sha256 == digits.sha256


def test_the_options_reach_the_library(mnistkit: Program, digits: Dataset) -> None:
    """Shape, share, seed, names, columns and arrays do what they say; JSON has all."""
    write_all(digits)
    (x, y), _ = digits.arrays()
    found = mnistkit(
        "data", "import", "part.npz", "--arrays", "x_train,y_train", "--size", "8x8", "--test-fraction", "0.5",
        "--seed", "4", "--name", "mine", "--classes", "a,b,c,d,e,f,g,h,i,j", "--out", "data", "--json",
    ).json  # fmt: skip
    expected = Dataset.from_arrays(x, y, test_fraction=0.5, seed=4)
    assert load_dataset(found["uri"]).sha256 == expected.sha256
    assert found["classes"] == list("abcdefghij")
    assert found["unused"] == ["x_test", "y_test"]
    write_csv(Path("last.csv"), x, y, header=False, where="last")
    mnistkit("data", "import", "last.csv", "--no-header", "--label", "last", "--out", "last")
    assert load_dataset("idx:last").sha256 == Dataset.from_arrays(x, y).sha256


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train.csv", "--invert"), 2, "--invert is for: folder of images."),
        (("part.npz", "--label", "last"), 2, "--label is for: .csv, .parquet."),
        (("x.npy",), 2, "Name two .npy files"),
        (("train.csv", "part.npz"), 2, "files of one kind"),
        (("notes.md",), 2, "doesn't end in .csv"),
        (("bad.csv",), 1, "bad.csv, line 2, column 3 (pixel1): 'x' is no number"),
        (("none.csv",), 1, "There is no file none.csv"),
        (("none.xlsx",), 1, "There is no file or folder none.xlsx"),
        (("train.csv.zip",), 2, "train.csv.zip is an archive: unpack it"),
        (("train.csv", "--test", "train.csv", "--test-fraction", "0.5"), 2, "leave test_fraction=0.5 out"),
    ],
)
def test_what_cannot_be_imported_is_explained(
    mnistkit: Program, digits: Dataset, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Options of other kinds, mixed files and bad cells are refused, and nothing is made."""
    write_all(digits)
    Path("notes.md").write_text("notes")
    Path("bad.csv").write_text("label,pixel0,pixel1,pixel2,pixel3\n1,2,x,4,5\n")
    assert words in mnistkit("data", "import", *arguments, "--out", "data", code=code).err
    assert not Path("data").exists()


@pytest.mark.parametrize("source", ["train.csv", "part.npz", "./pictures", "a b.csv"])
def test_data_names_the_command_that_imports_it(mnistkit: Program, digits: Dataset, source: str) -> None:
    """A file or a folder that is given as data is refused with the command line, which works as it stands."""
    write_all(digits)
    shutil.copy("train.csv", "a b.csv")
    for label in "01":
        for i in range(3):
            Path("pictures", label).mkdir(parents=True, exist_ok=True)
            from PIL import Image

            Image.fromarray(digits.train.images[i]).save(f"pictures/{label}/{i}.png")
    err = mnistkit("train", "--data", source, code=2).err
    words = shlex.split(" ".join(err.split("'mnistkit ")[1].split("', then")[0].split()))
    assert words[:3] == ["data", "import", source]
    mnistkit(*words)
    uri = f"idx:{words[-1]}"
    assert uri in " ".join(err.split())
    assert len(load_dataset(uri).train) > 0
    assert "data import" in mnistkit("data", "info", f"idx:{source}", code=1).err


def test_data_names_a_folder_that_needs_no_import(mnistkit: Program, digits: Dataset) -> None:
    """A folder of IDX files is refused with its uri; what is no file keeps the list of names."""
    write_all(digits)
    mnistkit("data", "import", "part.npz", "--out", "data")
    assert "name it as idx:data" in " ".join(mnistkit("train", "--data", "data", code=2).err.split())
    assert "There is no dataset 'nothing'" in mnistkit("train", "--data", "nothing", code=2).err
    assert "mnist.zip is an archive: unpack it" in " ".join(
        mnistkit("train", "--data", "mnist.zip", code=2).err.split()
    )
    assert "There is no file none.csv" in mnistkit("train", "--data", "none.csv", code=2).err
