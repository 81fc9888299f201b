"""``mnistkit models verify``: registered models are as they were registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples, failing
from mnistkit.cli.signing import unsigned
from mnistkit.config import verify_keys
from mnistkit.registry.verification import Verification, verify_models
from mnistkit.registry.version import ModelRef

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = examples("mnistkit models verify", "mnistkit models verify sklearn_mnist:3")


def verify(
    ref: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME (all its versions), NAME:3 or NAME@ALIAS; else all.")
    ] = None,
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Each must be signed: the public key.  [default: MNISTKIT_VERIFY_KEY, else none]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that the files of registered models are as registered. Exit code 1 if there is a problem.

    Prints a line for each problem: version, file and problem, separated by tabs.
    """
    from mnistkit.trainer.trainer import Trainer

    models = Trainer.from_config().models
    parsed = ModelRef.parse(ref) if ref else ModelRef("")
    version = parsed.version
    if parsed.alias is not None:
        from mnistkit.registry.promotion import resolve_model

        version = resolve_model(models, parsed).version
    found = verify_models(models, parsed.name or None, version)
    if keys := verify_keys() if key is None else (key,):
        extra = tuple(unsigned(models, parsed.name or None, version, keys))
        found = Verification(found.versions, found.size, found.problems + extra)
    with failing(bool(found.problems)):
        if as_json:
            problems = [{"model": each.model, "file": each.file, "problem": each.what} for each in found.problems]
            output.print_json({"versions": found.versions, "bytes": found.size, "problems": problems})
        else:
            for each in found.problems:
                output.say(f"{each.model}\t{each.file}\t{each.what}")
        output.note(_summary(found))


def _summary(found: Verification) -> str:
    bad = {each.model for each in found.problems if ":" in each.model}
    others = sum(":" not in each.model for each in found.problems)
    count = "1 version" if found.versions == 1 else f"{found.versions} versions"
    aliases = f" {others} of the aliases are bad." if others > 1 else " One of the aliases is bad." if others else ""
    return f"{count} with {found.size} bytes verified, {len(bad) or 'none'} bad.{aliases}"
