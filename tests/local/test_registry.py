"""The folder registry: the contract, and what can go wrong on a disk."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, fields_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.errors import (
    IntegrityError,
    InvalidNameError,
    MnistkitError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.persistence import save_model
from mnistkit.registry.loading import load_model
from mnistkit.registry.manifest import Manifest, read_version
from mnistkit.registry.promotion import promote, resolve_model, rollback
from mnistkit.registry.search import search_models
from mnistkit.registry.version import ModelRef, ModelVersion
from mnistkit.testing import ModelRegistrySuite
from mnistkit.testing.model_registry import HOSTILE_NAMES
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_name

TESTS = Path(__file__).parents[1]


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry whose folder isn't there yet."""
    return FolderRegistry(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files to register."""
    folder = tmp_path / "source"
    (folder / "extra").mkdir(parents=True)
    (folder / "model.skops").write_bytes(random.Random(0).randbytes(40_000))
    (folder / "extra" / "labels.txt").write_bytes(b"0\n1\n")
    return folder


class TestContract(ModelRegistrySuite):
    """The folder registry keeps every promise of the contract."""

    @pytest.fixture
    def registry(self, tmp_path: Path) -> ModelRegistry:
        """The registry under test."""
        return FolderRegistry(tmp_path / "registry")

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Flip a bit."""
        _flip(Path(model.location) / "model.skops")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Cut the manifest off."""
        (Path(model.location) / "manifest.json").write_bytes(b'{"name": ')

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """Another one of the same folder."""
        return FolderRegistry(registry.get("digits").location.rpartition("/models/")[0])


def _flip(path: Path, position: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# --- the suite catches a hasty registry -----------------------------------------------------------------------------

_NAIVE_SUITE = """
import pytest
from support.naive import NaiveRegistry
from mnistkit.testing import ModelRegistrySuite

class TestNaive(ModelRegistrySuite):
    @pytest.fixture
    def registry(self, tmp_path):
        return NaiveRegistry(tmp_path / "registry")

    def damage(self, registry, model):
        (registry.root / model.id.replace(":", "/") / "model.skops").write_bytes(b"other")
"""


def test_suite_catches_a_naive_registry(tmp_path: Path) -> None:
    """The conformance suite finds what a registry written in a hurry gets wrong, and passes what it gets right."""
    (tmp_path / "test_naive.py").write_text(_NAIVE_SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-rfp", "--tb=no", "-p", "no:cacheprovider", "test_naive.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=False
    )
    words = [line.split() for line in done.stdout.splitlines()]
    outcomes = {w[1].split("::")[-1].split("[")[0]: w[0] for w in words if w and w[0] in {"PASSED", "FAILED"}}
    caught = {name for name, outcome in outcomes.items() if outcome == "FAILED"}
    assert caught >= {
        "test_damage_is_found",
        "test_delete_keeps_the_number",
        "test_delete_spares_what_an_alias_names",
        "test_download_checks_the_digest",
        "test_hostile_names_are_refused",
        "test_links_are_refused",
        "test_names_differ_in_more_than_case",
        "test_threads_assign_at_once",
        "test_threads_register_at_once",
        "test_threads_count",
        "test_what_is_missing",
    }, done.stdout
    assert outcomes["test_versions_count_from_one"] == "PASSED", done.stdout


# --- what the disk gives back isn't what was registered -------------------------------------------------------------


def _extra(folder: Path) -> None:
    (folder / "extra" / "more.txt").write_text("more")


def _link(path: Path) -> None:
    elsewhere = path.parents[4] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _edit_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_bytes())
    data["files"]["model.skops"]["sha256"] = "0" * 64
    path.write_text(json.dumps(data))


def _climb(folder: Path) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_bytes())
    data["files"]["../../../../../format.json"] = {"size": 14, "sha256": "0" * 64}
    path.write_text(json.dumps(data))


_NAMED = {"extra": "extra", "folder is a link": "extra", "edited manifest": "model.skops", "climbing manifest": ".."}
_DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped byte": lambda folder: _flip(folder / "model.skops"),
    "truncated": lambda folder: os.truncate(folder / "model.skops", 39_999),
    "emptied": lambda folder: os.truncate(folder / "model.skops", 0),
    "grown": lambda folder: os.truncate(folder / "model.skops", 40_001),
    "extra": _extra,
    "missing": lambda folder: (folder / "model.skops").unlink(),
    "missing manifest": lambda folder: (folder / "manifest.json").unlink(),
    "truncated manifest": lambda folder: os.truncate(folder / "manifest.json", 100),
    "binary manifest": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\0"),
    "edited manifest": _edit_manifest,
    "climbing manifest": _climb,
    "file is a link": lambda folder: _link(folder / "model.skops"),
    "folder is a link": lambda folder: _link(folder / "extra"),
    "file is a pipe": lambda folder: _pipe(folder / "model.skops"),
    "manifest is a pipe": lambda folder: _pipe(folder / "manifest.json"),
    "manifest is a link": lambda folder: _link(folder / "manifest.json"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX")
@pytest.mark.parametrize("kind", _DAMAGE)
def test_damage_is_refused(kind: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A version that isn't what was registered is an `IntegrityError`; nothing is copied, and others stay usable."""
    bad, good = (registry.register("digits", source, format="files") for _ in range(2))
    _DAMAGE[kind](Path(bad.location))
    with pytest.raises(IntegrityError, match=r"digits(:|/versions/)1"):
        registry.download(registry.get("digits", 1), tmp_path / "into")
    with pytest.raises(IntegrityError, match=r"digits(:|/versions/)1"):
        registry.download(bad, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert good in registry.versions("digits")
    assert (registry.download(good, tmp_path / "into") / "model.skops").stat().st_size == 40_000
    assert registry.register("digits", source, format="files").version == 3


def test_every_flipped_bit_is_refused(registry: FolderRegistry, tmp_path: Path) -> None:
    """Each single flipped bit, and each truncation, of a small file is found."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.skops").write_bytes(b"small one")
    model = registry.register("digits", tmp_path / "small", format="files")
    path = Path(model.location) / "model.skops"
    whole = path.read_bytes()
    flips = [whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :] for i in range(len(whole)) for bit in range(8)]
    for data in [*flips, *(whole[:i] for i in range(len(whole)))]:
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"digits:1: model\.skops"):
            registry.download(model, tmp_path / "into")


def _every_flip(data: bytes, step: int = 1) -> Iterator[bytes]:
    for bit in range(0, 8 * len(data), step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_flipped_and_cut_models_are_refused(step: int, registry: FolderRegistry, tmp_path: Path) -> None:
    """A real small model with any one bit flipped, or cut off anywhere, is refused and named."""
    from sklearn.dummy import DummyClassifier

    save_model(DummyClassifier().fit([[0], [1], [2]], [0, 1, 1]), tmp_path / "model")
    model = registry.register("digits", tmp_path / "model", format="skops")
    path = Path(model.location) / "model.skops"
    whole = path.read_bytes()
    for data in itertools.chain(_every_flip(whole, step), (whole[:end] for end in range(0, len(whole), step))):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"digits:1: model\.skops"):
            registry.download(model, tmp_path / "into")
    path.write_bytes(whole)
    assert registry.verify().problems == ()


def test_flipped_manifests_are_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A manifest with any one bit flipped isn't the version that its holder has the digest of."""
    model = registry.register("digits", source, format="files", metrics={"accuracy": 0.5})
    path = Path(model.location) / "manifest.json"
    for data in _every_flip(path.read_bytes(), 3):
        path.write_bytes(data)
        with pytest.raises(IntegrityError):
            registry.download(model, tmp_path / "into")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX")
@pytest.mark.parametrize("kind", _DAMAGE)
def test_verify_names_the_damage(kind: str, registry: FolderRegistry, source: Path) -> None:
    """`verify` finds each kind of damage, names version and file, and goes on to the next version."""
    bad, *_ = (registry.register("digits", source, format="files") for _ in range(3))
    _DAMAGE[kind](Path(bad.location))
    verification = registry.verify()
    expected = _NAMED.get(kind, "manifest.json" if "manifest" in kind else "model.skops")
    assert {(problem.model, problem.file.split("/")[0]) for problem in verification.problems} >= {
        ("digits:1", expected)
    }
    assert {problem.model for problem in verification.problems} == {"digits:1"}
    assert verification.versions == 3


def test_verify_misses_what_was_taken_away(registry: FolderRegistry, source: Path) -> None:
    """Versions that were removed by hand are named, however many, and aliases to them; deleting puts it on record."""
    for _ in range(4):
        registry.register("digits", source, format="files")
    registry.assign("digits", "champion", 2)
    for version in (2, 3):
        shutil.rmtree(registry.get("digits", version).location)
    gone, alias = registry.verify().problems
    assert (gone.model, alias.model) == ("digits:2", "digits")
    assert "is missing, and so are all up to 3" in gone.what
    assert "digits@champion is version 2, which isn't there" in alias.what
    with pytest.raises(ModelNotFoundError, match="Version 3 of model 'digits' is missing"):
        registry.get("digits", 3)
    registry.assign("digits", "champion", 4)
    for version in (2, 3):
        registry.delete("digits", version)
    assert registry.verify().problems == ()
    with pytest.raises(ModelNotFoundError, match="never was"):
        registry.delete("digits", 5)
    Path(registry.get("digits", 4).location).with_name("999999999").mkdir()
    assert [problem.model for problem in registry.verify("digits").problems] == ["digits:999999999", "digits:5"]


def test_verify_finds_all_problems(registry: FolderRegistry, source: Path) -> None:
    """`verify` lists every file that is off, with what is wrong, and writes nothing."""
    model = registry.register("digits", source, format="files")
    _flip(Path(model.location) / "model.skops")
    (Path(model.location) / "extra" / "labels.txt").unlink()
    _extra(Path(model.location))
    before = sorted(Path(model.location).rglob("*"))
    problems = {problem.file: problem.what for problem in registry.verify("digits", 1).problems}
    assert problems.keys() == {"model.skops", "extra/labels.txt", "extra/more.txt"}
    assert model.files["model.skops"].sha256 in problems["model.skops"]
    assert sorted(Path(model.location).rglob("*")) == before


def test_a_number_is_tried_after_a_gap(registry: FolderRegistry, source: Path) -> None:
    """Numbers go on after the highest, also if somebody took a folder away by hand."""
    models = [registry.register("digits", source, format="files") for _ in range(6)]
    shutil.rmtree(models[2].location)
    assert registry.register("digits", source, format="files").version == 7
    assert registry.register("digits", source, format="files").version == 8
    registry.delete("digits", 8)
    shutil.rmtree(Path(models[0].location).with_name("8"))
    assert registry.register("digits", source, format="files").version == 9


def test_link_that_fails_after_it_worked(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that links and then reports that the name is taken yields one assignment, not two."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists")

    registry.register("digits", source, format="files")
    monkeypatch.setattr(os, "link", late)
    registry.assign("digits", "champion", 1, seen=())
    assert len(registry.aliases("digits")["champion"]) == 1


# --- manifests are read in one of two ways --------------------------------------------------------------------------

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({"a": 1})


@given(key=st.sampled_from([*sorted(fields_dict(Manifest)), "extra"]), value=_PLAIN, inside=st.booleans())
def test_both_readings_agree(key: str, value: object, inside: bool) -> None:
    """The fast reading of a manifest gives what the careful one gives, or leaves it to that: also its refusals."""
    manifest = Manifest(
        name="digits", format="files", files={"a": FileInfo(1, "0")}, metrics={"m": 0.5}, tags={"t": "x"}
    )
    plain = json.loads(manifest.to_bytes())
    if inside and isinstance(plain.get(key), dict):
        plain[key][next(iter(plain[key]))] = value
    else:
        plain[key] = value
    data = json.dumps(plain).encode()
    assert _outcome(lambda: read_version(data, 1, "x", "y")) == _outcome(
        lambda: Manifest.parse(data, "y").as_version(1, data, "x")
    )


def _outcome(read: Callable[[], ModelVersion]) -> object:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - compared with that of the other
        return repr(error)


def test_registered_manifests_are_read_fast(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `register` writes needs no careful reading: listing ten thousand versions would show it."""
    registry.register("digits", source, format="files", metrics={"accuracy": 1}, tags={"a": "b"}, run_id="r")
    registry.register("digits", source, format="files")
    monkeypatch.setattr(Manifest, "parse", None)
    assert len(registry.versions("digits")) == 2


# --- names ----------------------------------------------------------------------------------------------------------

_NAMES = (
    st.text(max_size=80)
    | st.from_regex(r"[A-Za-z0-9._/\\:@ -]{0,70}")
    | st.builds("".join, st.lists(st.sampled_from(HOSTILE_NAMES), min_size=1, max_size=3))
)


def _takers(registry: ModelRegistry, source: Path, into: Path) -> dict[str, Callable[[str], object]]:
    """Everything public that takes the name of a model or an alias."""
    model = registry.get("digits", 1)
    return {
        "register": lambda name: registry.register(name, source, format="files"),
        "get": registry.get,
        "get(1)": lambda name: registry.get(name, 1),
        "versions": registry.versions,
        "numbers": registry.numbers,
        "verify": registry.verify,
        "inspect": lambda name: registry.inspect(name, 1),
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
    registry.register("digits", source, format="files")
    takers = _takers(registry, source, tmp_path / "into")
    assert [(taker, name) for taker, take in takers.items() for name in HOSTILE_NAMES if _accepts(take, name)] == []


@pytest.mark.parametrize("examples", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_random_names_stay_inside(examples: int, source: Path, tmp_path: Path) -> None:
    """A random name fits the rule, or everything refuses it; nothing is written outside of the registry."""
    registry = FolderRegistry(tmp_path / "home")
    registry.register("digits", source, format="files")
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
    model = registry.register("digits", source, format="files", metrics={"accuracy": 0.5})
    path = Path(model.location) / "manifest.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    assert registry.get("digits").digest != model.digest
    with pytest.raises(IntegrityError, match=model.digest):
        registry.download(model, tmp_path / "into")


def test_moved_version_is_refused(registry: FolderRegistry, source: Path) -> None:
    """A version of one model put into another's folder is an `IntegrityError`."""
    model = registry.register("digits", source, format="files")
    other = registry.register("letters", source, format="files")
    Path(model.location).rename(Path(other.location).with_name("2"))
    with pytest.raises(IntegrityError, match="'digits'"):
        registry.get("letters")


@pytest.mark.skipif(sys.platform == "win32", reason="links need POSIX")
@pytest.mark.parametrize("part", ["models", "models/digits", "models/digits/versions", "models/digits/versions/1"])
def test_links_are_not_followed(part: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A symbolic link in place of any folder of the registry is an `IntegrityError`, not a way out."""
    registry.register("digits", source, format="files")
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
    bad = registry.register("digits", source, format="files")
    (Path(bad.location) / "manifest.json").write_text("{}")
    assert registry.versions("digits") == ()
    assert "digits:1" in caplog.text
    with pytest.raises(IntegrityError, match="digits:1"):
        registry.get("digits")


def test_damaged_alias_is_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """An assignment that can't be read is an `IntegrityError` naming the file."""
    registry.register("digits", source, format="files")
    registry.assign("digits", "champion", 1)
    path = tmp_path / "home" / "models" / "digits" / "aliases" / "champion" / "000000000001.json"
    path.write_text("{")
    with pytest.raises(IntegrityError, match=r"000000000001\.json"):
        registry.aliases("digits")


# --- storage --------------------------------------------------------------------------------------------------------


def test_looking_creates_nothing(registry: FolderRegistry, tmp_path: Path) -> None:
    """Reading a registry that isn't there creates nothing."""
    assert (registry.names(), registry.versions("digits"), registry.aliases("digits")) == ((), (), {})
    with pytest.raises(ModelNotFoundError, match="none yet"):
        registry.get("digits")
    assert not (tmp_path / "home").exists()


def test_unwritable_root(tmp_path: Path, source: Path) -> None:
    """A root that can't be created is a `StorageError` that names it and the variable that moves it."""
    (tmp_path / "file").write_text("in the way")
    registry = FolderRegistry(tmp_path / "file" / "home")
    assert registry.names() == ()
    with pytest.raises(StorageError, match="MNISTKIT_HOME") as caught:
        registry.register("digits", source, format="files")
    assert str(tmp_path / "file" / "home") in str(caught.value)


def test_full_disk(registry: FolderRegistry, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system refuses any step, that is a `StorageError`, nothing stays behind, and it works again afterwards."""
    registry.register("digits", source, format="files")
    for step in ("copy_file", "write_file", "rename", "make_folder"):
        with monkeypatch.context() as patch:
            patch.setattr(disk, step, _refuse)
            with pytest.raises(StorageError, match="No space left"):
                registry.register("letters", source, format="files")
        assert list((tmp_path / "home" / ".staging").iterdir()) == []
        assert registry.names() == ("digits",)
    assert registry.register("letters", source, format="files").version == 1


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_number_taken_meanwhile(
    registry: FolderRegistry, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If others take the next numbers between the look and the claim, the registration goes on to a free one."""
    rename = disk.rename

    def late(stage: Path, target: Path) -> None:
        monkeypatch.setattr(disk, "rename", rename)
        for _ in range(3):
            FolderRegistry(tmp_path / "home").register("digits", source, format="files")
        rename(stage, target)

    monkeypatch.setattr(disk, "rename", late)
    model = registry.register("digits", source, format="files", run_id="late")
    assert model.version == 4
    assert [version.run_id for version in registry.versions("digits")] == ["late", None, None, None]


def test_rename_that_fails_after_it_worked(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that renames and then reports an error yields one version, not two and not a failure."""

    def rename(stage: Path, target: Path) -> None:
        stage.rename(target)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(disk, "rename", rename)
    assert registry.register("digits", source, format="files").version == 1
    assert len(registry.versions("digits")) == 1


def test_no_hard_links(registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases and deletions also work where the file system has no hard links."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for _ in range(2):
        registry.register("digits", source, format="files")
    registry.assign("digits", "champion", 1)
    registry.assign("digits", "champion", 2)
    registry.delete("digits", 1)
    assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2]
    assert [model.version for model in registry.versions("digits")] == [2]


def test_old_leftovers_are_swept(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """What a crash left in staging is removed by the first registration a day later, and not before."""
    registry.register("digits", source, format="files")
    old, young = (tmp_path / "home" / ".staging" / name for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "model.skops").write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    registry.register("digits", source, format="files")
    assert not old.exists()
    assert young.exists()


def test_newer_layout_is_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A registry of a layout that this release doesn't know is neither read nor written."""
    registry.register("digits", source, format="files")
    (tmp_path / "home" / "format.json").write_text('{"layout": 2}')
    for function in (
        registry.names,
        lambda: registry.get("digits"),
        lambda: registry.register("d", source, format="files"),
    ):
        with pytest.raises(StorageError, match=r"layout.*upgrade mnistkit"):
            function()


def test_deletion_frees_the_space(registry: FolderRegistry, source: Path) -> None:
    """Deleting removes the files and keeps the manifest, so that the number stays taken."""
    model = registry.register("digits", source, format="files")
    registry.delete("digits", 1)
    assert [path.name for path in Path(model.location).iterdir()] == ["manifest.json"]


def test_interrupted_deletion_can_be_finished(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that stopped halfway has taken the version out of sight; deleting again removes the rest."""
    model = registry.register("digits", source, format="files")
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", _refuse)
        with pytest.raises(StorageError):
            registry.delete("digits", 1)
    assert registry.names() == ()
    registry.delete("digits", 1)
    assert [path.name for path in Path(model.location).iterdir()] == ["manifest.json"]


# --- what is registered, and where it is copied to ------------------------------------------------------------------


def test_manifest_name_is_taken(registry: FolderRegistry, source: Path) -> None:
    """A file named like the registry's own manifest is refused, with the way out."""
    (source / "Manifest.json").write_text("{}")
    with pytest.raises(InvalidNameError, match="Rename it"):
        registry.register("digits", source, format="files")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes need POSIX")
def test_pipe_is_refused(registry: FolderRegistry, source: Path) -> None:
    """A pipe in the folder is refused at once; nothing waits for someone to write into it."""
    os.mkfifo(source / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        registry.register("digits", source, format="files")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name themselves")
@pytest.mark.parametrize("file", ["a\nb", "a:b", "con", "a\\b", "a ", "x.", "\udcff"])
def test_hostile_files_are_refused(file: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A file whose name can't be kept everywhere is refused, and nothing stays in staging."""
    (source / file).write_text("x")
    with pytest.raises(UsageError):
        registry.register("digits", source, format="files")
    assert registry.names() == ()
    assert [p for p in (tmp_path / "home").rglob("*") if p.name == "model.skops"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {"accuracy": "high"}},
        {"metrics": {1: 0.5}},
        {"tags": {"n": 3}},
        {"tags": {3: "n"}},
        {"description": "\ud800"},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object], registry: FolderRegistry, source: Path) -> None:
    """Metrics that are no numbers, tags that are no texts, and texts that are no Unicode are usage errors."""
    with pytest.raises(UsageError):
        registry.register("digits", source, format="files", **wrong)  # type: ignore[arg-type]  # that is the point
    assert registry.names() == ()


def test_download_into_a_file(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """Downloading to where a file is in the way is a `StorageError` that names the place."""
    model = registry.register("digits", source, format="files")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        registry.download(model, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_two_registries_over_one_folder_agree(source: Path, tmp_path: Path) -> None:
    """What one object registers, another sees; no state is kept in memory."""
    one, two = FolderRegistry(tmp_path / "home"), FolderRegistry(str(tmp_path / "home"))
    model = one.register("digits", source, format="files")
    assert two.get("digits") == model
    assert two.download(evolve(model, location="elsewhere"), tmp_path / "into") == tmp_path / "into"
