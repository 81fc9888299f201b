"""``mnistkit deploy`` and ``mnistkit deployments``: registered models as web services that keep running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowPickleOption, Command, Group, JsonOption, TrustedOption, confirm, examples

if TYPE_CHECKING:
    from mnistkit.registry.deployment import DeploymentRecord
    from mnistkit.serving.deployment import Deployment
    from mnistkit.trainer.trainer import Trainer

__all__ = ["DEPLOY_EXAMPLES", "app", "deploy"]

DEPLOY_EXAMPLES = examples(
    "mnistkit deploy sklearn_mnist@champion digits", "mnistkit deploy sklearn_mnist:3 digits --target aci"
)

app = typer.Typer(cls=Group, help="List deployments, show their logs and keys, delete them.", no_args_is_help=True)

TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="local: a process of this machine; in Azure aci (SDK v1) or endpoint (SDK v2).",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]


def deploy(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME (the newest version), NAME:3 or NAME@ALIAS.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the deployment.")],
    *,
    target: TargetOption = "local",
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deploy a registered version as a web service that keeps running until it is deleted.

    It is ready when it has answered the rows that were recorded with the model as recorded. An alias is looked up once:
    the deployment stays with that version. 'mnistkit serve' follows an alias instead.
    """
    made = _trainer().deploy(model, name, target=target, allow_pickle=allow_pickle, trusted=trusted or ())
    if as_json:
        output.print_json(_json(made.record))
        return
    output.say(made.url)
    place = "" if target == "local" else f" --target {target}"
    output.note(
        f"{made.model} answers there. Clients send the key of 'mnistkit deployments keys {name}{place}'; "
        f"'mnistkit deployments delete {name}{place}' ends it."
    )


@app.command("list", cls=Command, epilog=examples("mnistkit deployments list"))
def list_deployments(*, target: TargetOption = "local", as_json: JsonOption = False) -> None:
    """List the deployments at a target."""
    found = [made.record for made in _trainer().deployments(target)]
    if as_json:
        output.print_json([_json(record) for record in found])
    elif not found:
        output.note("There are no deployments: 'mnistkit deploy MODEL NAME' makes one.")
    else:
        columns = ("name", "model", "state", "url", "deployed#")
        rows = [(r.name, r.model, r.state.value, r.url or "-", output.short_time(r.created_at)) for r in found]
        output.print_table(columns, rows)


@app.command(cls=Command, epilog=examples("mnistkit deployments show digits"))
def show(name: NameArgument, *, target: TargetOption = "local", as_json: JsonOption = False) -> None:
    """Show one deployment: its state, model and address."""
    record = _deployment(name, target).record
    if as_json:
        output.print_json(_json(record))
    else:
        output.print_summary(record.describe())


@app.command(cls=Command, epilog=examples("mnistkit deployments logs digits"))
def logs(
    name: NameArgument,
    *,
    target: TargetOption = "local",
    lines: Annotated[int, typer.Option("--tail", metavar="N", min=1, help="The number of last lines.")] = 100,
) -> None:
    """Print the end of a deployment's log."""
    output.say(_deployment(name, target).logs(lines=lines).rstrip("\n"))


@app.command(cls=Command, epilog=examples("mnistkit deployments keys digits"))
def keys(name: NameArgument, *, target: TargetOption = "local") -> None:
    """Print the keys of a deployment; clients send one as 'Authorization: Bearer KEY'."""
    for key in _deployment(name, target).keys():  # noqa: SIM118 - those of its clients
        output.say(key)


@app.command(cls=Command, epilog=examples("mnistkit deployments delete digits --yes"))
def delete(
    name: NameArgument,
    *,
    target: TargetOption = "local",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
) -> None:
    """End a deployment and remove what is left of it; the model stays registered."""
    place = _trainer().deployment_target(target)
    place.logs(name, lines=1)  # there is one, also if its record is damaged
    confirm(f"Delete the deployment {name}?", yes=yes)
    place.delete(name)
    output.note(f"Deleted {name}.")


def _trainer() -> Trainer:
    from mnistkit.trainer.trainer import Trainer

    return Trainer.from_config()


def _deployment(name: str, target: str) -> Deployment:
    return _trainer().deployment(name, target)


def _json(record: DeploymentRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "target": record.target,
        "model": record.model,
        "digest": record.digest,
        "state": record.state.value,
        "url": record.url,
        "error": record.error,
        "created_at": record.created_at,
    }
