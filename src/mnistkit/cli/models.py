"""``mnistkit models``: register models, promote them, look at them, take them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import FAILED, Command, JsonOption, TagOption, confirm, examples, parse_tags
from mnistkit.cli.runs import find_run
from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.models import ModelRef

if TYPE_CHECKING:  # loads numpy
    from mnistkit.interfaces import ModelRegistry
    from mnistkit.models import Assignment, ModelVersion
    from mnistkit.trainer import Trainer

__all__ = ["app", "model_json"]

app = typer.Typer(help="Register models, promote them, look at them, take them.", no_args_is_help=True)

RefArgument = Annotated[str, typer.Argument(metavar="MODEL", help="NAME (the newest version), NAME:3 or NAME@ALIAS.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as champion.")]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]


@app.command("list", cls=Command, epilog=examples("mnistkit models list", "mnistkit models list --json"))
def list_models(*, as_json: JsonOption = False) -> None:
    """List all models with all their versions, newest first."""
    models = _trainer().models
    listing = [(model, _aliases(models, model)) for name in models.names() for model in models.versions(name)]
    if as_json:
        output.print_json([{**model_json(model), "aliases": aliases} for model, aliases in listing])
    elif not listing:
        output.note("There are no models yet: 'mnistkit train' registers one.")
    else:
        columns = ("model", "aliases", "accuracy#", "format", "created#", "run")
        output.print_table(columns, [_row(model, aliases) for model, aliases in listing])


@app.command(cls=Command, epilog=examples("mnistkit models show sklearn_mnist@champion"))
def show(ref: RefArgument, *, as_json: JsonOption = False) -> None:
    """Show one version: its metrics, tags, files with their sha256, and what made it."""
    from mnistkit.promotion import resolve_model

    models = _trainer().models
    model = resolve_model(models, ref)
    aliases = _aliases(models, model)
    if as_json:
        output.print_json({**model_json(model), "aliases": aliases})
        return
    output.print_facts(
        {
            "model": model.id,
            "aliases": ", ".join(aliases),
            "created": output.local_time(model.created_at),
            "format": model.format,
            "description": model.description,
            "run": model.run_id,
            "digest": model.digest,
            "folder": model.location,
        },
        {
            "metrics": [f"{name}: {value:g}" for name, value in sorted(model.metrics.items())],
            "tags": [f"{key}={value}" for key, value in model.tags.items()],
            "files": [f"{file}  {info.size} bytes  sha256 {info.sha256}" for file, info in model.files.items()],
            "versions": [f"{name} {version}" for name, version in model.versions.items()],
        },
    )


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit models register latest sklearn_mnist",
        "mnistkit models register a1b2c3 sklearn_mnist --tag stage=trial --description 'more data'",
    ),
)
def register(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning or end of one, or 'latest'.")],
    name: NameArgument,
    *,
    file: Annotated[str | None, typer.Option(metavar="FILE", help="Which of the run's files is the model.")] = None,
    tag: TagOption = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="For people.")] = "",
) -> None:
    """Register the model of a completed run as the next version of NAME."""
    tags = parse_tags(tag)
    trainer = _trainer()
    model = trainer.register(find_run(trainer, run), name, file=file, tags=tags, description=description)
    output.say(f"{model.name}\t{model.id}\t{model.version}")


@app.command(
    cls=Command, epilog=examples("mnistkit models promote sklearn_mnist:3 champion --reason 'better on 4 and 9'")
)
def promote(ref: RefArgument, alias: AliasArgument, *, reason: ReasonOption = "") -> None:
    """Point an alias to a version. Its history is kept."""
    from mnistkit import promotion

    model = promotion.promote(_trainer().models, ref, alias, reason=reason)
    output.say(f"{model.name}@{alias}\t{model.id}\t{model.version}")


@app.command(cls=Command, epilog=examples("mnistkit models rollback sklearn_mnist champion --reason 'alarm at night'"))
def rollback(name: NameArgument, alias: AliasArgument, *, reason: ReasonOption = "") -> None:
    """Undo the last promotion of an alias."""
    from mnistkit import promotion

    model = promotion.rollback(_trainer().models, name, alias, reason=reason)
    output.say(f"{model.name}@{alias}\t{model.id}\t{model.version}")


@app.command(cls=Command, epilog=examples("mnistkit models history sklearn_mnist champion"))
def history(
    name: NameArgument,
    alias: Annotated[str | None, typer.Argument(metavar="[ALIAS]", help="Only this one.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what the aliases of a model pointed to, when, and why; the last entry of each holds now."""
    models = _trainer().models
    models.get(name)  # if there is no such model, that is what to say
    aliases = models.aliases(name)
    if alias is not None and alias not in aliases:
        known = ", ".join(aliases) or "none yet"
        raise ModelNotFoundError(f"Model {name!r} has no alias {alias!r}; its aliases: {known}.")
    entries = [entry for each, found in aliases.items() if alias in {None, each} for entry in found]
    if as_json:
        output.print_json([_assignment_json(entry) for entry in entries])
    elif not entries:
        output.note(f"{name} has no aliases yet: 'mnistkit models promote {name} champion' makes one.")
    else:
        rows = [(e.alias, str(e.version), output.short_time(e.assigned_at), e.by, e.reason) for e in entries]
        output.print_table(("alias", "version#", "assigned#", "by", "reason"), rows)


