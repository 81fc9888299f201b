"""What the pictures of runs and sweeps show."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from matplotlib.colors import to_hex

from mnistkit.errors import NotFoundError, UnknownNameError, UsageError
from mnistkit.plots import learning_curve, sweep_curve, timeline
from mnistkit.plots.canvas import RED
from plots.subjects import halved, halving, regularization, run, sweep


def test_a_sweep_is_a_line_for_each_other_setting() -> None:
    """Accuracy against C on a logarithmic axis, a line with and one without intercept; the best run is ringed."""
    (axes,) = sweep_curve(regularization()).axes
    with_it, without, ring = axes.get_lines()
    assert axes.get_xscale() == "log"
    assert list(with_it.get_xdata()) == [0.001, 0.01, 0.1, 1, 10, 100]
    assert list(with_it.get_ydata()) == [0.84, 0.908, 0.95, 0.972, 0.975, 0.969]
    assert [line.get_label() for line in (with_it, without)] == ["fit_intercept=True", "fit_intercept=False"]
    assert with_it.get_marker() != without.get_marker()
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([10], [0.975])
    assert axes.get_title() == "Best of 12 runs: accuracy 0.975 with C=10,\nfit_intercept=True"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("C", "accuracy")


def test_another_parameter_may_be_chosen() -> None:
    """With param= the other parameter is the axis: what isn't a number stands side by side, by name."""
    (axes,) = sweep_curve(regularization(), param="fit_intercept").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["True", "False"]
    assert len(axes.get_lines()) == 7
    with pytest.raises(UnknownNameError, match="this sweep tried C, fit_intercept"):
        sweep_curve(regularization(), param="tol")


def test_values_close_together_or_negative_are_on_a_plain_axis() -> None:
    """The axis is logarithmic only if the values span a factor of ten."""
    assert sweep_curve(sweep(({"a": 2}, 0.5), ({"a": 3}, 0.6))).axes[0].get_xscale() == "linear"
    assert sweep_curve(sweep(({"a": -2}, 0.5), ({"a": 300}, 0.6))).axes[0].get_xscale() == "linear"


def test_less_may_be_better() -> None:
    """With mode="min" the smallest value is ringed; a mode that isn't one is refused."""
    ring = sweep_curve(regularization(), mode="min").axes[0].get_lines()[-1]
    assert list(ring.get_ydata()) == [0.83]
    with pytest.raises(UsageError, match="use 'max' or 'min'"):
        sweep_curve(regularization(), mode="best")  # type: ignore[arg-type]  # that is the point


def test_runs_without_the_metric_are_left_out() -> None:
    """A run with NaN isn't drawn; if none has a value, the metrics that there are are listed."""
    some = sweep(({"a": 1}, float("nan")), ({"a": 2}, 0.5), ({"a": 3}, 0.4))
    assert list(sweep_curve(some).axes[0].get_lines()[0].get_xdata()) == [2, 3]
    for draw in (sweep_curve, learning_curve):
        with pytest.raises(NotFoundError, match="'f1'; there is accuracy"):
            draw(some, "f1")


def test_a_halved_sweep_is_drawn_by_its_last_rung() -> None:
    """Of a sweep with halving, the runs of the last rung count, since only they saw all images."""
    (axes,) = sweep_curve(halved()).axes
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[0.95], [0.95]]


def test_learning_goes_from_rung_to_rung() -> None:
    """A line per combination over the numbers of training images; those given up early are grey."""
    (axes,) = learning_curve(halved()).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "200", "all"]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert {name: list(line.get_ydata()) for name, line in lines.items()} == {
        "C=0.1": [0.80],
        "C=1": [0.86, 0.91, 0.95],
        "C=10": [0.87, 0.90],
        "C=100": [0.83],
    }
    greys = [name for name, line in lines.items() if len(set(to_hex(line.get_color())[1:])) <= 1]
    assert greys == ["C=0.1", "C=10", "C=100"]


