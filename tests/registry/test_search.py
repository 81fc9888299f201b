"""Finding registered models."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.errors import InvalidNameError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.search import search_models


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """Versions of two models, with and without tags and metrics."""
    registry = FolderRegistry(tmp_path / "home")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    said: list[tuple[str, dict[str, float], dict[str, str]]] = [
        ("digits", {"accuracy": 0.90}, {"data": "mnist", "by": "ann"}),
        ("digits", {"accuracy": 0.92, "log loss": 0.0}, {"data": "mnist"}),
        ("digits", {}, {"data": "digits"}),
        ("letters", {"accuracy": 0.95}, {"data": "mnist"}),
    ]
    for name, metrics, tags in said:
        registry.register(name, tmp_path / "source", format="files", metrics=metrics, tags=tags)
    return registry


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["digits:3", "digits:2", "digits:1", "letters:1"]),
        ({"name": "digits"}, ["digits:3", "digits:2", "digits:1"]),
        ({"name": "unknown"}, []),
        ({"tags": {"data": "mnist"}}, ["digits:2", "digits:1", "letters:1"]),
        ({"tags": {"data": "mnist", "by": "ann"}}, ["digits:1"]),
        ({"tags": {"data": "MNIST"}}, []),
        ({"metric": "accuracy"}, ["digits:2", "digits:1", "letters:1"]),
        ({"metric": "accuracy", "min": 0.92}, ["digits:2", "letters:1"]),
        ({"metric": "accuracy", "max": 0.92}, ["digits:2", "digits:1"]),
        ({"metric": "accuracy", "min": 0.91, "max": 0.93, "tags": {"data": "mnist"}}, ["digits:2"]),
        ({"metric": "log loss", "max": 0}, ["digits:2"]),
        ({"metric": "f1"}, []),
    ],
)
def test_search(registry: ModelRegistry, query: dict[str, object], expected: list[str]) -> None:
    """All conditions hold, bounds included, of what is found; the newest of each name comes first."""
    assert [model.id for model in search_models(registry, **query)] == expected  # type: ignore[arg-type]  # keywords


@pytest.mark.parametrize(
    "query", [{"min": 0.5}, {"metric": "accuracy", "min": 0.9, "max": 0.8}, {"metric": "a", "min": float("nan")}]
)
def test_bounds_that_cannot_be_right(registry: ModelRegistry, query: dict[str, object]) -> None:
    """Bounds without a metric, bounds that leave no number, and NaN are usage errors."""
    with pytest.raises(UsageError):
        search_models(registry, **query)  # type: ignore[arg-type]  # keywords


def test_deleted_and_damaged_versions_are_not_found(registry: ModelRegistry) -> None:
    """What is deleted, or can't be read, isn't found; a name that breaks the rule is refused."""
    registry.delete("digits", 2)
    (Path(registry.get("digits", 1).location) / "manifest.json").write_text("{")
    assert [model.id for model in search_models(registry)] == ["digits:3", "letters:1"]
    with pytest.raises(InvalidNameError):
        search_models(registry, "../digits")
