"""``mnistkit models compare``: which of two models is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowMismatchOption, AllowPickleOption, DataOption, JsonOption, TrustedOption, examples
from mnistkit.errors import UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.evaluation.comparison import Comparison
    from mnistkit.evaluation.robustness import Robustness
    from mnistkit.registry.version import ModelVersion
    from mnistkit.trainer.trainer import Trainer

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = examples(
    "mnistkit models compare sklearn_mnist@champion sklearn_mnist",
    "mnistkit models compare digits:1 digits:2 --data digits --robustness",
)

_REFERENCE = "NAME (the newest version), NAME:3 or NAME@ALIAS."


def compare(
    first: Annotated[str, typer.Argument(metavar="MODEL", help=_REFERENCE)],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="The one to compare it with.")],
    *,
    data: DataOption = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also on images that were shifted, rotated, or overlaid with noise.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the directions and the noise of --robustness.")] = 0,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two models on the same test images: accuracy, difference, and McNemar's test.

    The images are the test images of the data that both were trained on, unless --data names others.
    """
    from mnistkit.cli.watch import fetched, showing_progress
    from mnistkit.evaluation.comparison import compare as compared
    from mnistkit.evaluation.robustness import measure_robustness
    from mnistkit.registry.loading import load_model
    from mnistkit.registry.promotion import resolve_model
    from mnistkit.trainer.trainer import Trainer

    trainer = Trainer.from_config(data=data)
    versions = [resolve_model(trainer.models, ref) for ref in (first, second)]
    if data is None:
        trainer = Trainer.from_config(data=_common_data(trainer, versions))
    classifiers = [
        load_model(
            trainer.models,
            each,
            allow_pickle=allow_pickle,
            trusted=trusted or (),
            allow_version_mismatch=allow_version_mismatch,
        )
        for each in versions
    ]
    dataset = fetched(trainer)
    one, other = classifiers
    found = compared(one, other, dataset, names=(versions[0].id, versions[1].id))
    robust = None
    if robustness:
        with showing_progress("Asking for"):
            robust = [measure_robustness(each, dataset, seed=seed) for each in classifiers]
    if as_json:
        output.print_json(
            {"data": dataset.uri, **_json(found), **({"robustness": _robust_json(robust)} if robust else {})}
        )
        return
    output.say(f"data: {dataset.name} ({dataset.uri}), {found.n:,} test images")
    output.say(f"runs: {', '.join(f'{each.id} of run {each.run_id}' for each in versions if each.run_id) or 'unknown'}")
    output.say()
    _print(found)
    if robust:
        output.say()
        _print_robust(found.names, robust)


def _common_data(trainer: Trainer, versions: list[ModelVersion]) -> str | None:
    """Return the uri of the data that both were trained on; None if it is unknown."""
    from mnistkit.cli.predict import trained_on

    found = [trained_on(trainer, version) for version in versions]
    known = {data for data in found if data is not None}
    if len(known) > 1:
        pairs = " and ".join(f"{version.id} on {data}" for version, data in zip(versions, found, strict=True))
        raise UsageError(f"They were trained on different data, {pairs}: name the data to compare them on with --data.")
    return next(iter(known), None)


def _print(found: Comparison) -> None:
    alone = (found.only_first, found.only_second)
    rows = [
        (name, f"{accuracy:.4f}", f"{low:.4f} to {high:.4f}", str(only))
        for name, accuracy, (low, high), only in zip(
            found.names, found.accuracies, found.intervals(), alone, strict=True
        )
    ]
    output.print_table(("model", "accuracy#", "95% interval#", "right alone#"), rows)
    low, high = found.interval()
    output.say()
    output.say(f"difference: {found.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f})")
    output.say(f"McNemar's test: p = {found.p_value:.3g} (mid-p), {found.exact_p_value:.3g} (exact)")
    output.say(str(found))


def _print_robust(names: tuple[str, str], found: list[Robustness]) -> None:
    from mnistkit.evaluation.robustness import UNITS

    first, second = found
    rows = [
        (
            f"{a.kind} by {a.amount:g} {UNITS[a.kind].removesuffix('s' if a.amount == 1 else '')}",
            f"{a.accuracy:.4f}",
            f"{b.accuracy:.4f}",
        )
        for a, b in zip(first.changes, second.changes, strict=True)
    ]
    unchanged = ("as they are", f"{first.accuracy:.4f}", f"{second.accuracy:.4f}")
    output.print_table(("images", *(f"{name}#" for name in names)), [unchanged, *rows])


def _json(found: Comparison) -> dict[str, Any]:
    alone = (found.only_first, found.only_second)
    return {
        "n": found.n,
        "models": [
            {"id": name, "accuracy": accuracy, "interval": interval, "right_alone": only}
            for name, accuracy, interval, only in zip(
                found.names, found.accuracies, found.intervals(), alone, strict=True
            )
        ],
        "both_right": found.both_right,
        "both_wrong": found.both_wrong,
        "difference": found.difference,
        "difference_interval": found.interval(),
        "p_value": found.p_value,
        "exact_p_value": found.exact_p_value,
        "words": str(found),
    }


def _robust_json(found: list[Robustness]) -> list[dict[str, Any]]:
    first, second = found
    return [
        {"kind": a.kind, "amount": a.amount, "accuracies": [a.accuracy, b.accuracy]}
        for a, b in zip(first.changes, second.changes, strict=True)
    ]
