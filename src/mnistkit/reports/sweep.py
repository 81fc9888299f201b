"""The report of a sweep."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mnistkit import plots
from mnistkit.data.dataset import Dataset
from mnistkit.errors import NotFoundError
from mnistkit.reports import page
from mnistkit.reports.data import find
from mnistkit.reports.drawing import drawn
from mnistkit.reports.page import Section, Tile
from mnistkit.reports.run import footer, headline, run_sections
from mnistkit.runs.run import Run
from mnistkit.utils.markup import Markup
from mnistkit.utils.redaction import redacted
from mnistkit.utils.text import duration, number

if TYPE_CHECKING:  # a sweep asks for its report
    from mnistkit.sweeps.sweep import Sweep

__all__ = ["sweep_report"]

_MOST_ROWS = 500
_WIDTH = 80


def sweep_report(sweep: Sweep, dataset: Dataset | None = None) -> str:
    """All that is known of a sweep and its best run, as a page of HTML that stands alone; see `run_report`.

    Args:
        sweep: Of `Trainer.sweep` or `Trainer.optimize`.
        dataset: Its data, if it is at hand; else it is loaded, and fetched if need be.
    """
    best = _best(sweep)
    sections = [Section("What was tried", _tried(sweep, best)), Section("Every run", _table(sweep, best))]
    tiles = [Tile("Runs", str(len(sweep)), ", ".join(f"{n} {state}" for state, n in _states(sweep).items()))]
    if best is not None:
        findings = find(best, dataset)
        found = headline(best.record, findings)[:3]
        tiles = [*(evolve(tile, label="Time of the best") if tile.label == "Time" else tile for tile in found), *tiles]
        sections += [Section(f"The best: {each.title[0].lower()}{each.title[1:]}", each.parts)
                     for each in run_sections(best.record, findings)]  # fmt: skip
    lead = page.paragraph(f"The best run is {best.id}." if best else "No run of it has completed with an accuracy.")
    return page.document(f"Sweep {sweep.name}", [lead, page.tiles(tiles)], sections, footer())


def _best(sweep: Sweep) -> Run | None:
    with contextlib.suppress(NotFoundError):
        return sweep.best()
    return None


def _states(sweep: Sweep) -> Counter[str]:
    return Counter(str(run.state) for run in sweep)


def _tried(sweep: Sweep, best: Run | None) -> list[object]:
    values: dict[str, list[str]] = {}
    for params in sweep.params:
        for name, value in params.items():
            seen = values.setdefault(name, [])
            if _text(value) not in seen:
                seen.append(_text(value))
    facts: dict[str, object] = {name: ", ".join(seen) for name, seen in values.items()}
    if best is None:
        return [page.facts(facts), page.missing("a curve", "No run has completed with an accuracy.")]
    parts: list[object] = [page.facts(facts)]
    last = max(trial.rung or 0 for trial in sweep.trials)
    of_the_curve = [trial.run for trial in sweep.trials if (trial.rung or 0) == last]
    others = [run.metrics["accuracy"] for run in of_the_curve if run is not best and _is_finite(run)]
    setting = next(_setting(trial.params) for trial in sweep.trials if trial.run is best)
    rest = f" The others have {min(others):.2%} to {max(others):.2%}." if others else ""
    reach = f"The best, ringed, is {setting}: {best.metrics['accuracy']:.2%}.{rest}"
    parts.append(
        drawn(lambda: plots.sweep_curve(sweep), alt=f"Accuracy against what was tried. {reach}", caption=reach)
    )
    if any(trial.rung is not None for trial in sweep.trials):
        what = "Accuracy on ever more training images, a line for each setting that was tried"
        parts.append(drawn(lambda: plots.learning_curve(sweep), alt=f"{what}: most end early.", caption=f"{what}."))
    if sum(map(_is_finite, sweep)) > 1:
        parts.append(
            page.note(
                "The best of many by its accuracy on the test images looks better than it is, the more so the more "
                "were tried. For a figure to publish, choose on images that aren't the test images."
            )
        )
    return parts


def _table(sweep: Sweep, best: Run | None) -> list[object]:
    rows = sweep.table()
    names = {kind: list(dict.fromkeys(key for row in rows for key in row[kind])) for kind in ("params", "metrics")}
    has_rungs = any(row["rung"] is not None for row in rows)
    names["metrics"].sort(key=lambda name: name != "accuracy")  # first: on a phone the rest has to be scrolled to
    columns = ["run", *(["rung#", "images#"] if has_rungs else [])]
    columns += [f"{name}#" for kind in ("params", "metrics") for name in names[kind]] + ["took#", "state"]
    has_errors = any(row["error"] for row in rows)
    columns += ["error"] if has_errors else []
    cells = []
    for row in rows[:_MOST_ROWS]:
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
    marked = "; the best is set off" if highlight is not None else ""
    more = f", the first {_MOST_ROWS} of {len(rows):,} runs" if len(rows) > _MOST_ROWS else ""
    table: Markup = page.table(columns, cells, caption=f"In the order of the trials{marked}{more}", highlight=highlight)
    return [table or page.paragraph("It has no runs.")]


def _is_finite(run: Run) -> bool:
    return math.isfinite(run.metrics.get("accuracy", math.nan))


def _setting(params: Any) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in params.items())


def _text(value: Any) -> str:
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
