"""``mnistkit runs tag`` and ``mnistkit runs note``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples, parse_tags
from mnistkit.cli.runs import RunArgument, find_run
from mnistkit.errors import UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.runs.run import Run

__all__ = ["NOTE_EXAMPLES", "TAG_EXAMPLES", "note", "tag"]

TAG_EXAMPLES = examples(
    "mnistkit runs tag latest purpose=demo reviewed=yes",
    "mnistkit runs tag a1b2c3 --remove reviewed",
)
NOTE_EXAMPLES = examples(
    'mnistkit runs note latest "The first one without deskewing."',
    'mnistkit runs note a1b2c3 --replace "Registered as digits:3."',
)


def tag(
    run: RunArgument,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Tags to set; replaces those of the same key.")
    ] = None,
    *,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="KEY", help="A tag to remove; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Set tags on a run, also while it runs, and print all that it has."""
    given: dict[str, str | None] = {**parse_tags(tags, option=""), **dict.fromkeys(remove or ())}
    if not given:
        raise UsageError("Nothing to set: write KEY=VALUE, such as purpose=demo, or --remove KEY.")
    found = _found(run)
    if unknown := [key for key in remove or () if key not in found.record.tags]:
        known = ", ".join(found.record.tags) or "none"
        raise UsageError(f"--remove {unknown[0]}: run {found.id} has no such tag; it has {known}.")
    for key, value in given.items():
        found.tag(key, value)
    if as_json:
        output.print_json({"id": found.id, "tags": found.record.tags})
        return
    for key, value in found.record.tags.items():
        output.say(f"{key}={value}")


def note(
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The note; with --replace, "" removes it.')],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Replace earlier notes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a note to a run, also while it runs, and print all that it has."""
    if not text.strip() and not replace:
        raise UsageError('The note is empty: write what is to be kept, or remove earlier notes with --replace "".')
    found = _found(run)
    found.note(text, replace=replace)
    if as_json:
        output.print_json({"id": found.id, "note": found.record.note})
    elif found.record.note:
        output.say(found.record.note)


def _found(run: str) -> Run:
    from mnistkit.trainer import Trainer

    return find_run(Trainer.from_config(), run)
