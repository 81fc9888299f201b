"""``mnistkit runs compare``: what differs between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples
from mnistkit.cli.completion import complete_run
from mnistkit.cli.runs import find_run

if TYPE_CHECKING:  # loads numpy
    from mnistkit.evaluation.run_comparison import ComparedItem, RunComparison

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = examples(
    "mnistkit runs compare latest a1b2c3", "mnistkit runs compare a1b2c3 d4e5f6 0a1b2c --no-predictions"
)

_PARTS = ("parameters", "data", "code", "libraries", "metrics", "times")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN OTHER...", help="Ids, the beginning or end of one, or 'latest'.", autocompletion=complete_run
        ),
    ],
    *,
    no_predictions: Annotated[
        bool, typer.Option("--no-predictions", help="Load no model and no data: leave out McNemar's test.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what differs between runs: parameters, code, data, libraries, seed, metrics and times.

    The first run is the one that the others are compared with. Where runs are on the same data, their models predict
    its test images again, and McNemar's test says whether one is better.
    """
    from mnistkit.cli.watch import showing_progress
    from mnistkit.trainer.trainer import Trainer

    trainer = Trainer.from_config()
    found = [find_run(trainer, run) for run in runs]
    with showing_progress("Comparing"):
        comparison = trainer.compare_runs(*found, predictions=not no_predictions)
    if as_json:
        output.print_json(_json(comparison))
        return
    output.print_summary(comparison.describe())


def _json(comparison: RunComparison) -> dict[str, Any]:
    def items(part: str) -> dict[str, list[str | None]]:
        found: tuple[ComparedItem, ...] = getattr(comparison, part)
        return {item.name: list(item.values) for item in found}

    metrics = dict.fromkeys(name for row in comparison.runs for name in row.metrics)
    return {
        "runs": [row.id for row in comparison.runs],
        **{part: items(part) for part in _PARTS},
        "metrics": {name: [row.metrics.get(name) for row in comparison.runs] for name in metrics},
        "diffs": [{"file": diff.file, "runs": diff.names, "lines": diff.lines} for diff in comparison.diffs],
        "tests": [
            {
                "words": str(test),
                **({} if isinstance(test, str) else {"p_value": test.p_value, "difference": test.difference}),
            }
            for test in comparison.tests
        ],
    }
