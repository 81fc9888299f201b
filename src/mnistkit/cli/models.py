"""``mnistkit models``: list, register, promote, verify and download models."""

from __future__ import annotations

import enum
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve

from mnistkit.cli import output
from mnistkit.cli.command import (
    AllowOtherDataOption,
    AllowPickleOption,
    Command,
    DataOption,
    Group,
    JsonOption,
    TagOption,
    TrustedOption,
    confirm,
    examples,
    parse_tags,
)
from mnistkit.cli.model_values import (
    AliasArgument,
    NameArgument,
    RefArgument,
    alias_histories,
    assignment_json,
    model_json,
    model_row,
    promoted_fact,
    promotions,
    promotions_json,
)
from mnistkit.cli.plotting import ModelPlot, NumberOption, OutOption, Subject, check_out
from mnistkit.cli.plotting import plot as draw
from mnistkit.cli.runs import find_run
from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.registry.version import ModelRef

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.dataset import Dataset
    from mnistkit.registry.registry import ModelRegistry
    from mnistkit.registry.version import ModelVersion
    from mnistkit.trainer.trainer import Trainer

__all__ = ["app"]

app = typer.Typer(cls=Group, help="List, register, promote, verify and download models.", no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]


class Mode(str, enum.Enum):
    """The direction in which a metric improves."""

    MAX = "max"
    MIN = "min"


@app.command(
    "list",
    cls=Command,
    epilog=examples("mnistkit models list", "mnistkit models list --tag data=mnist --metric accuracy --min 0.92"),
)
def list_models(
    *,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Only with this tag; repeatable.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Only with this metric; shown instead of accuracy.")
    ] = None,
    at_least: Annotated[
        float | None, typer.Option("--min", metavar="NUMBER", help="Minimum value of the metric.")
    ] = None,
    at_most: Annotated[
        float | None, typer.Option("--max", metavar="NUMBER", help="Maximum value of the metric.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List all models with all their versions, newest first, or those with these tags and within these bounds."""
    from mnistkit.registry.search import search_models

    if metric is None and (at_least is not None or at_most is not None):
        raise UsageError("--min and --max are bounds of a metric: name it, such as --metric accuracy.")
    models = _models()
    found = search_models(models, tags=parse_tags(tag), metric=metric, min=at_least, max=at_most)
    histories = {name: alias_histories(models, name) for name in sorted({model.name for model in found})}
    listing = [(model, promotions(histories[model.name], model)) for model in found]
    if as_json:
        output.print_json([{**model_json(model), **promotions_json(made)} for model, made in listing])
    elif not listing and not models.names():
        output.note("There are no models yet: 'mnistkit train' registers one.")
    elif not listing:
        output.note("No version matches: 'mnistkit models list' shows all.")
    else:
        shown = metric or "accuracy"
        columns = ("model", "aliases", f"{shown}#", "data", "format", "created#", "run", "promoted by")
        output.print_table(columns, [model_row(model, made, shown) for model, made in listing])


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit models show sklearn_mnist@champion", "mnistkit models show sklearn_mnist --plot weights --out w.svg"
    ),
)
def show(
    ref: RefArgument,
    *,
    plot: Annotated[ModelPlot | None, typer.Option(help="Draw this figure instead.", show_default=False)] = None,
    out: OutOption = None,
    n: NumberOption = 30,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one version: its metrics, tags, files with their sha256, and its run; or draw a figure of it.

    A figure is of the test images of the data that it was trained on, unless --data names others.
    """
    from mnistkit.registry.promotion import resolve_model

    check_out(plot, out)
    models = _models()
    model = resolve_model(models, ref)
    if plot is not None:
        draw(plot, _subject(model, data, n), out)
        return
    made = promotions(alias_histories(models, model.name), model)
    if as_json:
        output.print_json({**model_json(model), **promotions_json(made)})
        return
    summary = model.describe()
    facts = {"Aliases": ", ".join(each.alias for each in made), "Promoted": promoted_fact(made), **summary.facts}
    output.print_summary(evolve(summary, facts=facts))


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit models register latest sklearn_mnist",
        "mnistkit models register a1b2c3 sklearn_mnist --tag stage=trial --description 'more data'",
        "mnistkit models register mine/model.skops digits --data digits",
    ),
)
def register(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE",
            help="A run's id, the beginning or end of one, or 'latest'; or a .skops, .joblib or .linear.json file.",
        ),
    ],
    name: NameArgument,
    *,
    file: Annotated[str | None, typer.Option(metavar="FILE", help="Which of the run's files is the model.")] = None,
    tag: TagOption = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="A description.")] = "",
    allow_other_data: AllowOtherDataOption = False,
    data: DataOption = None,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
) -> None:
    """Register the model of a completed run, or a model file, as the next version of NAME.

    A file is evaluated on the test images of --data; a run's model comes with the metrics of the run.
    """
    from mnistkit.models.files import format_of

    common: dict[str, Any] = {"tags": parse_tags(tag), "description": description}
    common["allow_other_data"] = allow_other_data
    if format_of(source) == "files":
        trainer = _trainer()
        model = trainer.register(find_run(trainer, source), name, file=file, **common)
    else:
        trainer = _trainer(data)
        model = trainer.register(Path(source), name, allow_pickle=allow_pickle, trusted=trusted or (), **common)
    output.say(f"{model.name}\t{model.id}\t{model.version}")


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit models promote sklearn_mnist:3 champion --reason 'better on 4 and 9'",
        "mnistkit models promote sklearn_mnist champion --if-better accuracy --min-delta 0.001",
    ),
)
def promote(
    ref: RefArgument,
    alias: AliasArgument,
    *,
    reason: ReasonOption = "",
    if_better: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="Only if this metric is better than that of the present version."),
    ] = None,
    min_delta: Annotated[float, typer.Option(metavar="NUMBER", help="The minimum improvement.")] = 0.0,
    mode: Annotated[Mode, typer.Option(help="max if higher is better, min if lower is, as for a loss.")] = Mode.MAX,
) -> None:
    """Point an alias to a version. Its history is kept.

    Prints the version that the alias points to afterwards. The exit code is 0 also if the version isn't better.
    """
    from mnistkit.registry import promotion

    if if_better is None and (min_delta or mode is not Mode.MAX):
        raise UsageError("--min-delta and --mode say how to compare: name the metric with --if-better.")
    models = _models()
    candidate = promotion.resolve_model(models, ref)
    model = promotion.promote(
        models,
        ModelRef(candidate.name, candidate.version),
        alias,
        reason=reason,
        if_better=if_better,
        min_delta=min_delta,
        mode=mode.value,
    )
    if if_better is not None and model.version != candidate.version:
        values = f"{if_better} {candidate.metrics[if_better]}, against {model.metrics[if_better]} of {model.id}"
        by = f" by more than {min_delta}" if min_delta else ""
        output.note(f"Not promoted: {candidate.id} has {values}; that isn't better{by}.")
    output.say(f"{model.name}@{alias}\t{model.id}\t{model.version}")


@app.command(cls=Command, epilog=examples("mnistkit models rollback sklearn_mnist champion --reason 'alarm at night'"))
def rollback(name: NameArgument, alias: AliasArgument, *, reason: ReasonOption = "") -> None:
    """Undo the last promotion of an alias."""
    from mnistkit.registry import promotion

    model = promotion.rollback(_models(), name, alias, reason=reason)
    output.say(f"{model.name}@{alias}\t{model.id}\t{model.version}")


@app.command(cls=Command, epilog=examples("mnistkit models history sklearn_mnist champion"))
def history(
    name: NameArgument,
    alias: Annotated[str | None, typer.Argument(metavar="[ALIAS]", help="Only this one.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the history of a model's aliases: version, time and reason; the last entry of each is the present one."""
    models = _models()
    models.get(name)  # raises if there is no such model
    aliases = models.aliases(name)
    if alias is not None and alias not in aliases:
        known = ", ".join(aliases) or "none yet"
        raise ModelNotFoundError(f"Model {name!r} has no alias {alias!r}; its aliases: {known}.")
    entries = [entry for each, found in aliases.items() if alias in {None, each} for entry in found]
    if as_json:
        output.print_json([assignment_json(entry) for entry in entries])
    elif not entries:
        output.note(f"{name} has no aliases yet: 'mnistkit models promote {name} champion' makes one.")
    else:
        rows = [(e.alias, str(e.version), output.short_time(e.assigned_at), e.by, e.reason) for e in entries]
        output.print_table(("alias", "version#", "assigned#", "by", "reason"), rows)


@app.command(cls=Command, epilog=examples("mnistkit models download sklearn_mnist@champion --into model"))
def download(
    ref: RefArgument,
    *,
    into: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder for the files; created if need be.")
    ] = Path(),
) -> None:
    """Copy a version's files, verified."""
    from mnistkit.registry.promotion import resolve_model

    models = _models()
    model = resolve_model(models, ref)
    folder = models.download(model, into)
    for file in model.files:
        output.say(str(folder / file))


