"""Pictures of runs: how long they took, and what came of a sweep."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

from mnistkit.errors import NotFoundError, UnknownNameError
from mnistkit.plots.canvas import BLUE, COLOURS, GREY, MARKS, RED, axes_of, drawn_on, key, plain
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.utils.text import duration, number

if TYPE_CHECKING:  # an optional dependency, and what asks for its report with these pictures
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mnistkit.sweeps.sweep import Sweep

__all__ = ["learning_curve", "sweep_curve", "timeline"]

_DECADE = 10
_LETTERS = 60


def sweep_curve(
    sweep: Sweep,
    metric: str = "accuracy",
    *,
    param: str | None = None,
    mode: Literal["max", "min"] = "max",
    ax: Axes | None = None,
) -> Figure:
    """Draw a metric against what a sweep tried, such as accuracy against regularization; the best run is ringed.

    Other parameters that vary make a line each. Values that aren't numbers stand side by side; the axis is logarithmic
    if they span a factor of ten or more. With halving, the runs of the last rung are drawn.

    Args:
        sweep: Of `Trainer.sweep` or `Trainer.optimize`.
        metric: Such as ``"accuracy"`` or ``"log loss"``.
        param: Which parameter; None for the first that varies.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UnknownNameError: The sweep didn't try that parameter; lists those that it did.
        NotFoundError: No completed run has a finite value of the metric.
    """
    last = max((trial.rung or 0 for trial in sweep.trials), default=0)
    trials = [(t.params, t.run) for t in sweep.trials if (t.rung or 0) == last]
    found = _measured(trials, metric)
    param = _param(trials, param)
    others = [name for name in _varying(trials) if name != param]
    groups: dict[str, list[tuple[Any, float]]] = {}
    for params, value in found:
        groups.setdefault(_setting(params, others), []).append((params.get(param), value))
    axes = axes_of(ax)
    positions = _positions(axes, [params.get(param) for params, _ in found])
    for (label, pairs), colour, mark in zip(groups.items(), cycle(COLOURS), cycle(MARKS), strict=False):
        points = sorted((positions[_key(tried)], value) for tried, value in pairs)
        axes.plot(
            *zip(*points, strict=True), color=colour, marker=mark, markersize=5, linewidth=1.2, label=plain(label)
        )
    best = sweep.best(metric, mode)
    params, value = next(params for params, run in trials if run is best), best.metrics[metric]
    setting = _setting(params, _varying(trials))
    (ring,) = axes.plot(
        [positions[_key(params.get(param))]],
        [value],
        marker="o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor=RED,
        linestyle="none",
        label="best",
    )
    among = f"Best of {len(found)} runs: " if len(found) > 1 else "One run: "
    title = textwrap.fill(f"{among}{metric} {value:.4g} with {setting}", _LETTERS)
    axes.set(xlabel=plain(param), ylabel=plain(metric), title=plain(title))
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    key(axes, first=[ring])
    figure: Figure = drawn_on(axes)
    return figure


def learning_curve(sweep: Sweep, metric: str = "accuracy", *, ax: Axes | None = None) -> Figure:
    """Draw a metric against the number of training images: a line for each combination that a sweep with halving tried.

    Args:
        sweep: Of `Trainer.sweep` with ``halving``.
        metric: Such as ``"accuracy"`` or ``"log loss"``.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure, with a rung after the other from left to right.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        NotFoundError: No completed run has a finite value of the metric.
    """
    rungs: dict[int, str] = {}
    lines: dict[str, list[tuple[int, float]]] = {}
    names = _varying([(trial.params, trial.run) for trial in sweep.trials])
    _measured([(trial.params, trial.run) for trial in sweep.trials], metric)
    for trial, row in zip(sweep.trials, sweep.table(), strict=True):
        rung = trial.rung or 0
        rungs[rung] = "all" if row["limit"] is None else f"{row['limit']:,}"
        if _is_measured(trial.run, metric):
            lines.setdefault(_setting(trial.params, names), []).append((rung, trial.run.metrics[metric]))
    axes = axes_of(ax)
    longest = max(map(len, lines.values()))
    for (label, points), colour, mark in zip(lines.items(), cycle(COLOURS), cycle(MARKS), strict=False):
        goes_on = len(points) == longest
        axes.plot(
            *zip(*points, strict=True),
            color=colour if goes_on else GREY,
            marker=mark,
            markersize=5,
            linewidth=1.6 if goes_on else 0.8,
            label=plain(label),
        )
    axes.set_xticks(list(rungs), list(rungs.values()))
    axes.margins(x=0.08)
    axes.set(xlabel="training images", ylabel=plain(metric), title=plain(f"{metric} on ever more training images"))
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    key(axes, points=8, first=sorted(axes.get_lines(), key=lambda line: -len(line.get_xdata())))
    figure: Figure = drawn_on(axes)
    return figure


def timeline(run: Run | RunRecord, *, ax: Axes | None = None) -> Figure:
    """Draw how long a run was in each state.

    Args:
        run: A run, as of its last look, or its record.
        ax: Where to draw; None for a new Figure.

    Returns:
        The Figure, with a bar per state, below each other in their order; its length is written beside it.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    record = run.record if isinstance(run, Run) else run
    phases = record.phases
    start = record.transitions[0].at
    axes = axes_of(ax, (6.4, 1.3 + 0.36 * max(len(phases), 1)))
    for position, phase in enumerate(phases):
        left = (phase.started_at - start).total_seconds()
        goes_on = phase.ended_at is None
        style = {"color": "white", "edgecolor": BLUE, "hatch": "////"} if goes_on else {"color": BLUE}
        (bar,) = axes.barh(position, phase.seconds, left=left, height=0.6, **style)  # type: ignore[arg-type]
        more = " so far" if goes_on else ""
        end = bar.get_x() + bar.get_width()
        axes.annotate(
            f"{duration(phase.seconds)}{more}", (end, position), (4, 0), textcoords="offset points", va="center"
        )
    labels = [f"{phase.state}" + (f" (attempt {phase.attempt})" if phase.attempt > 1 else "") for phase in phases]
    axes.set_yticks(range(len(phases)), labels)
    axes.set_ylim(max(len(phases), 1) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    state = record.transitions[-1].state
    axes.set_title(plain(f"Run {record.id}\n{state}"), color=RED if state is RunState.FAILED else "black")
    axes.set_xlabel(f"seconds since {start:%Y-%m-%d %H:%M:%S} UTC")
    figure: Figure = drawn_on(axes)
    return figure


_Trials = Sequence[tuple[Mapping[str, Any], Run]]


def _is_measured(run: Run, metric: str) -> bool:
    return run.state is RunState.COMPLETED and math.isfinite(run.metrics.get(metric, math.nan))


def _measured(trials: _Trials, metric: str) -> list[tuple[Mapping[str, Any], float]]:
    found = [(params, run.metrics[metric]) for params, run in trials if _is_measured(run, metric)]
    if not found:
        known = sorted({name for _, run in trials for name in run.metrics})
        raise NotFoundError(f"No completed run has a finite {metric!r}; there is {', '.join(known) or 'no metric'}.")
    return found


def _varying(trials: _Trials) -> list[str]:
    """The parameters that have more than one value, or all if none has."""
    names = list(dict.fromkeys(name for params, _ in trials for name in params))
    return [name for name in names if len({_key(params.get(name)) for params, _ in trials}) > 1] or names


def _param(trials: _Trials, param: str | None) -> str:
    names = list(dict.fromkeys(name for params, _ in trials for name in params))
    if param is None:
        return _varying(trials)[0]
    if param not in names:
        raise UnknownNameError(f"param={param!r}: this sweep tried {', '.join(names)}.")
    return param


def _positions(axes: Axes, tried: Sequence[Any]) -> dict[Any, float]:
    """Where each value goes along the x axis, which is made to fit."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in tried):
        if min(tried) > 0 and max(tried) / min(tried) >= _DECADE:
            axes.set_xscale("log")
        elif all(isinstance(value, int) for value in tried):
            axes.locator_params(axis="x", integer=True)
        return {_key(value): float(value) for value in tried}
    texts = list(dict.fromkeys(_key(value) for value in tried))
    axes.set_xticks(range(len(texts)), [plain(_text(next(v for v in tried if _key(v) == text))) for text in texts])
    return {text: float(position) for position, text in enumerate(texts)}


def _setting(params: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={_text(params.get(name))}" for name in names)


def _key(value: Any) -> Any:
    """The value itself if it is a number, else its text: parameters may be anything."""
    return value if isinstance(value, (int, float)) else repr(value)


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
