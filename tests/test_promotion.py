"""References, promotion and rollback."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.errors import InvalidNameError, ModelNotFoundError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry import FolderRegistry
from mnistkit.models import ModelRef
from mnistkit.promotion import promote, resolve_model, rollback


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """A registry with four versions of ``digits``."""
    registry = FolderRegistry(tmp_path / "home")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    for _ in range(4):
        registry.register("digits", tmp_path / "source", format="files")
    return registry


def _history(registry: ModelRegistry) -> list[int]:
    return [entry.version for entry in registry.aliases("digits").get("champion", ())]


def test_resolve_all_spellings(registry: ModelRegistry) -> None:
    """``name`` is the newest version, ``name:N`` that one, ``name@alias`` what the alias points to now."""
    registry.assign("digits", "champion", 2)
    assert resolve_model(registry, "digits").version == 4
    assert resolve_model(registry, "digits:3").version == 3
    assert resolve_model(registry, "digits@champion").version == 2
    assert resolve_model(registry, ModelRef("digits", alias="champion")) == registry.get("digits", 2)


def test_resolve_follows_deletion(registry: ModelRegistry) -> None:
    """When the newest version is deleted, ``name`` is the next newest."""
    registry.delete("digits", 4)
    assert resolve_model(registry, "digits").version == 3


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("digits@challenger", "aliases: champion"),
        ("digits:9", "1, 2, 3, 4"),
        ("letters", "models: digits"),
        ("letters@champion", "models: digits"),
    ],
)
def test_resolve_says_what_there_is(registry: ModelRegistry, ref: str, message: str) -> None:
    """An unknown model, version or alias is a `ModelNotFoundError` that lists the ones there are."""
    registry.assign("digits", "champion", 1)
    with pytest.raises(ModelNotFoundError, match=message):
        resolve_model(registry, ref)


@pytest.mark.parametrize("ref", ["", "a/b", "digits@a/b", "digits:0", "digits:1:2", "../digits"])
def test_resolve_refuses_what_is_no_reference(registry: ModelRegistry, ref: str) -> None:
    """What can't be a reference is an `InvalidNameError`."""
    with pytest.raises(InvalidNameError):
        resolve_model(registry, ref)


def test_promote_by_any_reference(registry: ModelRegistry) -> None:
    """`promote` points the alias to what the reference means, and keeps the reason."""
    assert promote(registry, "digits:2", "challenger").version == 2
    assert promote(registry, "digits@challenger", "champion", reason="beats it").version == 2
    assert promote(registry, "digits", "champion").version == 4
    assert _history(registry) == [2, 4]
    assert registry.aliases("digits")["champion"][0].reason == "beats it"


def test_promote_again_adds_nothing(registry: ModelRegistry) -> None:
    """Promoting what the alias points to already is no new entry in its history."""
    promote(registry, "digits:1", "champion")
    promote(registry, "digits:1", "champion")
    assert _history(registry) == [1]


def test_promote_checks_first(registry: ModelRegistry) -> None:
    """A bad alias or an unknown version changes nothing."""
    with pytest.raises(InvalidNameError):
        promote(registry, "digits", "a/b")
    with pytest.raises(ModelNotFoundError):
        promote(registry, "digits:9", "champion")
    assert registry.aliases("digits") == {}


def test_rollback_undoes_the_last_promotion(registry: ModelRegistry) -> None:
    """`rollback` points the alias to what it was before, and the history shows it."""
    for version in (1, 2, 3):
        promote(registry, f"digits:{version}", "champion")
    assert rollback(registry, "digits", "champion").version == 2
    assert resolve_model(registry, "digits@champion").version == 2
    assert _history(registry) == [1, 2, 3, 2]
    assert registry.aliases("digits")["champion"][-1].reason == "rollback from version 3"


def test_second_rollback_in_a_row_is_refused(registry: ModelRegistry) -> None:
    """A second rollback neither brings the bad version back nor goes further back: it is refused."""
    for version in (1, 2, 3):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    with pytest.raises(UsageError, match="already"):
        rollback(registry, "digits", "champion")
    assert _history(registry) == [1, 2, 3, 2]


def test_rollback_works_again_after_a_promotion(registry: ModelRegistry) -> None:
    """After a rollback the next promotion can be undone, back to what was rolled back to: never to the bad version."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    promote(registry, "digits:3", "champion")
    assert rollback(registry, "digits", "champion").version == 1


def test_rollback_of_a_repeated_promotion(registry: ModelRegistry) -> None:
    """A version that was rolled back from and promoted again can be rolled back from again."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    promote(registry, "digits:2", "champion")
    assert rollback(registry, "digits", "champion").version == 1
    assert _history(registry) == [1, 2, 1, 2, 1]


def test_rollback_ignores_repeated_assignments(registry: ModelRegistry) -> None:
    """Two assignments of one version in a row, as two people may make at once, are one promotion."""
    for version in (1, 2, 2):
        registry.assign("digits", "champion", version)
    assert rollback(registry, "digits", "champion", reason="drift").version == 1
    assert registry.aliases("digits")["champion"][-1].reason == "drift"


def test_rollback_with_nothing_before(registry: ModelRegistry) -> None:
    """Without an earlier version there is nothing to go back to, and the message says so."""
    with pytest.raises(ModelNotFoundError, match="no alias 'champion'"):
        rollback(registry, "digits", "champion")
    promote(registry, "digits:1", "champion")
    with pytest.raises(ModelNotFoundError, match="nothing to go back to"):
        rollback(registry, "digits", "champion")


def test_rollback_to_a_deleted_version(registry: ModelRegistry) -> None:
    """If the earlier version was deleted, that is an error that says so, and the alias stays."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    registry.delete("digits", 1)
    with pytest.raises(ModelNotFoundError, match=r"Version 1 .* was deleted"):
        rollback(registry, "digits", "champion")
    assert _history(registry) == [1, 2]
