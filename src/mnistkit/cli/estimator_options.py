"""Options of ``mnistkit train`` and ``mnistkit sweep`` for any estimator: by name, with parameters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistkit.errors import UsageError

__all__ = [
    "EstimatorOption",
    "GridOption",
    "SetOption",
    "accurate_classifier",
    "chosen_estimator",
    "grid_of",
    "refuse_options",
]

EstimatorOption = Annotated[
    str | None,
    typer.Option(
        "--estimator",
        metavar="MODULE:NAME",
        help="Any scikit-learn classifier, such as sklearn.svm:SVC, or a function that returns one; modules of the "
        "working directory too.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of --estimator, or of --solver accurate; repeatable. Values are JSON, anything else is text.",
    ),
]
GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid", metavar="NAME=VALUES", help="Values to try for a parameter, separated by commas; repeatable."
    ),
]


def chosen_estimator(name: str, settings: Sequence[str] | None) -> Any:
    """Return the estimator of ``--estimator`` with the parameters of ``--set``, not fitted.

    Raises:
        UsageError: There is none, or it has no such parameter.
        SpecError: It can't be made.
    """
    from mnistkit.jobs.named import named_estimator, parsed_value

    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last: a file that happens to be there is in the way of no package
    return named_estimator(name, {key: parsed_value(value) for key, value in _pairs("--set", settings).items()})


def accurate_classifier(settings: Sequence[str] | None, uri: str) -> Any:
    """Return the classifier of ``--solver accurate`` with the parameters of ``--set``, not fitted.

    Args:
        settings: Of ``--set``.
        uri: The dataset's, which other parameters are for.

    Raises:
        UsageError: It has no such parameter.
    """
    from mnistkit.estimators import ACCURATE_OPTIONS

    classifier = chosen_estimator("mnistkit.estimators:AccurateClassifier", settings)
    options = {
        key: value for key, value in ACCURATE_OPTIONS.get(uri, {}).items() if key not in _pairs("--set", settings)
    }
    return classifier.set_params(**options)


def grid_of(grid: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values by parameter of ``--grid``.

    Raises:
        UsageError: One has no values.
    """
    from mnistkit.jobs.named import parsed_values

    return {name: parsed_values(text) for name, text in _pairs("--grid", grid).items()}


def refuse_options(context: typer.Context, options: Sequence[str], why: str) -> None:
    """Refuse options that were given and would have no effect.

    Args:
        context: Of the command.
        options: The names of its parameters.
        why: The reason, for the message.

    Raises:
        UsageError: One was given.
    """
    for option in options:
        source = context.get_parameter_source(option)
        if source is not None and source.name != "DEFAULT":  # by name: typer may bring a click of its own
            raise UsageError(f"--{option.replace('_', '-')} {why}")


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"{option} {text!r:.80}: write NAME=VALUE, such as {option} C=10.")
        if name in pairs:
            raise UsageError(f"{option} {name} is given twice.")
        pairs[name] = value
    return pairs
