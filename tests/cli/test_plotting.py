"""``--plot`` of data, runs and models: in the terminal and as files."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.naive_bayes import GaussianNB

from mnistkit import ScriptJob
from mnistkit.evaluation.results import run_evaluation
from mnistkit.trainer import Trainer

Program = Callable[..., Any]

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the extra 'plot' isn't installed"
)
MODEL = ("confusion", "errors", "misclassified", "predictions", "reliability", "weights")


@needs_matplotlib
@pytest.mark.parametrize("kind", ["samples", "balance", "means"])
def test_pictures_of_data(mnistkit: Program, kind: str) -> None:
    """A picture of a dataset is written where --out says, and the file is printed."""
    assert mnistkit("data", "show", "digits", "--plot", kind, "--out", "a.png").out == "a.png\n"
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


@needs_matplotlib
@pytest.mark.parametrize("kind", ["timeline", *MODEL])
def test_pictures_of_runs_and_models(mnistkit: Program, trained: Trainer, kind: str) -> None:
    """Each picture of a run can be written, and each one of its model too; SVG is a page of vectors."""
    mnistkit("runs", "show", "latest", "--plot", kind, "--out", "run.svg")
    assert "<svg" in Path("run.svg").read_text(encoding="utf-8")
    if kind in MODEL:
        mnistkit("models", "show", "sklearn_mnist", "--plot", kind, "--out", "model.png")
        assert Path("model.png").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["timeline", *MODEL])
def test_drawn_in_the_terminal(mnistkit: Program, trained: Trainer, kind: str) -> None:
    """Without --out the same is drawn with characters, for a run and for its model alike."""
    out = mnistkit("runs", "show", "latest", "--plot", kind, "-n", 3).out
    assert len(out.splitlines()) >= 4
    if kind in MODEL:
        assert mnistkit("models", "show", "sklearn_mnist", "--plot", kind, "-n", 3).out == out


def test_confusion_in_the_terminal_has_the_counts(mnistkit: Program, trained: Trainer) -> None:
    """The matrix in the terminal has the evaluation's counts, a dot for none; errors are percentages."""
    counts = run_evaluation(trained.runs()[0]).confusion
    rows = [line.split() for line in mnistkit("runs", "show", "latest", "--plot", "confusion").out.splitlines()]
    assert rows[0] == ["true", *"0123456789"]
    assert [row[1:] for row in rows[1:]] == [[str(count or ".") for count in row] for row in counts]
    errors = mnistkit("runs", "show", "latest", "--plot", "errors").out
    worst = max((count / sum(row), i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if i != j)
    assert f"{100 * worst[0]:.1f}" in errors.splitlines()[1 + worst[1]]


def test_balance_in_the_terminal(mnistkit: Program) -> None:
    """A bar per class with its counts; the longest is of full width."""
    lines = mnistkit("data", "show", "digits", "--plot", "balance").out.splitlines()
    assert len(lines) == 10
    assert all("to train on" in line for line in lines)
    assert max(line.count("█") for line in lines) == 40


def test_plain_terminals_get_plain_characters(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the encoding has no blocks, bars are made of ASCII."""
    from rich.console import Console

    monkeypatch.setattr(Console, "encoding", "ascii")
    assert "########" in mnistkit("data", "show", "digits", "--plot", "balance").out
    assert mnistkit("data", "show", "digits", "--plot", "balance").out.isascii()


def test_what_can_not_be_drawn_is_said(mnistkit: Program, trained: Trainer, tmp_path: Path) -> None:
    """A file without --plot, weights of what has none, a run without a model: each error says what is missing."""
    assert "say what to draw with --plot" in mnistkit("runs", "show", "latest", "--out", "a.png", code=2).err
    assert "say what to draw" in mnistkit("models", "show", "sklearn_mnist", "--out", "a.png", code=2).err
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
