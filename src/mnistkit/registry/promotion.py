"""References to registered models, and the promotion and rollback of aliases."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from mnistkit.errors import ConflictError, ModelNotFoundError, NotFoundError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import Assignment, ModelRef, ModelVersion, check_alias
from mnistkit.utils.arguments import check_type

__all__ = ["promote", "resolve_model", "rollback"]

_log = logging.getLogger(__name__)


def resolve_model(registry: ModelRegistry, ref: str | ModelRef | ModelVersion) -> ModelVersion:
    """Return the version that a reference points to now.

    Args:
        registry: Where to look.
        ref: ``"name"`` for the newest, ``"name:3"``, or ``"name@champion"``; or a version.

    Raises:
        InvalidNameError: It isn't a reference.
        ModelNotFoundError: There is no such model, version or alias; lists the ones there are.
        IntegrityError: What is kept of the version can't be read.
    """
    check_type(ref, (str, ModelRef, ModelVersion), "The reference", "text such as 'name', 'name:3' or 'name@champion'")
    if isinstance(ref, str):
        ref = ModelRef.parse(ref)
    if isinstance(ref, ModelVersion) or ref.alias is None:
        return registry.get(ref.name, ref.version)
    return registry.get(ref.name, _history(registry, ref.name, ref.alias)[-1].version)


def promote(
    registry: ModelRegistry,
    ref: str | ModelRef | ModelVersion,
    alias: str,
    *,
    reason: str = "",
    if_better: str | None = None,
    min_delta: float = 0.0,
    mode: Literal["max", "min"] = "max",
) -> ModelVersion:
    """Point an alias to a version, unless that isn't better, and return the version that it points to.

    Promoting what the alias points to already adds nothing to its history. An alias that points to nothing yet is
    given to any version that has the metric. If others assign the alias at the same moment, the comparison is made
    again with what it points to then: a worse version never replaces a better one.

    Args:
        registry: Where the model is.
        ref: What to promote: ``"name"``, ``"name:3"``, or ``"name@challenger"``.
        alias: Such as ``"champion"``.
        reason: Why, for the history; the two values if empty and ``if_better`` is given.
        if_better: A metric such as ``"accuracy"``: promote only a version in which it is better than in the one that
            the alias points to. An equal one isn't.
        min_delta: How much better it has to be: by more than this.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.

    Returns:
        The version that the alias now points to; it differs from ``ref`` if ``ref`` was not better.

    Raises:
        InvalidNameError: The reference or the alias breaks the naming rule.
        ModelNotFoundError: There is no such version.
        NotFoundError: One of the two versions has no finite value of the metric; lists the ones it has.
        UsageError: The two were tested on different data; or ``min_delta`` is negative or not finite, or ``mode`` is
            neither. Nothing changes after any error.
    """
    check_alias(alias)
    check_type(if_better, (str, type(None)), "if_better", "the name of a metric, such as 'accuracy'")
    check_type(min_delta, (int, float), "min_delta", "a number such as 0.001")
    if mode not in {"max", "min"}:
        raise UsageError(f"mode={mode!r}: use 'max' or 'min'.")
    if not (math.isfinite(min_delta) and min_delta >= 0):
        raise UsageError(f"min_delta={min_delta}: use a finite number that isn't negative, such as 0.001.")
    model = resolve_model(registry, ref)
    while True:
        history = registry.aliases(model.name).get(alias, ())
        gain = ""
        if if_better is not None:
            present = registry.get(model.name, history[-1].version) if history else None
            _check_comparable(model, present)
            gain = _gain(model, present, if_better, float(min_delta), mode)
            if present and not gain:
                return present
        if history and history[-1].version == model.version:
            return model
        try:
            registry.assign(model.name, alias, model.version, reason=reason or gain, seen=history)
        except ConflictError:
            continue
        return model


def rollback(registry: ModelRegistry, name: str, alias: str, *, reason: str = "") -> ModelVersion:
    """Undo the last promotion of an alias, and return the version that it now points to.

    It undoes one promotion, once. A second rollback in a row is refused: it might come from a colleague who saw
    the same alarm, and would bring back the bad version or go further back than anyone meant. To go further,
    `promote` the version by its number. A rollback is an assignment as well: the history shows it, loses nothing.

    Args:
        registry: Where the model is.
        name: The model.
        alias: Such as ``"champion"``.
        reason: Why, for the history; says what was undone if empty.

    Raises:
        ModelNotFoundError: There is no such alias, no version before the present one, or that one was deleted.
        UsageError: The last promotion has been undone.
        ConflictError: Another process assigned the alias at the same moment. Nothing changed: look at it again.
    """
    history = _history(registry, name, alias)
    lineage, is_undone = _lineage(history)
    present = lineage[-1]
    if is_undone:
        raise UsageError(
            f"{name}@{alias} was taken back to version {present} already. Promote a version by its number instead."
        )
    if len(lineage) == 1:
        raise ModelNotFoundError(
            f"{name}@{alias} has pointed to no other version than {present}: there is none to go back to."
        )
    model = registry.get(name, lineage[-2])
    registry.assign(name, alias, model.version, reason=reason or f"rollback from version {present}", seen=history)
    return model


def _check_comparable(model: ModelVersion, present: ModelVersion | None) -> None:
    """Refuse to compare metrics that were measured on different images."""
    one, other = model.input, None if present is None else present.input
    if present is None or one is None or other is None or one.dataset_sha256 == other.dataset_sha256:
        return
    if one.dataset_sha256 and other.dataset_sha256:
        raise UsageError(
            f"{model.id} was tested on {one.dataset} and {present.id} on {other.dataset}, which are "
            "different images: their metrics don't compare. Compare both on the same data with 'mnistkit models "
            "compare', or promote without a comparison."
        )


def _gain(model: ModelVersion, present: ModelVersion | None, metric: str, min_delta: float, mode: str) -> str:
    """Return how much better a version is than the present one, in words; empty if it isn't."""
    value = _metric(model, metric)
    if present is None:
        return f"{metric} {value}"
    before = _metric(present, metric)
    if (value - before if mode == "max" else before - value) > Decimal(str(min_delta)):
        return f"{metric} {value}, before {before}"
    _log.info("%s stays: its %s is %s, that of %s %s", present.id, metric, before, model.id, value)
    return ""


