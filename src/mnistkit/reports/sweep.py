"""The report of a sweep."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import Any

from attrs import evolve

from mnistkit import plots
from mnistkit.data.dataset import Dataset
from mnistkit.errors import NotFoundError
from mnistkit.reports.data import Missing, gather
from mnistkit.reports.drawing import drawn
from mnistkit.reports.page import Figure, Section, Tile, render_page
from mnistkit.reports.run import headline, run_sections
from mnistkit.runs.run import Run
from mnistkit.sweeps.sweep import Sweep
from mnistkit.utils.redaction import redacted
from mnistkit.utils.summary import SummaryTable
from mnistkit.utils.text import duration, number

__all__ = ["sweep_report"]

_MAX_ROWS = 500
_MAX_VALUE_CHARS = 80


def sweep_report(sweep: Sweep, dataset: Dataset | None = None) -> str:
    """Return all that is known of a sweep and its best run, as a page of HTML that stands alone; see `run_report`.

    Args:
        sweep: Of `Trainer.sweep` or `Trainer.optimize`.
        dataset: Its data, if it is at hand; else it is loaded, and fetched if need be.

    Raises:
        MissingExtraError: Jinja isn't installed.
    """
    best = _best(sweep)
    sections = [_parameters(sweep, best), Section("All runs", "runs.html", {"runs": _table(sweep, best)})]
    states = Counter(str(run.state) for run in sweep)
    tiles = [Tile("Runs", str(len(sweep)), ", ".join(f"{n} {state}" for state, n in states.items()))]
    if best is not None:
        data = gather(best, dataset)
        first = headline(data)[:3]
        tiles = [*(evolve(tile, label="Time of the best") if tile.label == "Time" else tile for tile in first), *tiles]
        sections += [
            evolve(section, title=f"Best run: {section.title[0].lower()}{section.title[1:]}")
            for section in run_sections(data)
        ]
    text = f"The best run is {best.id}." if best else "No run of it has completed with an accuracy."
    return render_page(f"Sweep {sweep.name}", "sweep_lead.html", sections, {"text": text, "tiles": tiles})


def _best(sweep: Sweep) -> Run | None:
    with contextlib.suppress(NotFoundError):
        return sweep.best()
    return None


def _parameters(sweep: Sweep, best: Run | None) -> Section:
    values: dict[str, list[str]] = {}
    for params in sweep.params:
        for name, value in params.items():
            seen = values.setdefault(name, [])
            if _text(value) not in seen:
                seen.append(_text(value))
    warning = (
        "The best of many by its accuracy on the test images looks better than it is, the more so the more runs there "
        "are. For a figure to publish, choose on images that aren't the test images."
    )
    return Section(
        "Parameters",
        "parameters.html",
        {
            "facts": {name: ", ".join(seen) for name, seen in values.items()},
            "figures": _figures(sweep, best),
            "warning": warning if sum(map(_is_finite, sweep)) > 1 else "",
        },
    )


def _figures(sweep: Sweep, best: Run | None) -> list[Figure | Missing]:
    if best is None:
        return [Missing("No run has completed with an accuracy.")]
    last = max(trial.rung or 0 for trial in sweep.trials)
    of_the_curve = [trial.run for trial in sweep.trials if (trial.rung or 0) == last]
    others = [run.metrics["accuracy"] for run in of_the_curve if run is not best and _is_finite(run)]
    setting = next(_setting(trial.params) for trial in sweep.trials if trial.run is best)
    rest = f" The others have {min(others):.2%} to {max(others):.2%}." if others else ""
    reach = f"The best, ringed, is {setting}: {best.metrics['accuracy']:.2%}.{rest}"
    figures = [
        drawn(lambda: plots.sweep_curve(sweep), alt=f"Accuracy against the parameters. {reach}", caption=reach),
    ]
    if any(trial.rung is not None for trial in sweep.trials):
        subject = "Accuracy on ever more training images, a line for each setting"
        figures.append(
            drawn(lambda: plots.learning_curve(sweep), alt=f"{subject}: most end early.", caption=f"{subject}.")
        )
    return figures


def _table(sweep: Sweep, best: Run | None) -> SummaryTable:
    rows = sweep.table()
    names = {kind: list(dict.fromkeys(key for row in rows for key in row[kind])) for kind in ("params", "metrics")}
    has_rungs = any(row["rung"] is not None for row in rows)
    names["metrics"].sort(key=lambda name: name != "accuracy")  # first: on a phone the rest has to be scrolled to
    columns = ["run", *(["rung#", "images#"] if has_rungs else [])]
    columns += [f"{name}#" for kind in ("params", "metrics") for name in names[kind]] + ["took#", "state"]
    has_errors = any(row["error"] for row in rows)
    columns += ["error"] if has_errors else []
    cells = []
    for row in rows[:_MAX_ROWS]:
        rungs = [row["rung"], "all" if row["limit"] is None else f"{row['limit']:,}"] if has_rungs else []
        cells.append([
            row["run"], *rungs,
            *(_text(row["params"][name]) if name in row["params"] else "" for name in names["params"]),
            *(_text(row["metrics"][name]) if name in row["metrics"] else "" for name in names["metrics"]),
            "" if row["seconds"] is None else duration(row["seconds"]),
            row["state"],
            *([redacted(row["error"] or "")] if has_errors else []),
        ])  # fmt: skip
    highlight = next((i for i, run in enumerate(sweep) if run is best), None)
    marked = "; the best is highlighted" if highlight is not None else ""
    more = f", the first {_MAX_ROWS} of {len(rows):,} runs" if len(rows) > _MAX_ROWS else ""
    title = f"In the order of the trials{marked}{more}"
    return SummaryTable(title=title, columns=tuple(columns), rows=cells, highlight=highlight)


def _is_finite(run: Run) -> bool:
    return math.isfinite(run.metrics.get("accuracy", math.nan))


def _setting(params: Any) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in params.items()) or "the defaults"


def _text(value: Any) -> str:
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[: _MAX_VALUE_CHARS - 3]}..."
