"""``mnistkit data``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.interfaces import DataSource
from mnistkit.plugins import load_dataset, names

Program = Callable[..., Any]


def test_the_list_has_every_named_dataset(mnistkit: Program) -> None:
    """The list has the datasets with a name, and knows which of them are in the cache."""
    found = {each["uri"]: each["cached"] for each in mnistkit("data", "list", "--json").json}
    assert found == {name: False for name in names("dataset") if name not in {"array", "idx", "azureml"}}
    mnistkit("data", "fetch", "digits")
    assert {each["uri"] for each in mnistkit("data", "list", "--json").json if each["cached"]} == {"digits"}
    assert "idx:FOLDER" in mnistkit("data", "list").out


def test_fetch_prints_the_folder(mnistkit: Program, tiny_mnist: DataSource) -> None:
    """Fetch prints where the files are."""
    assert mnistkit("data", "fetch", tiny_mnist.uri).out == f"{tiny_mnist.uri.removeprefix('idx:')}\n"


def test_info_counts_images_and_classes(mnistkit: Program) -> None:
    """Info has sizes, sha256 and the count of each class; the table and JSON agree."""
    digits = load_dataset("digits")
    found = mnistkit("data", "info", "digits", "--json").json
    assert (found["train"], found["test"], found["height"], found["width"]) == (1437, 360, 8, 8)
    assert found["sha256"] == digits.sha256
    assert [each["train"] for each in found["classes"]] == np.bincount(digits.train.labels).tolist()
    out = mnistkit("data", "info", "digits").out
    assert "1,437 to train on, 360 to test on" in out
    assert out.splitlines()[-1].split() == ["9", *(str(found["classes"][9][part]) for part in ("train", "test"))]


def test_show_draws_digits_side_by_side(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits are drawn with their labels, as many in a row as the width takes; the seed chooses them."""
    monkeypatch.setenv("COLUMNS", "38")
    lines = mnistkit("data", "show", "digits", "-n", "5").out.splitlines()
    labels = [load_dataset("digits").train.labels[i] for i in np.random.default_rng(0).permutation(1437)[:5]]
    assert lines[0].split() == [str(label) for label in labels[:4]]
    assert lines[6].split() == [str(labels[4])]
    assert max(map(len, lines)) <= 38
    assert set("".join(lines[1:5])) <= set(" ▀▄█")
    assert mnistkit("data", "show", "digits", "-n", "5", "--seed", "1").out.splitlines() != lines


def test_show_halves_large_images(mnistkit: Program, tiny_mnist: DataSource) -> None:
    """Images of 28x28 are drawn with 14 characters by 7 lines, from either half of the dataset."""
    lines = mnistkit("data", "show", tiny_mnist.uri, "-n", "1", "--split", "test").out.splitlines()
    assert len(lines) == 1 + 7 + 1
    assert 8 <= max(map(len, lines)) <= 14


def test_show_writes_a_picture(mnistkit: Program) -> None:
    """With --out a PNG is written, and its name printed."""
    pytest.importorskip("matplotlib")
    assert mnistkit("data", "show", "digits", "-n", "4", "--out", "digits.png").out == "digits.png\n"
    assert Path("digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("uri", "code"), [("nope", 2), ("idx:nowhere", 1), ("idx:", 2)])
def test_a_dataset_that_is_not_there(mnistkit: Program, uri: str, code: int) -> None:
    """An unknown name is wrong usage, a folder that isn't there a failure; both are named."""
    assert uri.removeprefix("idx:") in mnistkit("data", "info", uri, code=code).err


def test_offline_says_so(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that would need the forbidden network fails, and the message names the variable."""
    monkeypatch.setenv("MNISTKIT_OFFLINE", "1")
    assert "MNISTKIT_OFFLINE" in mnistkit("data", "fetch", "mnist", code=1).err
