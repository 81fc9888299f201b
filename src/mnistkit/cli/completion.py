"""Completion of what people type: ids of runs, models, aliases, datasets and experiments. It never fails aloud."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loads numpy
    from mnistkit.registry.registry import ModelRegistry

__all__ = ["complete_alias", "complete_data", "complete_experiment", "complete_model", "complete_name", "complete_run"]

_MAX_ITEMS = 200

_Item = tuple[str, str]
"""What is completed, and what it is, for shells that show that."""


def complete_run(incomplete: str) -> list[_Item]:
    """Return the ids of runs, newest first, and ``latest``."""

    def items() -> Iterator[_Item]:
        from mnistkit.cli.run_values import run_table

        yield "latest", "the newest run"
        for row in run_table().rows:
            yield row.id, f"{row.state} {row.model} on {row.data}"

    return _matching(items, incomplete)


def complete_experiment(incomplete: str) -> list[_Item]:
    """Return the names of experiments."""

    def items() -> Iterator[_Item]:
        from mnistkit.cli.run_values import run_table
        from mnistkit.runs.experiments import summarize_experiments

        for each in summarize_experiments(run_table().rows):
            yield each.name, f"{each.runs} runs"

    return _matching(items, incomplete)


def complete_data(incomplete: str) -> list[_Item]:
    """Return the datasets that can be fetched by name, and those of runs."""

    def items() -> Iterator[_Item]:
        from mnistkit.cli.run_values import run_table
        from mnistkit.data.web.catalog import CATALOG

        yield from (("digits", "1,797 digits, in scikit-learn"), *((name, "dataset") for name in CATALOG))
        for uri in dict.fromkeys(row.data for row in run_table().rows):
            yield uri, "of a run"

    return _matching(items, incomplete)


def complete_name(incomplete: str) -> list[_Item]:
    """Return the names of registered models."""

    def items() -> Iterator[_Item]:
        for name in _models().names():
            yield name, "model"

    return _matching(items, incomplete)


def complete_model(incomplete: str) -> list[_Item]:
    """Return references to registered models: names, versions and aliases."""

    def items() -> Iterator[_Item]:
        models = _models()
        for name in models.names():
            yield name, "the newest version"
            yield from ((f"{name}@{alias}", "alias") for alias in models.aliases(name))
            yield from ((model.id, model.format) for model in models.versions(name))

    return _matching(items, incomplete)


def complete_alias(incomplete: str) -> list[_Item]:
    """Return the aliases of all models, and ``champion``."""

    def items() -> Iterator[_Item]:
        models = _models()
        yield "champion", "alias"
        for name in models.names():
            yield from ((alias, f"of {name}") for alias in models.aliases(name))

    return _matching(items, incomplete)


def _models() -> ModelRegistry:
    from mnistkit.trainer.trainer import Trainer

    return Trainer.from_config().models


def _matching(items: Callable[[], Iterable[_Item]], incomplete: str) -> list[_Item]:
    """Return the items that begin so, each once. Whatever goes wrong, nothing is printed into the command line."""
    logging.disable(logging.CRITICAL)
    found: dict[str, str] = {}
    try:
        for text, about in items():
            # A shell would run what is in back-quotes, and a line break would make two items of one.
            is_plain = text.isprintable() and not set(text) & set(" \t\"'`$\\;&|<>()")
            if text.startswith(incomplete) and is_plain and len(found) < _MAX_ITEMS:
                found.setdefault(text, "".join(c if c.isprintable() else "?" for c in about))
    except Exception:  # noqa: BLE001 - a completion that fails completes nothing
        return list(found.items())
    return list(found.items())
