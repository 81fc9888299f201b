"""The histories of aliases in the folder registry: a numbered file for each assignment, put where none is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

from mnistkit.errors import ConflictError, DataFormatError, IntegrityError
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.layout import Layout
from mnistkit.registry.version import Assignment
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["append_assignment", "read_histories"]


def read_histories(layout: Layout, name: str) -> dict[str, tuple[Assignment, ...]]:
    """Each alias of a model that has assignments, with these, oldest first.

    Raises:
        IntegrityError: One can't be read.
    """
    histories = {
        alias: _read(layout, name, alias, layout.sequence(name, alias))
        for alias in sorted(layout.entries("models", name, "aliases"))
    }
    return {alias: history for alias, history in histories.items() if history}


def append_assignment(layout: Layout, name: str, assignment: Assignment, seen: Sequence[Assignment] | None) -> None:
    """Add an assignment to the end of its alias's history.

    Args:
        layout: The registry's.
        name: The model.
        assignment: What to add.
        seen: What the history has to be; anything if None.

    Raises:
        ConflictError: It is another one.
        StorageError: It can't be written.
    """
    alias, data = assignment.alias, to_json(assignment)
    with layout.writing() as staging:
        folder = layout.claim("models", name, "aliases", alias, what="alias")
        taken = layout.sequence(name, alias)
        if seen is not None and not _is_latest(layout, name, alias, taken, seen):
            raise _conflict(name, alias, seen)
        for number in itertools.count(max(taken, default=0) + 1):
            if disk.put_if_absent(folder / f"{number:012d}.json", data, staging):
                layout.settle(folder)
                return
            if seen is not None:
                raise _conflict(name, alias, seen)


def _is_latest(layout: Layout, name: str, alias: str, taken: Sequence[int], seen: Sequence[Assignment]) -> bool:
    """Whether a history is still what was seen: it only grows, so that its length and its end say it all."""
    return len(taken) == len(seen) and _read(layout, name, alias, taken[-1:]) == tuple(seen[-1:])


def _read(layout: Layout, name: str, alias: str, numbers: Sequence[int]) -> tuple[Assignment, ...]:
    folder = layout.path("models", name, "aliases", alias)
    found = []
    for path in (f"{folder}{os.sep}{number:012d}.json" for number in numbers):
        try:
            found.append(from_json(disk.read_regular(path), Assignment, path))
        except (OSError, DataFormatError) as error:
            raise IntegrityError(f"{name}@{alias}: {error} Restore {path}, or remove it to forget it.") from error
    return tuple(found)


def _conflict(name: str, alias: str, seen: Sequence[Assignment]) -> ConflictError:
    return ConflictError(
        f"{name}@{alias} was assigned by someone else since this was decided, on a history of {len(seen)} "
        "assignments. Look at its history, then decide again."
    )
