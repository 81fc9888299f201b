"""Figures of logged series."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from mnistkit.errors import NotFoundError
from mnistkit.plots import series
from plots.subjects import logged, run


def test_a_series_is_a_line_over_its_steps() -> None:
    """The metric is drawn over its steps; what isn't finite is left out; title and axes name it."""
    (axes,) = series(logged(), "objective").axes
    (line,) = axes.get_lines()
    assert list(line.get_xdata()) == [0, 10, 20, 30, 40, 60, 70, 80, 90, 100, 110]
    assert list(line.get_ydata())[:2] == [100, 50]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "objective")
    assert axes.get_title() == "objective of run run-000000"
    assert axes.get_legend() is None


def test_without_a_name_the_first_series_is_drawn() -> None:
    """Metrics that were logged once are no series; the first other one is drawn, of a record as well."""
    (axes,) = series(logged().record).axes
    assert axes.get_ylabel() == "objective"


def test_several_runs_are_a_line_each() -> None:
    """Runs without the series are left out; the others are named in the legend; the axis may be logarithmic."""
    (axes,) = series([logged(1), run(metrics={"accuracy": 0.9}), logged(2)], "objective", log=True).axes
    assert [line.get_label()[:6] for line in axes.get_lines()] == ["000001", "000002"]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "objective of 2 runs"


@pytest.mark.parametrize("metric", [None, "accuracy", "loss"])
def test_what_was_logged_once_is_no_series(metric: str | None) -> None:
    """A metric with a single value is refused, with a list of the series that there are."""
    single = run(metrics={"accuracy": 0.9})
    with pytest.raises(NotFoundError, match="there is nothing"):
        series(single, metric)
    if metric:
        with pytest.raises(NotFoundError, match="there is objective"):
            series(logged(), metric)
