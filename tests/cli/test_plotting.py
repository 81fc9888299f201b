"""``--plot`` of data, runs and models."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.naive_bayes import GaussianNB

from mnistkit import ScriptJob
from mnistkit.trainer import Trainer

Program = Callable[..., Any]

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the extra 'plot' isn't installed"
)
MODEL = ("confusion", "errors", "misclassified", "predictions", "reliability", "weights")


@needs_matplotlib
@pytest.mark.parametrize("kind", ["samples", "balance", "means"])
def test_figures_of_data(mnistkit: Program, kind: str) -> None:
    """A figure of a dataset is written where --out says, and the file is printed."""
    assert mnistkit("data", "show", "digits", "--plot", kind, "--out", "a.png").out == "a.png\n"
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


@needs_matplotlib
@pytest.mark.parametrize("kind", ["timeline", *MODEL])
def test_figures_of_runs_and_models(mnistkit: Program, trained: Trainer, kind: str) -> None:
    """Each figure of a run can be written, and each one of its model too; SVG is a page of vectors."""
    mnistkit("runs", "show", "latest", "--plot", kind, "--out", "run.svg")
    assert "<svg" in Path("run.svg").read_text(encoding="utf-8")
    if kind in MODEL:
        mnistkit("models", "show", "sklearn_mnist", "--plot", kind, "--out", "model.png")
        assert Path("model.png").stat().st_size > 1000


@needs_matplotlib
def test_without_out_the_file_has_the_name_of_what_is_drawn(mnistkit: Program, trained: Trainer) -> None:
    """The default file names the figure and the dataset, run or model; it is printed, and replaced the next time."""
    (run,) = trained.runs()
    for command, file in (
        (("data", "show", "digits", "--plot", "balance"), "balance-digits.png"),
        (("runs", "show", "latest", "--plot", "timeline"), f"timeline-{run.id}.png"),
        (("models", "show", "sklearn_mnist", "--plot", "confusion"), "confusion-sklearn_mnist_1.png"),
    ):
        for _ in range(2):
            assert mnistkit(*command).out == f"{file}\n"
            assert Path(file).read_bytes().startswith(b"\x89PNG")


def test_what_can_not_be_drawn_is_said(mnistkit: Program, trained: Trainer, tmp_path: Path) -> None:
    """A file without --plot, weights of what has none, a run without a model: each error says what is missing."""
    assert "name the figure with --plot" in mnistkit("runs", "show", "latest", "--out", "a.png", code=2).err
    assert "name the figure" in mnistkit("models", "show", "sklearn_mnist", "--out", "a.png", code=2).err
    trained.train(GaussianNB())
    assert "isn't linear" in mnistkit("runs", "show", "latest", "--plot", "weights", code=2).err
    (tmp_path / "train.py").write_text("")
    trained.submit(ScriptJob(str(tmp_path))).wait()
    assert "left no model" in mnistkit("runs", "show", "latest", "--plot", "predictions", code=1).err


@needs_matplotlib
def test_a_wrong_ending_is_refused_at_once(mnistkit: Program, trained: Trainer) -> None:
    """An ending that can't be written is refused before anything is loaded; the endings that can are listed."""
    err = mnistkit("data", "show", "no-such-data", "--out", "a.gif", code=2).err
    assert ".png, .svg or .pdf" in err
    assert not Path("a.gif").exists()


@needs_matplotlib
def test_a_series_is_drawn(mnistkit: Program, tmp_path: Path) -> None:
    """--plot series draws a metric over its steps: the first that has some, or the one that --metric names."""
    folder = tmp_path / "script"
    folder.mkdir()
    lines = "from mnistkit import get_context\nfor i in range(5): get_context().log('loss', 1 / (i + 1), step=i)\n"
    (folder / "train.py").write_text(lines, encoding="utf-8")
    run = Trainer.local(data="digits").submit(ScriptJob(folder)).wait()
    assert mnistkit("runs", "show", "latest", "--plot", "series").out == f"series-{run.id}.png\n"
    mnistkit("runs", "show", "latest", "--plot", "series", "--metric", "loss", "--out", "loss.svg")
    assert "loss" in Path("loss.svg").read_text(encoding="utf-8")
    assert "there is loss" in mnistkit("runs", "show", "latest", "--plot", "series", "--metric", "x", code=1).err