def _metric(model: ModelVersion, name: str) -> Decimal:
    """Return a metric as it is written: 0.971 is better than 0.97 by 0.001, not by a rounding error more."""
    value = model.metrics.get(name, math.nan)
    if not math.isfinite(value):
        known = ", ".join(f"{each}={number:g}" for each, number in sorted(model.metrics.items())) or "none"
        raise NotFoundError(
            f"{model.id} has no finite metric {name!r} to compare; its metrics: {known}. "
            "Name one of these, or promote without a comparison."
        )
    return Decimal(str(float(value)))


def _history(registry: ModelRegistry, name: str, alias: str) -> tuple[Assignment, ...]:
    check_alias(alias)
    aliases = registry.aliases(name)
    if alias not in aliases:
        registry.get(name)  # if there is no such model, that is the error
        known = ", ".join(sorted(aliases)) or "none yet"
        raise ModelNotFoundError(
            f"Model {name!r} has no alias {alias!r}; its aliases: {known}. Promote a version to it."
        )
    return aliases[alias]


def _lineage(history: Iterable[Assignment]) -> tuple[list[int], bool]:
    """Return the promotions that aren't undone, oldest first, and True if the last assignment undid one.

    An assignment undoes a promotion if it points to what the alias was before it.
    """
    lineage: list[int] = []
    is_undone = False
    for version in (assignment.version for assignment in history):
        if lineage[-1:] == [version]:
            continue
        is_undone = lineage[-2:-1] == [version]
        if is_undone:
            lineage.pop()
        else:
            lineage.append(version)
    return lineage, is_undone
