"""A model version on the command line: how it is named, and how it is printed as a row, facts and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import asdict

from mnistkit.cli import output
from mnistkit.cli.completion import complete_alias, complete_model, complete_name
from mnistkit.errors import IntegrityError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.registry.registry import ModelRegistry
    from mnistkit.registry.version import Assignment, ModelVersion

__all__ = [
    "AliasArgument",
    "NameArgument",
    "RefArgument",
    "alias_histories",
    "assignment_json",
    "model_json",
    "model_row",
    "promoted_fact",
    "promotions",
    "promotions_json",
]


RefArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="NAME (the newest version), NAME:3 or NAME@ALIAS.", autocompletion=complete_model
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.", autocompletion=complete_name)]
AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as champion.", autocompletion=complete_alias)]


def model_json(model: ModelVersion) -> dict[str, object]:
    """Return a model version as ``--json`` prints it."""
    return {
        "id": model.id,
        "name": model.name,
        "version": model.version,
        "created_at": model.created_at,
        "format": model.format,
        "metrics": model.metrics,
        "tags": model.tags,
        "description": model.description,
        "run_id": model.run_id,
        "digest": model.digest,
        "files": {file: {"size": info.size, "sha256": info.sha256} for file, info in model.files.items()},
        "versions": model.versions,
        "location": model.location,
        "input": None if model.input is None else asdict(model.input),
    }


def alias_histories(models: ModelRegistry, name: str) -> Mapping[str, Sequence[Assignment]]:
    """Return the aliases of a model; if they are damaged, print a note and return none."""
    try:
        return models.aliases(name)
    except IntegrityError as error:
        output.note(f"Warning: left out the aliases of {name}: {error}")
        return {}


def promotions(histories: Mapping[str, Sequence[Assignment]], model: ModelVersion) -> list[Assignment]:
    """Return, for each alias that points to a version, the assignment that made it do so."""
    return [history[-1] for history in histories.values() if history[-1].version == model.version]


def promotions_json(made: Sequence[Assignment]) -> dict[str, object]:
    """Return the aliases of a version, and who assigned them, as ``--json`` prints them."""
    return {"aliases": [each.alias for each in made], "promotions": [assignment_json(each) for each in made]}


def promoted_fact(made: Sequence[Assignment]) -> str:
    """Return a line for each alias of a version: who assigned it, when and why."""
    return "\n".join(
        f"{each.alias} by {each.by or 'unknown'} on {output.local_time(each.assigned_at)}"
        + (f": {each.reason}" if each.reason else "")
        for each in made
    )


def model_row(model: ModelVersion, made: Sequence[Assignment], metric: str) -> tuple[str, ...]:
    """Return the cells of ``mnistkit models list``."""
    return (
        model.id,
        ", ".join(each.alias for each in made) or "-",
        output.metric(model.metrics, metric),
        (model.input.dataset if model.input else "") or "-",
        model.format,
        output.short_time(model.created_at),
        model.run_id or "-",
        ", ".join(dict.fromkeys(each.by for each in made if each.by)) or "-",
    )


def assignment_json(entry: Assignment) -> dict[str, object]:
    """Return an entry in the history of an alias as ``--json`` prints it."""
    return {
        "alias": entry.alias,
        "version": entry.version,
        "assigned_at": entry.assigned_at,
        "by": entry.by,
        "reason": entry.reason,
    }
