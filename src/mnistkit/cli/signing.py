"""``mnistkit models keygen``, ``sign`` and ``export``, and the signatures that ``verify`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowMismatchOption, AllowPickleOption, TrustedOption, examples
from mnistkit.errors import IntegrityError, SignatureError
from mnistkit.registry.verification import verify_models

if TYPE_CHECKING:  # loads numpy
    from mnistkit.registry.registry import ModelRegistry
    from mnistkit.registry.verification import Problem
    from mnistkit.registry.version import ModelVersion

__all__ = ["EXPORT_EXAMPLES", "KEYGEN_EXAMPLES", "SIGN_EXAMPLES", "export", "keygen", "sign", "unsigned"]

KEYGEN_EXAMPLES = examples("mnistkit models keygen models.key")
SIGN_EXAMPLES = examples("mnistkit models sign sklearn_mnist:3 --key models.key")
EXPORT_EXAMPLES = examples("mnistkit models export sklearn_mnist@champion --to digits.onnx")

RefArgument = Annotated[str, typer.Argument(metavar="MODEL", help="NAME (the newest version), NAME:3 or NAME@ALIAS.")]


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key; the public one is FILE.pub.")],
) -> None:
    """Make a pair of keys to sign models with: FILE, for you alone, and FILE.pub, for those who load them."""
    from mnistkit.registry.signing import make_keys

    private, public = make_keys(file)
    output.note(f"Keep {private} to yourself. Who sets MNISTKIT_VERIFY_KEY={public} loads what it has signed only.")
    output.say(f"{private}\t{public}")


def sign(
    ref: RefArgument,
    *,
    key: Annotated[Path, typer.Option(metavar="FILE", help="The private key.")],
) -> None:
    """Vouch for a version: sign its name, number and digest, after its files were compared with what was registered."""
    from mnistkit.registry import signing

    models, model = _found(ref)
    problems = verify_models(models, model.name, model.version).problems
    if problems:
        raise IntegrityError(f"{problems[0]}. Nothing was signed.")
    signature = signing.sign(models, model, key)
    output.say(f"{model.id}\t{signature.key}\t{model.digest}")


def export(
    ref: RefArgument,
    *,
    to: Annotated[Path, typer.Option(metavar="FILE", help="The .onnx file.")],
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
) -> None:
    """Write a version as ONNX, for programs without Python, and compare its answers with the model's."""
    from mnistkit.registry.export import export_version

    models, model = _found(ref)
    path = export_version(
        models,
        model,
        to,
        allow_pickle=allow_pickle,
        trusted=trusted or (),
        allow_version_mismatch=allow_version_mismatch,
    )
    output.say(str(path))


def unsigned(models: ModelRegistry, name: str | None, version: int | None, keys: Sequence[Path]) -> Iterator[Problem]:
    """Yield a problem for each readable version that none of the keys has signed."""
    from mnistkit.registry.signing import check_signature
    from mnistkit.registry.verification import Problem

    for each in models.names() if name is None else (name,):
        for model in models.versions(each) if version is None else (models.get(each, version),):
            try:
                check_signature(models, model, keys)
            except SignatureError as error:
                yield Problem(model.id, "", str(error).removeprefix(f"{model.id} "))


def _found(ref: str) -> tuple[ModelRegistry, ModelVersion]:
    from mnistkit.registry.promotion import resolve_model
    from mnistkit.trainer.trainer import Trainer

    models = Trainer.from_config().models
    return models, resolve_model(models, ref)
