"""The contract of `ModelRegistry` for damaged versions, as tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import IntegrityError, ModelNotFoundError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import Verification, verify_models
from mnistkit.testing.registry_base import FILES, ModelRegistrySuiteBase, content

__all__ = ["IntegritySuite"]


class IntegritySuite(ModelRegistrySuiteBase):
    """Promises about versions that were damaged, and their verification; part of `ModelRegistrySuite`."""

    interface = "ModelRegistry"

    def test_damage_is_found(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` refuses a version whose files were altered, leaves nothing, and the others stay usable."""
        bad, good = (registry.register("digits", folder, ModelInfo(format="files")) for _ in range(2))
        self.damage(registry, bad)
        with pytest.raises(IntegrityError):
            registry.download(bad, tmp_path / "bad")
        assert content(tmp_path / "bad") == {}
        assert content(registry.download(good, tmp_path / "good")) == FILES

    def test_verify_passes_what_is_whole(self, registry: ModelRegistry, folder: Path) -> None:
        """`verify` says how many versions and bytes it compared, of one version, of a name or of all; none is off."""
        size = sum(len(data) for data in FILES.values())
        assert verify_models(registry) == Verification(0, 0)
        for name in ("digits", "digits", "digits", "letters"):
            registry.register(name, folder, ModelInfo(format="files"))
        registry.delete("digits", 2)
        assert verify_models(registry) == Verification(3, 3 * size)
        assert verify_models(registry, "digits") == Verification(2, 2 * size)
        assert verify_models(registry, "digits", 3) == Verification(1, size)
        for name, version in (("digits", 2), ("digits", 9), ("unknown", None)):
            with pytest.raises(ModelNotFoundError):
                verify_models(registry, name, version)
        with pytest.raises(UsageError):
            verify_models(registry, version=1)

    def test_verify_finds_damage(self, registry: ModelRegistry, folder: Path) -> None:
        """`verify` names each version that was altered, and counts it; the others aren't named."""
        models = [registry.register("digits", folder, ModelInfo(format="files")) for _ in range(3)]
        self.damage(registry, models[1])
        for verification in (
            verify_models(registry),
            verify_models(registry, "digits"),
            verify_models(registry, "digits", 2),
        ):
            assert {problem.model for problem in verification.problems} == {"digits:2"}
            assert "model.skops" in str(verification.problems[0])
        assert verify_models(registry, "digits").versions == 3
        assert verify_models(registry, "digits", 3).problems == ()

    def test_unreadable_version_hides_no_other(
        self, registry: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A version that can't be read is an `IntegrityError`, a problem, and left out with a warning; others stay."""
        models = [registry.register("digits", folder, ModelInfo(format="files")) for _ in range(3)]
        self.damage_record(registry, models[1])
        with pytest.raises(IntegrityError, match="digits:2"):
            registry.get("digits", 2)
        assert registry.versions("digits") == (models[2], models[0])
        assert "digits:2" in caplog.text
        assert {problem.model for problem in verify_models(registry).problems} == {"digits:2"}
        assert registry.register("digits", folder, ModelInfo(format="files")).version == 4

    def test_download_checks_the_digest(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` refuses if the version at hand has another digest than the one that is kept."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        with pytest.raises(IntegrityError):
            registry.download(evolve(model, digest="0" * 64), tmp_path / "into")
        assert content(tmp_path / "into") == {}