@app.command(cls=Command, epilog=examples("mnistkit models download sklearn_mnist@champion --into model"))
def download(
    ref: RefArgument,
    *,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to put the files; created if need be.")] = Path(),
) -> None:
    """Copy a version's files, verified."""
    from mnistkit.promotion import resolve_model

    models = _trainer().models
    model = resolve_model(models, ref)
    folder = models.download(model, into)
    for file in model.files:
        output.say(str(folder / file))


@app.command(cls=Command, epilog=examples("mnistkit models verify", "mnistkit models verify sklearn_mnist:3"))
def verify(
    ref: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One version; all if none is named.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Compare the files of registered models with what was registered. Exit code 1 if anything is off."""
    models = _trainer().models
    problems = _verify_one(models, ref) if ref else _verify_all(models)
    if as_json:
        output.print_json([{"model": model, "ok": problem is None, "problem": problem} for model, problem in problems])
    else:
        for model, problem in problems:
            output.say(f"{model}\t{problem or 'ok'}")
    bad = sum(problem is not None for _, problem in problems)
    output.note(f"{len(problems)} versions verified, {bad or 'none'} of them bad.")
    if bad:
        raise typer.Exit(FAILED)


@app.command(cls=Command, epilog=examples("mnistkit models delete sklearn_mnist:3 --yes"))
def delete(
    ref: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Which version.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete one version's files, for ever; its number is never used again."""
    parsed = ModelRef.parse(ref)
    if parsed.version is None:
        raise UsageError(f"{ref!r} names no version: write {parsed.name}:3 to delete version 3.")
    models = _trainer().models
    models.get(parsed.name, parsed.version)
    confirm(f"Delete {parsed}?", yes=yes)
    models.delete(parsed.name, parsed.version)
    output.note(f"Deleted {parsed}.")


def model_json(model: ModelVersion) -> dict[str, object]:
    """A model version as ``--json`` shows it."""
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
    }


def _trainer() -> Trainer:
    from mnistkit.trainer import Trainer

    return Trainer.from_config()


def _aliases(models: ModelRegistry, model: ModelVersion) -> list[str]:
    return [alias for alias, found in models.aliases(model.name).items() if found[-1].version == model.version]


def _row(model: ModelVersion, aliases: list[str]) -> tuple[str, ...]:
    return (
        model.id,
        ", ".join(aliases) or "-",
        output.metric(model.metrics, "accuracy"),
        model.format,
        output.short_time(model.created_at),
        model.run_id or "-",
    )


def _assignment_json(entry: Assignment) -> dict[str, object]:
    return {
        "alias": entry.alias,
        "version": entry.version,
        "assigned_at": entry.assigned_at,
        "by": entry.by,
        "reason": entry.reason,
    }


def _verify_one(models: ModelRegistry, ref: str) -> list[tuple[str, str | None]]:
    from mnistkit.promotion import resolve_model

    try:
        model = resolve_model(models, ref)
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            models.download(model, Path(folder) / "files")
    except IntegrityError as error:
        return [(ref, str(error))]
    return [(model.id, None)]


def _verify_all(models: ModelRegistry) -> list[tuple[str, str | None]]:
    """Every version that is there, also those that a listing leaves out because they can't be read."""
    found = []
    for name in models.names():
        newest = max((model.version for model in models.versions(name)), default=0)
        number = 0
        while True:
            number += 1
            try:
                found += _verify_one(models, f"{name}:{number}")
            except ModelNotFoundError:  # deleted, or past the end
                if number > newest:
                    break
    return found
