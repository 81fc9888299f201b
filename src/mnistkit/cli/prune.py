"""``mnistkit runs prune``: delete old runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, confirm, examples, failing
from mnistkit.cli.run_values import note_experiments
from mnistkit.errors import UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.runs.record import RunRecord
    from mnistkit.runs.retention import KeptRun, PruningPlan

__all__ = ["EXAMPLES", "prune"]

EXAMPLES = examples(
    "mnistkit runs prune --older-than 30d --dry-run",
    "mnistkit runs prune --keep 20 --older-than 2w",
    "mnistkit runs prune --keep 0 --experiment trials --yes",
)

_BYTES_PER_MB = 1_000_000


def prune(
    *,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Keep the newest N runs of each experiment.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Keep recent runs, which finished at most this long ago: 12h, 30d, 2w."),
    ] = None,
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this experiment.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete old runs with all their files, permanently; print which, with their sizes, and which are kept and why.

    A run is kept if it hasn't finished, if a registered model came from it, or if --keep or --older-than keeps it.
    """
    from mnistkit.runs import retention
    from mnistkit.runs.backend import SupportsDelete
    from mnistkit.trainer.trainer import Trainer

    if keep is None and older_than is None:
        raise UsageError("Set which runs to keep: the newest N with --keep, recent ones with --older-than, or both.")
    age = None if older_than is None else retention.parse_age(older_than)
    trainer = Trainer.from_config()
    if not isinstance(trainer.compute, SupportsDelete):
        raise UsageError(f"{type(trainer.compute).__name__} can't delete runs.")
    records = trainer.compute.runs(experiment)
    if experiment is not None and not records:
        note_experiments({record.experiment for record in trainer.compute.runs()}, experiment)
    plan = retention.plan_pruning(records, retention.registered_versions(trainer.models), keep=keep, older_than=age)
    sizes = {record.id: retention.run_size(record) for record in plan.delete}
    total = f"{_count(plan.delete)} ({_megabytes(sum(size or 0 for size in sizes.values()))})"
    stayed: Sequence[KeptRun] = ()
    if not as_json:
        _print(plan, sizes)
    if dry_run or not plan.delete:
        output.note(
            f"Would delete {total} and keep {len(plan.keep)}." if plan.delete else "There is nothing to delete."
        )
    else:
        confirm(f"Delete {total} permanently?", yes=yes)
        done = retention.prune(plan, trainer.compute, trainer.models)
        stayed = done.keep[len(plan.keep) :]
        for kept in stayed:
            output.note(f"Run {kept.record.id} is kept: {kept.reason}.")
        output.note(f"Deleted {_count(done.delete)}.")
        plan = done
    with failing(bool(stayed)):
        if as_json:
            output.print_json(_json(plan, sizes, is_done=not dry_run))


def _count(runs: Sequence[RunRecord]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / _BYTES_PER_MB:.1f} MB"


def _print(plan: PruningPlan, sizes: dict[str, int | None]) -> None:
    rows = [(record, "delete", _megabytes(sizes[record.id]), "") for record in plan.delete]
    rows += [(kept.record, "keep", "", kept.reason) for kept in plan.keep]
    if rows:
        columns = ("run", "what", "size#", "state", "created#", "experiment", "why")
        output.print_table(
            columns,
            [
                (record.id, what, size, str(record.state), output.short_time(record.created_at), record.experiment, why)
                for record, what, size, why in rows
            ],
        )


def _json(plan: PruningPlan, sizes: dict[str, int | None], *, is_done: bool) -> dict[str, object]:
    return {
        "deleted": is_done,
        "delete": [
            {"id": each.id, "experiment": each.experiment, "created_at": each.created_at, "size": sizes[each.id]}
            for each in plan.delete
        ],
        "keep": [{"id": kept.record.id, "reason": kept.reason} for kept in plan.keep],
    }
