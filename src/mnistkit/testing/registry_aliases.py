"""The contract of `ModelRegistry` for aliases and deletion, as tests."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import ConflictError, ModelNotFoundError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.testing.registry_base import ModelRegistrySuiteBase

__all__ = ["AliasSuite"]


class AliasSuite(ModelRegistrySuiteBase):
    """Promises about aliases and deleted versions; part of `ModelRegistrySuite`."""

    interface = "ModelRegistry"

    def test_alias_keeps_its_history(self, registry: ModelRegistry, folder: Path) -> None:
        """Each assignment is kept, oldest first, with version, reason and time; aliases don't mix."""
        for _ in range(2):
            registry.register("digits", folder, ModelInfo(format="files"))
        for number in range(1, 13):
            registry.assign("digits", "champion", 1 + number % 2, reason=f"reason {number} é\n")
        registry.assign("digits", "challenger", 1)
        aliases = registry.aliases("digits")
        assert sorted(aliases) == ["challenger", "champion"]
        history = aliases["champion"]
        assert [entry.version for entry in history] == [1 + number % 2 for number in range(1, 13)]
        assert [entry.reason for entry in history] == [f"reason {number} é\n" for number in range(1, 13)]
        assert {(entry.alias, entry.assigned_at.utcoffset()) for entry in history} == {
            ("champion", timezone.utc.utcoffset(None))
        }
        assert dict(registry.aliases("letters")) == {}

    def test_assign_refuses_what_is_stale(self, registry: ModelRegistry, folder: Path) -> None:
        """`assign` with a history that isn't the present one is a `ConflictError`, and assigns nothing."""
        for _ in range(2):
            registry.register("digits", folder, ModelInfo(format="files"))
        registry.assign("digits", "champion", 1, seen=())
        first = registry.aliases("digits")["champion"]
        registry.assign("digits", "champion", 2, seen=first)
        second = registry.aliases("digits")["champion"]
        for stale in ((), first, (*second, second[-1]), (first[0], evolve(second[1], reason="another"))):
            with pytest.raises(ConflictError, match="champion"):
                registry.assign("digits", "champion", 1, seen=stale)
        assert registry.aliases("digits")["champion"] == second
        registry.assign("digits", "champion", 1, seen=second)
        assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2, 1]

    def test_delete_keeps_the_number(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """A deleted version is gone, its number is never used again, and deleting it again does nothing."""
        models = [registry.register("digits", folder, ModelInfo(format="files")) for _ in range(3)]
        registry.delete("digits", 3)
        registry.delete("digits", 3)
        registry.delete("digits", 1)
        assert [model.version for model in registry.versions("digits")] == [2]
        assert registry.get("digits").version == 2
        for function in (lambda: registry.get("digits", 3), lambda: registry.download(models[2], tmp_path / "into")):
            with pytest.raises(ModelNotFoundError):
                function()
        assert registry.register("digits", folder, ModelInfo(format="files")).version == 4

    def test_delete_all(self, registry: ModelRegistry, folder: Path) -> None:
        """A model whose versions are all deleted has no name any more, and still counts on."""
        registry.register("digits", folder, ModelInfo(format="files"))
        registry.delete("digits", 1)
        assert registry.names() == ()
        assert registry.versions("digits") == ()
        with pytest.raises(ModelNotFoundError):
            registry.get("digits")
        assert registry.register("digits", folder, ModelInfo(format="files")).version == 2

    def test_delete_spares_what_an_alias_names(self, registry: ModelRegistry, folder: Path) -> None:
        """A version that an alias points to now can't be deleted; the message names the alias."""
        for _ in range(2):
            registry.register("digits", folder, ModelInfo(format="files"))
        registry.assign("digits", "champion", 1)
        with pytest.raises(UsageError, match="champion"):
            registry.delete("digits", 1)
        assert registry.get("digits", 1).version == 1
        registry.assign("digits", "champion", 2)
        registry.delete("digits", 1)
        assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2]
