"""``mnistkit data import`` and ``export``."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import load_dataset
from mnistkit.utils.markup import encode_grey

pytest.importorskip("PIL", reason="the extra 'cli' isn't installed")

Program = Callable[..., Any]


def write_pictures(count: int, side: int = 28) -> None:
    """Two classes of dark strokes on white, in ``mine``."""
    pixels = np.full((side, side), 255, dtype=np.uint8)
    pixels[side // 4 : side // 2, side // 4 : side // 3] = 0
    for name in ("cats", "dogs"):
        Path("mine", name).mkdir(parents=True)
        for i in range(count):
            Path("mine", name, f"{i}.png").write_bytes(encode_grey(pixels.tobytes(), side, side))


def test_a_folder_becomes_a_dataset(mnistkit: Program) -> None:
    """The new folder is printed, notes tell what is in it, and other commands take it by the classes' names."""
    write_pictures(10)
    done = mnistkit("data", "import", "mine", "--out", "data", "--invert")
    assert done.out == "data\n"
    assert "16 images to train on, 4 to test on, 2 classes" in done.err
    assert "light ground" not in done.err
    info = mnistkit("data", "info", "idx:data").out
    assert "28 \u00d7 28 pixels" in info
    assert "cats" in info


def test_the_options_reach_the_library(mnistkit: Program) -> None:
    """Size, share, seed, name and JSON do what they say."""
    write_pictures(10, side=40)
    found = mnistkit(
        "data", "import", "mine", "--out", "data", "--size", "20x14", "--test-fraction", "0.5", "--seed", "3",
        "--name", "pets", "--invert", "--center", "--json",
    ).json  # fmt: skip
    assert (found["train"], found["test"], found["classes"], found["left_out"]) == (10, 10, ["cats", "dogs"], [])
    dataset = load_dataset(found["uri"])
    assert (dataset.name, dataset.train.images.shape) == ("pets", (10, 20, 14))
    assert found["folder"] == str(Path("data").absolute())


def test_a_light_ground_is_remarked_on(mnistkit: Program) -> None:
    """Who forgets --invert is told."""
    write_pictures(3)
    assert "--invert" in mnistkit("data", "import", "mine", "--out", "data").err


def test_classes_that_cannot_be_learned_are_remarked_on(mnistkit: Program) -> None:
    """A folder without pictures is a class, but no model will know it; with one class there is nothing to learn."""
    write_pictures(3)
    Path("mine/empty").mkdir()
    done = mnistkit("data", "import", "mine", "--out", "data")
    assert "No image to train on, so none that can be learned: empty." in done.err
    assert "Only one class" not in done.err
    shutil.rmtree("mine/dogs")
    assert "Only one class is left" in mnistkit("data", "import", "mine", "--out", "one").err


def test_what_is_left_out_is_listed_and_fails(mnistkit: Program) -> None:
    """The dataset is made, the files that aren't in it are listed with reasons, and the exit code is 1."""
    write_pictures(3)
    Path("mine/cats/bad.png").write_text("junk")
    done = mnistkit("data", "import", "mine", "--out", "data", code=1)
    assert done.out == "data\n"
    assert "left out: cats/bad.png: is no picture that can be read" in done.err
    assert "1 file was left out of data." in done.err
    assert len(load_dataset("idx:data").train) == 4
    found = mnistkit("data", "import", "mine", "--out", "again", "--json", code=1).json
    assert [each["file"] for each in found["left_out"]] == ["cats/bad.png"]


def test_a_long_list_is_cut(mnistkit: Program) -> None:
    """Twenty files are listed, the others are counted; JSON has all."""
    write_pictures(3)
    for i in range(30):
        Path(f"mine/cats/bad{i}.png").write_text("junk")
    err = mnistkit("data", "import", "mine", "--out", "data", code=1).err
    assert err.count("left out: ") == 20
    assert "30 files were left out" in err
    assert "10 more" in err
    assert len(mnistkit("data", "import", "mine", "--out", "again", "--json", code=1).json["left_out"]) == 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mine", "--out", "data", "--size", "big"), "--size 'big'"),
        (("mine", "--out", "data", "--size", "0"), "size="),
        (("mine", "--out", "mine/cats/x"), "inside"),
        (("mine", "--out", "."), "is there already"),
    ],
)
def test_misuse_is_exit_code_2(mnistkit: Program, arguments: tuple[str, ...], words: str) -> None:
    """What can't be right is refused as misuse, and nothing is made."""
    write_pictures(3)
    assert words in mnistkit("data", "import", *arguments, code=2).err
    assert not Path("data").exists()


def test_a_folder_that_is_not_there_fails(mnistkit: Program) -> None:
    """A folder that isn't there, or has no classes, is a failure that says so."""
    assert "nowhere is not a folder" in mnistkit("data", "import", "nowhere", "--out", "data", code=1).err
    Path("empty").mkdir()
    assert "one per class" in mnistkit("data", "import", "empty", "--out", "data", code=1).err


def test_digits_out_and_in(mnistkit: Program) -> None:
    """What export writes, import reads as the same dataset; what is there isn't overwritten."""
    assert mnistkit("data", "export", "digits", "--out", "png").out == "png\n"
    assert len([*Path("png").rglob("*.png")]) == 1797
    mnistkit("data", "import", "png", "--out", "data", "--size", "8")
    assert load_dataset("idx:data").sha256 == load_dataset("digits").sha256
    assert "is there already" in mnistkit("data", "export", "digits", "--out", "png", code=2).err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.timeout(120)
def test_ctrl_c_leaves_nothing(start: Callable[..., Any]) -> None:
    """Ctrl-C during an import ends the program with 130 and leaves no folder behind."""
    write_pictures(3000)
    process = start("data", "import", "mine", "--out", "data")
    assert process.stderr.readline().startswith("Reading mine")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert [path.name for path in Path().iterdir()] == ["mine"]


def test_dark_data_is_noted(mnistkit: Program) -> None:
    """Masks of 0 and 1 are imported with a note that has the brightest value and what to do."""
    from PIL import Image

    for label in "ab":
        for i in range(4):
            Path(f"masks/{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.eye(8, dtype=np.uint8)).save(f"masks/{label}/{i}.png")
    done = mnistkit("data", "import", "masks", "--out", "data", "--size", "8")
    assert "The brightest pixel of all files is 1 of 255" in done.err
