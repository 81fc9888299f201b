"""What a run logs is checked at the call, so that its files can always be read."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.errors import DataFormatError, UsageError
from mnistkit.runs.context import METRICS_FILE, TAGS_FILE, ConsoleContext, FolderContext, read_points, read_tags
from mnistkit.utils.documents import MAX_LINES_BYTES

TIME = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("step", [np.int64(3), np.int32(3), np.uint8(3), np.array(3), 3.0, np.float32(3), "3"])
def test_steps_of_any_whole_type_are_kept(tmp_path: Path, step: Any) -> None:
    """A step of numpy, a whole float, and digits are the same step."""
    FolderContext(tmp_path).log("loss", 1.0, step=step)
    ConsoleContext().log("loss", 1.0, step=step)
    (point,) = read_points(tmp_path)
    assert (point.step, type(point.step)) == (3, int)


@pytest.mark.parametrize("step", [math.inf, math.nan, 3.5, "three", [3], 10**30, np.array([1, 2]), object()])
@pytest.mark.parametrize("inside", [True, False])
def test_other_steps_are_refused(tmp_path: Path, step: Any, inside: bool) -> None:
    """Inside a run and outside of one; nothing is written."""
    context = FolderContext(tmp_path) if inside else ConsoleContext()
    with pytest.raises(UsageError, match="step="):
        context.log("loss", 1.0, step=step)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"), [("x", 10**400), ("x", "y"), ("x", None), ("x", [1, 2]), (3, 1.0), ("", 1.0), ("\ud800", 1.0)]
)
def test_odd_metrics_are_refused(tmp_path: Path, name: Any, value: Any) -> None:
    """A value beyond any float, a name that isn't text or can't be written."""
    for context in (FolderContext(tmp_path), ConsoleContext()):
        with pytest.raises(UsageError, match="log"):
            context.log(name, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("key", "value"), [("k", "\udc80"), ("k", "x" * 20_000), ("", "v"), (3, "v"), ("k", ["v"])])
def test_odd_tags_are_refused(tmp_path: Path, key: Any, value: Any) -> None:
    """Text that can't be written or is too long, and what isn't text."""
    for context in (FolderContext(tmp_path), ConsoleContext()):
        with pytest.raises(UsageError, match="tag"):
            context.tag(key, value)
    assert not list(tmp_path.iterdir())


def test_a_file_of_lines_has_a_limit(tmp_path: Path) -> None:
    """What readers would refuse isn't written; what is larger all the same isn't read."""
    for name, limit in ((METRICS_FILE, MAX_LINES_BYTES), (TAGS_FILE, 1 << 20)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, limit)
    with pytest.raises(UsageError, match="64 MiB"):
        FolderContext(tmp_path).log("loss", 1.0)
    with pytest.raises(UsageError, match="1 MiB"):
        FolderContext(tmp_path).tag("k", "v")
    for name in (METRICS_FILE, TAGS_FILE):
        os.truncate(tmp_path / name, 100 << 30)
    with pytest.raises(DataFormatError, match="64 MiB"):
        read_points(tmp_path)
    with pytest.raises(DataFormatError, match="1 MiB"):
        read_tags(tmp_path)


def _line(value: str = "1", *, name: str = "a", step: str = "null", time: str = TIME) -> str:
    return f'{{"name":"{name}","value":{value},"step":{step},"time":"{time}"}}'


@pytest.mark.parametrize(
    "line",
    [
        _line("1" + "0" * 400),
        _line("1e999"),
        _line(step="1.5"),
        _line("true"),
        _line(time="2026-01-01T00:00:00"),
        _line(name="\\ud800"),
        _line("[" * 5000 + "]" * 5000),
        "[" * 100_000,
        '{"name":"' + "a" * 100_000,
    ],
)
def test_strange_lines_are_left_out(tmp_path: Path, line: str) -> None:
    """One line that nobody logs takes nothing away from the others."""
    whole = json.dumps({"name": "b", "value": 2, "step": 1, "time": TIME})
    (tmp_path / METRICS_FILE).write_text(f"{whole}\n{line}\n{whole}\n")
    assert [(point.name, point.value, point.step) for point in read_points(tmp_path)] == [("b", 2.0, 1)] * 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((4, 4, 1), 7, dtype=np.uint8), 7),
        (np.full((4, 4), 0.5), 128),
        (np.full((4, 4), 9), 9),
        (np.ones((4, 4), dtype=bool), 255),
        ([[255, 255], [255, 255]], 255),
        (np.full((4, 4, 3), 7, dtype=np.uint8), (7, 7, 7)),
    ],
)
def test_images_that_people_have_are_kept(tmp_path: Path, image: Any, expected: Any) -> None:
    """Arrays of each usual type and shape keep their meaning."""
    pil = pytest.importorskip("PIL.Image")
    path = FolderContext(tmp_path).log_image("x", image)
    assert pil.open(path).getpixel((0, 0)) == expected
    assert FolderContext(tmp_path).log_image("y", pil.open(path)).stat().st_size


@pytest.mark.parametrize(
    "image",
    [
        None,
        "text",
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.full((2, 2), 300),
        np.full((2, 2), np.nan),
        [[1], [2, 3]],
        np.full((2, 2), 2.0),
        np.zeros((0, 0)),
        np.array([["a"]]),
    ],
)
def test_other_images_are_refused(tmp_path: Path, image: Any) -> None:
    """The message gives the forms; no file is left behind."""
    pytest.importorskip("PIL")
    with pytest.raises(UsageError, match="log_image"):
        FolderContext(tmp_path).log_image("x", image)
    assert not list(tmp_path.rglob("*.png"))
