"""What all plots share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from matplotlib.figure import Figure

from mnistkit import plots
from mnistkit.errors import MissingExtraError, StorageError, UsageError
from mnistkit.evaluation.scores import evaluate
from mnistkit.plots.canvas import COLOURS, RED, save
from plots import subjects
from plots.drawings import DRAWINGS


def _drawn(draw: Callable[..., Any], where: str, target: Any) -> Any:
    """Call a plot with something to draw, into this target."""
    dataset = subjects.digits()
    model = subjects.nearest_mean(dataset)
    arguments = {
        plots.class_balance: (dataset,),
        plots.confusion: (evaluate(model, dataset),),
        plots.reliability: (model, dataset),
        plots.sweep_curve: (subjects.regularization(),),
        plots.learning_curve: (subjects.halved(),),
        plots.timeline: (subjects.run(),),
        plots.sample_grid: (dataset,),
        plots.mean_images: (dataset,),
        plots.misclassified: (model, dataset),
        plots.prediction_grid: (model, dataset),
        plots.weights: (model, dataset),
    }
    return draw(*arguments[draw], **{where: target})


@pytest.mark.parametrize(
    "draw",
    [
        plots.class_balance,
        plots.confusion,
        plots.reliability,
        plots.sweep_curve,
        plots.learning_curve,
        plots.timeline,
    ],
)
def test_a_plot_goes_into_axes_of_the_callers(draw: Callable[..., Any]) -> None:
    """With ``ax=`` it draws there, titled and labelled, leaves the other axes alone, and returns their Figure."""
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert _drawn(draw, "ax", right) is figure
    assert right.get_title()
    assert right.get_xlabel()
    assert right.has_data()
    assert not left.has_data()


@pytest.mark.parametrize(
    "draw", [plots.sample_grid, plots.mean_images, plots.misclassified, plots.prediction_grid, plots.weights]
)
def test_a_grid_goes_into_a_figure_of_the_callers(draw: Callable[..., Any]) -> None:
    """With ``figure=`` a grid is drawn into that Figure or SubFigure, which is returned; its neighbour stays empty."""
    figure = Figure(figsize=(8, 4))
    assert _drawn(draw, "figure", figure) is figure
    assert len(figure.axes) >= 10
    top, bottom = Figure(figsize=(8, 8), layout="constrained").subfigures(2, 1)
    assert _drawn(draw, "figure", bottom) is bottom
    assert len(bottom.axes) >= 10
    assert not top.axes


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_notebook_shows_a_picture(name: str) -> None:
    """A Figure shows itself as PNG, at most 12 by 8 inches large, also where nobody has imported pyplot."""
    figure = DRAWINGS[name]()
    assert figure._repr_png_().startswith(b"\x89PNG")
    width, height = figure.get_size_inches()
    assert width <= 12
    assert height <= 8


@pytest.mark.parametrize("name", DRAWINGS)
def test_letters_are_readable(name: str) -> None:
    """No text is smaller than 7 points, and every visible text lies within the picture."""
    figure = DRAWINGS[name]()
    figure.draw_without_rendering()
    from matplotlib.text import Text

    edge = figure.bbox.padded(1)
    texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible() and t.axes not in _off(figure)]
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    for text in [*texts, *titles]:
        assert text.get_fontsize() >= 7, text.get_text()
    for text in titles:
        box = text.get_window_extent()
        assert edge.x0 <= box.x0, text.get_text()
        assert box.x1 <= edge.x1, text.get_text()
        assert box.y1 <= edge.y1, text.get_text()


def _off(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if not axes.axison]


def test_every_plot_leaves_pyplot_alone() -> None:
    """Drawing all plots neither imports pyplot nor changes matplotlib's settings."""
    program = """
import sys
sys.path.insert(0, {tests!r})
import matplotlib
before = matplotlib.rcParams.copy()
from plots.drawings import DRAWINGS
for draw in DRAWINGS.values():
    draw()
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    tests = str(Path(__file__).parents[1])
    outcome = subprocess.run(
        [sys.executable, "-c", program.format(tests=tests)], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("name", DRAWINGS)
def test_without_matplotlib_each_plot_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib can't be imported, the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnistkit\[plot\]'"):
        DRAWINGS[name]()


@pytest.mark.parametrize("text", ["$\\frac{", "a $ b $ c", "\x00\x1b[31m", "\ud800", "<b>&amp;</b>"])
def test_names_are_drawn_as_they_are(text: str) -> None:
    """Whatever a class is called: it is neither taken for a formula nor does it break the picture."""
    dataset = subjects.digits((text, *"123456789"))
    for draw in (plots.sample_grid, plots.class_balance, plots.mean_images):
        draw(dataset)._repr_png_()
    plots.confusion(evaluate(subjects.nearest_mean(dataset), dataset))._repr_png_()


def _contrast(colour: str) -> float:
    """With white, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_colours_stand_out_from_white() -> None:
    """Red text has a contrast of 4.5 to 1, the first colours of lines 3 to 1; no line hangs on its colour alone."""
    assert _contrast(RED) >= 4.5
    assert all(_contrast(colour) >= 3 for colour in COLOURS[:3])
    lines = DRAWINGS["learning_curve"]().axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")],
    ids=lambda value: str(value)[:5],
)
def test_a_picture_is_written_as_its_name_says(tmp_path: Path, name: str, start: bytes) -> None:
    """The ending decides the format, and the same figure gives the same file each time."""
    figure = DRAWINGS["timeline"]()
    first = save(figure, tmp_path / name).read_bytes()
    assert first.startswith(start)
    assert save(DRAWINGS["timeline"](), tmp_path / name).read_bytes() == first


def test_other_endings_and_places_are_refused(tmp_path: Path) -> None:
    """A format that isn't known is a usage error that lists those that are; a folder that isn't there is named."""
    figure = DRAWINGS["timeline"]()
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        save(figure, tmp_path / "a.gif")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"can't be written to .*file/a\.png: [A-Z][^']*\. Name"):
        save(figure, tmp_path / "file" / "a.png")