def test_many_lines_are_named_beside_the_axes() -> None:
    """Of very many combinations those that got furthest are named; nothing covers the lines or is cut off."""
    tried = [{"max_depth": depth, "min_samples_leaf": leaf} for depth in range(1, 10) for leaf in range(1, 9)]
    found = halving(tried)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = learning_curve(found)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend.get_title().get_text() == "10 of 72"
    assert "max_depth=9,\nmin_samples_leaf=8" in [text.get_text() for text in legend.get_texts()]
    area, key = axes.get_window_extent(), legend.get_window_extent()
    assert area.width > figure.bbox.width / 2
    assert key.x0 >= area.x1 - 1
    assert figure.bbox.contains(key.x1 - 1, key.y1 - 1)
    assert figure.bbox.contains(key.x0, key.y0)


def test_lines_that_were_given_up_differ_by_their_marks() -> None:
    """Nine grey lines have nine marks: nothing hangs on the colour."""
    lines = learning_curve(halving([{"C": 10.0**k} for k in range(-4, 5)])).axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 9


def test_whole_numbers_have_whole_ticks() -> None:
    """A depth of 2.5 is none."""
    (axes,) = sweep_curve(sweep(({"depth": 2}, 0.5), ({"depth": 3}, 0.6), ({"depth": 4}, 0.6))).axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_one_run_isnt_the_best_of_several() -> None:
    """The title of a halved sweep's last rung, where one is left, says so."""
    assert sweep_curve(halved()).axes[0].get_title() == "One run: accuracy 0.95 with C=1"


def test_a_sweep_of_the_defaults_alone_has_nothing_to_draw() -> None:
    """Without a parameter there is no axis for the metric; its learning curve is one line."""
    with pytest.raises(UsageError, match="tried no parameter"):
        sweep_curve(sweep(({}, 0.5)))
    (line,) = learning_curve(sweep(({}, 0.5))).axes[0].get_lines()
    assert line.get_label() == "defaults"


def test_a_timeline_has_a_bar_for_each_state() -> None:
    """Bars begin when the state began, in seconds since the run was submitted, and say how long it took."""
    figure = timeline(run())
    (axes,) = figure.axes
    assert [bar.get_x() for bar in axes.patches] == [0, 1.5, 2, 14.5]
    assert [bar.get_width() for bar in axes.patches] == [1.5, 0.5, 12.5, 0.5]
    assert [text.get_text() for text in axes.texts] == ["1.5 s", "0.5 s", "12.5 s", "0.5 s"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Queued", "Preparing", "Running", "Finalizing"]
    assert axes.get_xlabel() == "seconds since 2026-03-01 12:00:00 UTC"
    assert axes.get_title() == "Run run-1\nCompleted"
    assert timeline(run().record).axes[0].get_title() == axes.get_title()


def test_a_timeline_of_a_run_that_goes_on_or_failed() -> None:
    """What hasn't ended is hatched and says so; a failed run's title is red as well as in words."""
    (axes,) = timeline(run({"Queued": 0, "Running": 2})).axes
    assert axes.texts[-1].get_text().endswith("so far")
    assert axes.patches[-1].get_hatch()
    (axes,) = timeline(run({"Queued": 0, "Running": 2, "Failed": 3})).axes
    assert axes.get_title() == "Run run-1\nFailed"
    assert to_hex(axes.title.get_color()) == RED


def test_attempts_are_told_apart() -> None:
    """Another attempt has bars of its own, with its number."""
    record = run().record
    tries = record.transitions[:3] + record.transitions[1:]
    (axes,) = timeline(run(transitions=tries)).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:4] == ["Queued", "Preparing", "Running", "Preparing (attempt 2)"]


def test_a_run_that_was_only_queued_can_be_drawn() -> None:
    """A run that was canceled at once has one bar, of no length."""
    (axes,) = timeline(run({"Queued": 0, "Canceled": 0})).axes
    assert [text.get_text() for text in axes.texts] == ["0.0 s"]
