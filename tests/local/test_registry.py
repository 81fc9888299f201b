"""The folder registry: the contract, and what can go wrong on a disk."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import (
    IntegrityError,
    InvalidNameError,
    MnistkitError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.files import file_info
from mnistkit.interfaces import ModelRegistry
from mnistkit.local import disk
from mnistkit.local.registry import FolderRegistry
from mnistkit.models import ModelVersion
from mnistkit.testing import ModelRegistrySuite
from naive import NaiveRegistry

TESTS = Path(__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


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


def _flip(path: Path, position: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# --- the suite catches a hasty registry -----------------------------------------------------------------------------

_NAIVE_SUITE = """
import pytest
from naive import NaiveRegistry
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
        "test_what_is_missing",
    }, done.stdout
    assert outcomes["test_versions_count_from_one"] == "PASSED", done.stdout


# --- many processes, and processes that die -------------------------------------------------------------------------


def _write(task: str, kind: type[ModelRegistry], root: Path, source: Path) -> list[int]:
    """Run `registry_writers`; returns the numbers that its processes were given."""
    command = [sys.executable, str(TESTS / "registry_writers.py"), task, kind.__name__, str(root), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [int(number) for number in done.stdout.split()]


@needs_fork
@pytest.mark.parametrize(("kind", "is_sound"), [(FolderRegistry, True), (NaiveRegistry, False)])
def test_eight_processes_register_at_once(
    kind: type[ModelRegistry], is_sound: bool, tmp_path: Path, source: Path
) -> None:
    """8 processes with 50 registrations each get 1 to 400, each once; a naive registry gives numbers out twice."""
    numbers = _write("race", kind, tmp_path / "home", source)
    assert (sorted(numbers) == list(range(1, 401))) is is_sound
    if is_sound:
        registry = FolderRegistry(tmp_path / "home")
        assert [model.version for model in registry.versions("digits")] == list(range(400, 0, -1))
        assert list((tmp_path / "home" / ".staging").iterdir()) == []


def _unusable(registry: ModelRegistry, root: Path, into: Path) -> list[int]:
    """The numbers that are there but can't be had as they were registered."""
    numbers = [int(path.name) for path in root.rglob("*") if path.is_dir() and path.name.isdecimal()]
    return [number for number in numbers if not _is_whole(registry, number, into / str(number))]


def _is_whole(registry: ModelRegistry, number: int, into: Path) -> bool:
    try:
        model = registry.get("digits", number)
        copy = registry.download(model, into)
        return len(model.files) == 2 and all(file_info(copy / file) == info for file, info in model.files.items())
    except (MnistkitError, OSError):
        return False


@needs_fork
@pytest.mark.parametrize(("kind", "is_sound"), [(FolderRegistry, True), (NaiveRegistry, False)])
def test_killed_processes_leave_whole_versions(
    kind: type[FolderRegistry | NaiveRegistry], is_sound: bool, tmp_path: Path, source: Path
) -> None:
    """After 25 kills each listed version is whole, each acknowledged one is listed; a naive registry has torn ones."""
    root = tmp_path / "home"
    acknowledged = set(_write("kill", kind, root, source))
    assert acknowledged
    registry = kind(root)
    assert (_unusable(registry, root, tmp_path / "copies") == []) is is_sound
    if is_sound:
        listed = [model.version for model in registry.versions("digits")]
        assert acknowledged <= set(listed)
        assert listed == list(range(len(listed), 0, -1))
        assert registry.register("digits", source, format="files").version == len(listed) + 1


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
