"""Names of models: hostile ones are refused everywhere, edited files are found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.errors import IntegrityError, InvalidNameError, MnistkitError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import promote, resolve_model, rollback
from mnistkit.registry.search import search_models
from mnistkit.registry.verification import inspect_version, verify_models
from mnistkit.registry.version import ModelRef
from mnistkit.testing.hostile_names import HOSTILE_NAMES
from mnistkit.utils.names import check_name

_NAMES = (
    st.text(max_size=80)
    | st.from_regex(r"[A-Za-z0-9._/\\:@ -]{0,70}")
    | st.builds("".join, st.lists(st.sampled_from(HOSTILE_NAMES), min_size=1, max_size=3))
)


def _takers(registry: ModelRegistry, source: Path, into: Path) -> dict[str, Callable[[str], object]]:
    """Everything public that takes the name of a model or an alias."""
    model = registry.get("digits", 1)
    return {
        "register": lambda name: registry.register(name, source, ModelInfo(format="files")),
        "get": registry.get,
        "get(1)": lambda name: registry.get(name, 1),
        "versions": registry.versions,
        "numbers": registry.numbers,
        "verify": lambda name: verify_models(registry, name),
        "inspect": lambda name: inspect_version(registry, name, 1),
        "download": lambda name: registry.download(evolve(model, name=name), into),
        "delete": lambda name: registry.delete(name, 2),
        "assign": lambda name: registry.assign(name, "champion", 1),
        "assign(alias)": lambda alias: registry.assign("digits", alias, 1),
        "aliases": registry.aliases,
        "promote": lambda alias: promote(registry, "digits", alias),
        "rollback": lambda name: rollback(registry, name, "champion"),
        "rollback(alias)": lambda alias: rollback(registry, "digits", alias),
        "resolve_model": lambda name: resolve_model(registry, ModelRef(name)),
        "resolve_model(alias)": lambda alias: resolve_model(registry, ModelRef("digits", alias=alias)),
        "load_model": lambda name: load_model(registry, ModelRef(name)),
        "search_models": lambda name: search_models(registry, name),
    }


def _accepts(take: Callable[[str], object], name: str) -> bool:
    try:
        take(name)
    except InvalidNameError:
        return False
    except (MnistkitError, ValueError):
        return True
    return True


def _fits(name: str) -> bool:
    try:
        check_name(name, "name")
    except InvalidNameError:
        return False
    return True


def test_hostile_names_are_refused_everywhere(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """Nothing that takes a name takes one that breaks the rule."""
    registry.register("digits", source, ModelInfo(format="files"))
    takers = _takers(registry, source, tmp_path / "into")
    assert [(taker, name) for taker, take in takers.items() for name in HOSTILE_NAMES if _accepts(take, name)] == []


@pytest.mark.parametrize("examples", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_random_names_stay_inside(examples: int, source: Path, tmp_path: Path) -> None:
    """A random name fits the rule, or everything refuses it; nothing is written outside of the registry."""
    registry = FolderRegistry(tmp_path / "home")
    registry.register("digits", source, ModelInfo(format="files"))
    takers = _takers(registry, source, tmp_path / "into")
    before = sorted(tmp_path.rglob("*"))

    @settings(max_examples=examples, deadline=None, database=None)
    @given(name=_NAMES)
    def try_all(name: str) -> None:
        if _fits(name):
            assert registry._layout.path("models", name).resolve().is_relative_to(tmp_path / "home" / "models")
        else:
            assert [taker for taker, take in takers.items() if _accepts(take, name)] == []

    try_all()
    assert sorted(tmp_path.rglob("*")) == before


def test_edited_metrics_change_the_digest(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """Editing what is said of a version is found by whoever holds its digest."""
    model = registry.register("digits", source, ModelInfo(format="files", metrics={"accuracy": 0.5}))
    path = Path(model.location) / "manifest.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    assert registry.get("digits").digest != model.digest
    with pytest.raises(IntegrityError, match=model.digest):
        registry.download(model, tmp_path / "into")


def test_moved_version_is_refused(registry: FolderRegistry, source: Path) -> None:
    """A version of one model put into another's folder is an `IntegrityError`."""
    model = registry.register("digits", source, ModelInfo(format="files"))
    other = registry.register("letters", source, ModelInfo(format="files"))
    Path(model.location).rename(Path(other.location).with_name("2"))
    with pytest.raises(IntegrityError, match="'digits'"):
        registry.get("letters")


@pytest.mark.skipif(sys.platform == "win32", reason="links need POSIX")
@pytest.mark.parametrize("part", ["models", "models/digits", "models/digits/versions", "models/digits/versions/1"])
def test_links_are_not_followed(part: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A symbolic link in place of any folder of the registry is an `IntegrityError`, not a way out."""
    registry.register("digits", source, ModelInfo(format="files"))
    path = tmp_path / "home" / part
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for function in (registry.get, lambda name: registry.delete(name, 1), lambda name: registry.assign(name, "a", 1)):
        with pytest.raises(IntegrityError, match="symbolic link"):
            function("digits")
    assert (tmp_path / "elsewhere").is_dir()


def test_bad_version_is_left_out_with_a_warning(
    registry: FolderRegistry, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`versions` leaves out a version whose manifest can't be read, and logs why; `get` doesn't fall back silently."""
    bad = registry.register("digits", source, ModelInfo(format="files"))
    (Path(bad.location) / "manifest.json").write_text("{}")
    assert registry.versions("digits") == ()
    assert "digits:1" in caplog.text
    with pytest.raises(IntegrityError, match="digits:1"):
        registry.get("digits")


def test_damaged_alias_is_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """An assignment that can't be read is an `IntegrityError` naming the file."""
    registry.register("digits", source, ModelInfo(format="files"))
    registry.assign("digits", "champion", 1)
    path = tmp_path / "home" / "models" / "digits" / "aliases" / "champion" / "000000000001.json"
    path.write_text("{")
    with pytest.raises(IntegrityError, match=r"000000000001\.json"):
        registry.aliases("digits")
