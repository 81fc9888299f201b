"""Registered models as values for a page: versions, aliases, and who assigned them when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.errors import IntegrityError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import Assignment, ModelVersion
from mnistkit.utils.redaction import redacted
from mnistkit.utils.text import local_time, number

__all__ = ["ModelView", "VersionView", "model_view", "model_views"]

_MAX_VERSIONS = 200


@frozen(kw_only=True)
class VersionView:
    """A version as the pages show it.

    Attributes:
        version: Its number.
        aliases: Those that point to it now.
        metrics: As text, by name.
        data: The name of the data that it was trained on.
        tags: In words.
        description: Free text.
        format: Of its files.
        run_id: The run that made it; empty if none did.
        created: When it was registered.
        digest: Of its manifest.
    """

    version: int
    aliases: str
    metrics: str
    data: str
    tags: str
    description: str
    format: str
    run_id: str
    created: str
    digest: str


@frozen(kw_only=True)
class ModelView:
    """A model as the pages show it.

    Attributes:
        name: Of the model.
        versions: The newest first.
        n: The number of them, also of those that aren't shown.
        aliases: The version that each alias points to now.
        history: All assignments, the newest of each alias first, as ``alias, version, when, who, why``.
        problem: What can't be read; empty if all can.
    """

    name: str
    versions: tuple[VersionView, ...]
    n: int
    aliases: Mapping[str, int]
    history: tuple[Mapping[str, Any], ...]
    problem: str = ""


def model_views(registry: ModelRegistry) -> list[ModelView]:
    """Return all models, sorted by name."""
    return [model_view(registry, name) for name in registry.names()]


def model_view(registry: ModelRegistry, name: str) -> ModelView:
    """Return one model.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    versions = registry.versions(name)
    if not versions:
        registry.get(name)  # says why
    problem, assigned = "", {}
    try:
        assigned = {alias: history for alias, history in registry.aliases(name).items() if history}
    except IntegrityError as error:
        problem = str(error)
    aliases = {alias: history[-1].version for alias, history in assigned.items()}
    return ModelView(
        name=name,
        versions=tuple(_version(each, aliases) for each in versions[:_MAX_VERSIONS]),
        n=len(versions),
        aliases=aliases,
        history=tuple(_entry(each) for history in assigned.values() for each in reversed(history)),
        problem=problem,
    )


def _version(model: ModelVersion, aliases: Mapping[str, int]) -> VersionView:
    return VersionView(
        version=model.version,
        aliases=", ".join(alias for alias, version in aliases.items() if version == model.version),
        metrics="\n".join(f"{name} {number(value)}" for name, value in model.metrics.items()),
        data=model.input.dataset if model.input else "",
        tags=_lines([f"{key}={value}" for key, value in model.tags.items()]),
        description=redacted(model.description),
        format=model.format,
        run_id=model.run_id or "",
        created=local_time(model.created_at),
        digest=model.digest,
    )


def _lines(lines: Sequence[str]) -> str:
    return redacted("\n".join(lines))


def _entry(assignment: Assignment) -> Mapping[str, Any]:
    return {
        "alias": assignment.alias,
        "version": assignment.version,
        "when": local_time(assignment.assigned_at),
        "who": assignment.by,
        "why": redacted(assignment.reason),
    }