@app.command(cls=Command, epilog=examples("mnistkit models delete sklearn_mnist:3 --yes"))
def delete(
    ref: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Which version.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
) -> None:
    """Delete one version's files, permanently; its number is never used again."""
    parsed = ModelRef.parse(ref)
    if parsed.version is None:
        raise UsageError(f"{ref!r} has no version: write {parsed.name}:3 to delete version 3.")
    models = _models()
    with suppress(IntegrityError):  # a damaged version can be deleted too
        models.get(parsed.name, parsed.version)
    confirm(f"Delete {parsed} permanently?", yes=yes)
    models.delete(parsed.name, parsed.version)
    output.note(f"Deleted {parsed}.")


def _models() -> ModelRegistry:
    from mnistkit.config import find_config
    from mnistkit.plugins import configured_models

    return configured_models(find_config())


def _trainer(data: str | None = None) -> Trainer:
    from mnistkit.trainer.trainer import Trainer

    return Trainer.from_config(data=data)


def _subject(model: ModelVersion, data: str | None, n: int) -> Subject:
    def load() -> Any:
        return _trainer().load(model)

    def fetch() -> Dataset:
        from mnistkit.cli.predict import trained_on
        from mnistkit.cli.watch import fetched
        from mnistkit.trainer.trainer import Trainer

        return fetched(Trainer.from_config(data=trained_on(_trainer(), model) if data is None else data))

    return Subject(model.id, load, fetch, n=n)
