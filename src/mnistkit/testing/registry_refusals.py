"""The contract of `ModelRegistry` for what it refuses, as tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import InvalidNameError, ModelNotFoundError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import inspect_version, verify_models, version_numbers
from mnistkit.testing.hostile_names import HOSTILE_NAMES
from mnistkit.testing.registry_base import ModelRegistrySuiteBase

__all__ = ["RefusalSuite"]


_GOOD_NAMES = ("a", "Z9", "sklearn_mnist", "a.b-c_d", "2026-01-31", "console", "a" * 64)


class RefusalSuite(ModelRegistrySuiteBase):
    """Promises about names, folders and versions that are refused; part of `ModelRegistrySuite`."""

    interface = "ModelRegistry"

    def test_hostile_names_are_refused(self, registry: ModelRegistry, folder: Path) -> None:
        """Every method refuses every name and alias that breaks the rule, as `InvalidNameError`, and writes nothing."""
        registry.register("digits", folder, ModelInfo(format="files"))
        calls: dict[str, Callable[[str], object]] = {
            "register": lambda name: registry.register(name, folder, ModelInfo(format="files")),
            "get": registry.get,
            "versions": registry.versions,
            "delete": lambda name: registry.delete(name, 1),
            "assign": lambda name: registry.assign(name, "champion", 1),
            "assign(alias)": lambda name: registry.assign("digits", name, 1),
            "aliases": registry.aliases,
            "numbers": lambda name: version_numbers(registry, name),
            "verify": lambda name: verify_models(registry, name),
            "verify(version)": lambda name: verify_models(registry, name, 1),
            "inspect": lambda name: inspect_version(registry, name, 1),
        }
        wrong = [
            f"{call} {_outcome(function, name)} {name[:80]!r}"
            for call, function in calls.items()
            for name in HOSTILE_NAMES
            if _outcome(function, name) != "InvalidNameError"
        ]
        assert wrong == []
        assert registry.names() == ("digits",)
        assert dict(registry.aliases("digits")) == {}

    def test_latest_is_reserved(self, registry: ModelRegistry, folder: Path) -> None:
        """``latest`` is no alias, in any case of its letters, but an `InvalidNameError`: it means the newest."""
        registry.register("digits", folder, ModelInfo(format="files"))
        for alias in ("latest", "Latest"):
            with pytest.raises(InvalidNameError, match="reserved"):
                registry.assign("digits", alias, 1)
        assert dict(registry.aliases("digits")) == {}

    @pytest.mark.parametrize("name", _GOOD_NAMES)
    def test_good_names_are_taken(self, registry: ModelRegistry, folder: Path, name: str) -> None:
        """Names and aliases that follow the rule are taken as they are."""
        registry.register(name, folder, ModelInfo(format="files"))
        registry.assign(name, name, 1)
        assert registry.names() == (name,)
        assert list(registry.aliases(name)) == [name]

    def test_names_differ_in_more_than_case(self, registry: ModelRegistry, folder: Path) -> None:
        """A name that differs only in case from another model's is refused, whatever the file system can tell apart."""
        registry.register("Digits", folder, ModelInfo(format="files"))
        with pytest.raises(InvalidNameError, match="Digits"):
            registry.register("digits", folder, ModelInfo(format="files"))
        assert registry.names() == ("Digits",)
        assert registry.register("Digits", folder, ModelInfo(format="files")).version == 2

    def test_links_are_refused(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """A folder that holds a symbolic link is a `UsageError` that names it: what it points to isn't read."""
        (tmp_path / "secret.txt").write_text("secret")
        try:
            (folder / "extra" / "link.txt").symlink_to(tmp_path / "secret.txt")
        except OSError:
            pytest.skip("this system lets nobody create symbolic links")
        with pytest.raises(UsageError, match=r"link\.txt"):
            registry.register("digits", folder, ModelInfo(format="files"))
        assert registry.names() == ()

    def test_empty_folder_is_refused(self, registry: ModelRegistry, tmp_path: Path) -> None:
        """A folder without a file, or one that isn't there, is a `UsageError`, and nothing is registered."""
        (tmp_path / "empty" / "inner").mkdir(parents=True)
        for path in (tmp_path / "empty", tmp_path / "missing"):
            with pytest.raises(UsageError):
                registry.register("digits", path, ModelInfo(format="files"))
        assert registry.names() == ()

    def test_hostile_file_names_are_refused(self, registry: ModelRegistry, folder: Path) -> None:
        """A folder that holds a file whose name breaks the rule is an `InvalidNameError`, and nothing is registered."""
        try:
            (folder / "extra" / "a:b?.txt").write_bytes(b"")
        except OSError:
            pytest.skip("this system has no such file names")
        with pytest.raises(InvalidNameError):
            registry.register("digits", folder, ModelInfo(format="files"))
        assert registry.names() == ()

    def test_info_is_one_value(self, registry: ModelRegistry, folder: Path) -> None:
        """`register` without a `ModelInfo` is a `UsageError`, and nothing is registered."""
        with pytest.raises(UsageError, match="ModelInfo"):
            registry.register("digits", folder, "files")  # type: ignore[arg-type]  # that is the point
        assert registry.names() == ()

    def test_what_is_missing(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """An unknown model or version is a `ModelNotFoundError` in every method; the message lists what there is."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        calls: dict[str, Callable[[], object]] = {
            "get(unknown)": lambda: registry.get("letters"),
            "get(unknown, 1)": lambda: registry.get("letters", 1),
            "get(2)": lambda: registry.get("digits", 2),
            "get(0)": lambda: registry.get("digits", 0),
            "get(-1)": lambda: registry.get("digits", -1),
            "delete(2)": lambda: registry.delete("digits", 2),
            "delete(unknown)": lambda: registry.delete("letters", 1),
            "assign(2)": lambda: registry.assign("digits", "champion", 2),
            "assign(unknown)": lambda: registry.assign("letters", "champion", 1),
            "download(2)": lambda: registry.download(evolve(model, version=2), tmp_path / "into"),
            "download(unknown)": lambda: registry.download(evolve(model, name="letters"), tmp_path / "into"),
        }
        for call, function in calls.items():
            with pytest.raises(ModelNotFoundError) as caught:
                pytest.fail(f"{call} returned {function()!r} instead of raising ModelNotFoundError")
            assert ("digits" if "unknown" in call else "1") in str(caught.value), f"{call} doesn't list what there is"
        assert dict(registry.aliases("digits")) == {}
        assert registry.names() == ("digits",)


def _outcome(function: Callable[[str], object], name: str) -> str:
    try:
        function(name)
    except Exception as error:  # noqa: BLE001 - which error it is, is the question
        return type(error).__name__
    return "accepted"
