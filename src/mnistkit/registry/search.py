"""Finding registered models by their tags and metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mnistkit.errors import UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.table import VersionTable
from mnistkit.registry.version import ModelVersion

__all__ = ["search_models"]


def search_models(
    registry: ModelRegistry,
    name: str | None = None,
    *,
    tags: Mapping[str, str] | None = None,
    metric: str | None = None,
    min: float | None = None,  # noqa: A002 - the word for it
    max: float | None = None,  # noqa: A002 - the word for it
) -> VersionTable:
    """Return the versions that have all of these tags and whose metric is within the bounds.

    Args:
        registry: Where to look.
        name: The model; all of them if None.
        tags: Each of these keys has exactly this value.
        metric: They have this metric, whatever its value if there are no bounds.
        min: The metric is at least this.
        max: The metric is at most this.

    Returns:
        A tuple, by name, the newest version of each first, which a notebook shows as a table. Deleted versions and
        those that can't be read aren't among them.

    Raises:
        InvalidNameError: ``name`` breaks the naming rule.
        UsageError: A bound without a metric, one that isn't a number, or a ``min`` above ``max``.
    """
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    if metric is None and (min, max) != (None, None):
        raise UsageError("min and max are bounds of a metric: name it, such as metric='accuracy'.")
    if not low <= high:
        raise UsageError(f"min={min} and max={max}: no number is within these bounds.")
    wanted = set((tags or {}).items())
    return VersionTable(
        model
        for model in _all(registry, name)
        if wanted <= model.tags.items() and (metric is None or low <= model.metrics.get(metric, math.nan) <= high)
    )


def _all(registry: ModelRegistry, name: str | None) -> Iterator[ModelVersion]:
    for each in registry.names() if name is None else (name,):
        yield from registry.versions(each)
