"""Each plot looks as it did when somebody last looked at it; `plots.drawings` states the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from mnistkit import plots
from mnistkit.evaluation.scores import evaluate
from plots import drawings, subjects


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_a_drawing_looks_as_it_did(name: str) -> None:
    """Drawn today, the picture differs from the one that is kept by no more than the tolerance."""
    found = drawings.difference(drawings.coarse(drawings.DRAWINGS[name]()), drawings.baseline(name))
    assert not found, f"{name} {found}. If that is meant: python tests/plots/drawings.py, and look at the pictures."


def test_every_plot_has_a_picture() -> None:
    """Each public plot is among the drawings, and no picture is left over."""
    assert {name for name in drawings.DRAWINGS if name != "confusion_errors"} == set(plots.__all__)
    assert {path.stem for path in drawings.BASELINE.iterdir()} == set(drawings.DRAWINGS)


def _transposed() -> Any:
    dataset = subjects.digits()
    found = evaluate(subjects.nearest_mean(dataset), dataset)
    return plots.confusion(type(found)(**{**_fields(found), "confusion": tuple(zip(*found.confusion, strict=True))}))


def _fields(evaluation: Any) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in ("accuracy", "n", "classes", "confusion", "log_loss")}


def _not_inverted() -> Any:
    figure = drawings.DRAWINGS["misclassified"]()
    for axes in figure.axes:
        axes.images[0].set_cmap("Greys")
    return figure


def _linear() -> Any:
    figure = drawings.DRAWINGS["sweep_curve"]()
    figure.axes[0].set_xscale("linear")
    return figure


def _black() -> Any:
    figure = drawings.DRAWINGS["prediction_grid"]()
    for axes in figure.axes:
        axes.title.set_color("black")
        axes.images[0].set_cmap("Greys")
    return figure


def _upside_down() -> Any:
    figure = drawings.DRAWINGS["timeline"]()
    figure.axes[0].invert_yaxis()
    return figure


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("confusion", _transposed),
        ("misclassified", _not_inverted),
        ("sweep_curve", _linear),
        ("prediction_grid", _black),
        ("timeline", _upside_down),
        ("sample_grid", lambda: plots.sample_grid(subjects.digits(), 20, seed=1)),
        ("weights", lambda: plots.weights(subjects.nearest_mean(subjects.digits(), -0.5))),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_<>"),
)
def test_the_comparison_sees_what_is_wrong(name: str, spoilt: Callable[[], Any]) -> None:
    """A picture with axes swapped, colours not inverted, another scale or order, or other images isn't taken for it."""
    assert drawings.difference(drawings.coarse(spoilt()), drawings.baseline(name))
