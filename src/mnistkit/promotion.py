"""References to registered models, and the life of an alias: promote, roll back."""

from __future__ import annotations

from collections.abc import Iterable

from mnistkit.errors import ModelNotFoundError, UsageError
from mnistkit.interfaces.model_registry import ModelRegistry
from mnistkit.models import Assignment, ModelRef, ModelVersion
from mnistkit.names import check_name

__all__ = ["promote", "resolve_model", "rollback"]


def resolve_model(registry: ModelRegistry, ref: str | ModelRef) -> ModelVersion:
    """The version that a reference means now.

    Args:
        registry: Where to look.
        ref: ``"name"`` for the newest, ``"name:3"``, or ``"name@champion"``.

    Raises:
        InvalidNameError: It is no reference.
        ModelNotFoundError: There is no such model, version or alias; lists the ones there are.
        IntegrityError: What is kept of the version can't be read.
    """
    if isinstance(ref, str):
        ref = ModelRef.parse(ref)
    if ref.alias is None:
        return registry.get(ref.name, ref.version)
    return registry.get(ref.name, _history(registry, ref.name, ref.alias)[-1].version)


def promote(registry: ModelRegistry, ref: str | ModelRef, alias: str, *, reason: str = "") -> ModelVersion:
    """Point an alias to a version, and return that version.

    Promoting what the alias points to already adds nothing to its history.

    Args:
        registry: Where the model is.
        ref: What to promote: ``"name"``, ``"name:3"``, or ``"name@challenger"``.
        alias: Such as ``"champion"``.
        reason: Why, for the history.

    Raises:
        InvalidNameError: The reference or the alias breaks the naming rule.
        ModelNotFoundError: There is no such version.
    """
    check_name(alias, "alias")
    model = resolve_model(registry, ref)
    history = registry.aliases(model.name).get(alias, ())
    if not history or history[-1].version != model.version:
        registry.assign(model.name, alias, model.version, reason=reason)
    return model


def rollback(registry: ModelRegistry, name: str, alias: str, *, reason: str = "") -> ModelVersion:
    """Undo the last promotion of an alias, and return the version that it points to now.

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
        UsageError: The last promotion is undone already.
    """
    lineage, is_undone = _lineage(_history(registry, name, alias))
    present = lineage[-1]
    if is_undone:
        raise UsageError(
            f"{name}@{alias} was taken back to version {present} already. Promote a version by its number instead."
        )
    if len(lineage) == 1:
        raise ModelNotFoundError(f"{name}@{alias} never was another version than {present}: nothing to go back to.")
    model = registry.get(name, lineage[-2])
    registry.assign(name, alias, model.version, reason=reason or f"rollback from version {present}")
    return model


def _history(registry: ModelRegistry, name: str, alias: str) -> tuple[Assignment, ...]:
    check_name(alias, "alias")
    aliases = registry.aliases(name)
    if alias not in aliases:
        registry.get(name)  # if there is no such model, that is what to say
        known = ", ".join(sorted(aliases)) or "none yet"
        raise ModelNotFoundError(
            f"Model {name!r} has no alias {alias!r}; its aliases: {known}. Promote a version to it."
        )
    return aliases[alias]


def _lineage(history: Iterable[Assignment]) -> tuple[list[int], bool]:
    """The promotions that aren't undone, oldest first, and whether the last assignment undid one.

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
