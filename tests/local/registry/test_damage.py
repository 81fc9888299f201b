"""Files of a registry that aren't what was registered: refused, or named by verification."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnistkit.errors import IntegrityError, ModelNotFoundError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.persistence import save_model
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import verify_models
from support.damage import flip


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


_NAMED = {"extra": "extra", "folder is a link": "extra", "edited manifest": "model.skops"}

_DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped byte": lambda folder: flip(folder / "model.skops"),
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
    bad, good = (registry.register("digits", source, ModelInfo(format="files")) for _ in range(2))
    _DAMAGE[kind](Path(bad.location))
    with pytest.raises(IntegrityError, match=r"digits(:|/versions/)1"):
        registry.download(registry.get("digits", 1), tmp_path / "into")
    with pytest.raises(IntegrityError, match=r"digits(:|/versions/)1"):
        registry.download(bad, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert good in registry.versions("digits")
    assert (registry.download(good, tmp_path / "into") / "model.skops").stat().st_size == 40_000
    assert registry.register("digits", source, ModelInfo(format="files")).version == 3


def test_every_flipped_bit_is_refused(registry: FolderRegistry, tmp_path: Path) -> None:
    """Each single flipped bit, and each truncation, of a small file is found."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.skops").write_bytes(b"small one")
    model = registry.register("digits", tmp_path / "small", ModelInfo(format="files"))
    path = Path(model.location) / "model.skops"
    whole = path.read_bytes()
    flips = [whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :] for i in range(len(whole)) for bit in range(8)]
    for data in [*flips, *(whole[:i] for i in range(len(whole)))]:
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"digits:1: model\.skops"):
            registry.download(model, tmp_path / "into")


def _everyflip(data: bytes, step: int = 1) -> Iterator[bytes]:
    for bit in range(0, 8 * len(data), step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_flipped_and_cut_models_are_refused(step: int, registry: FolderRegistry, tmp_path: Path) -> None:
    """A real small model with any one bit flipped, or cut off anywhere, is refused and named."""
    from sklearn.dummy import DummyClassifier

    save_model(DummyClassifier().fit([[0], [1], [2]], [0, 1, 1]), tmp_path / "model")
    model = registry.register("digits", tmp_path / "model", ModelInfo(format="skops"))
    path = Path(model.location) / "model.skops"
    whole = path.read_bytes()
    for data in itertools.chain(_everyflip(whole, step), (whole[:end] for end in range(0, len(whole), step))):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"digits:1: model\.skops"):
            registry.download(model, tmp_path / "into")
    path.write_bytes(whole)
    assert verify_models(registry).problems == ()


def test_flipped_manifests_are_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A manifest with any one bit flipped isn't the version that its holder has the digest of."""
    model = registry.register("digits", source, ModelInfo(format="files", metrics={"accuracy": 0.5}))
    path = Path(model.location) / "manifest.json"
    for data in _everyflip(path.read_bytes(), 3):
        path.write_bytes(data)
        with pytest.raises(IntegrityError):
            registry.download(model, tmp_path / "into")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX")
@pytest.mark.parametrize("kind", _DAMAGE)
def test_verify_names_the_damage(kind: str, registry: FolderRegistry, source: Path) -> None:
    """`verify` finds each kind of damage, names version and file, and goes on to the next version."""
    bad, *_ = (registry.register("digits", source, ModelInfo(format="files")) for _ in range(3))
    _DAMAGE[kind](Path(bad.location))
    verification = verify_models(registry)
    expected = _NAMED.get(kind, "manifest.json" if "manifest" in kind else "model.skops")
    assert {(problem.model, problem.file.split("/")[0]) for problem in verification.problems} >= {
        ("digits:1", expected)
    }
    assert {problem.model for problem in verification.problems} == {"digits:1"}
    assert verification.versions == 3


def test_verify_misses_what_was_taken_away(registry: FolderRegistry, source: Path) -> None:
    """Versions that were removed by hand are named, however many, and aliases to them; deleting puts it on record."""
    for _ in range(4):
        registry.register("digits", source, ModelInfo(format="files"))
    registry.assign("digits", "champion", 2)
    for version in (2, 3):
        shutil.rmtree(registry.get("digits", version).location)
    gone, alias = verify_models(registry).problems
    assert (gone.model, alias.model) == ("digits:2", "digits")
    assert "is missing, and so are all up to 3" in gone.what
    assert "digits@champion is version 2, which isn't there" in alias.what
    with pytest.raises(ModelNotFoundError, match="Version 3 of model 'digits' is missing"):
        registry.get("digits", 3)
    registry.assign("digits", "champion", 4)
    for version in (2, 3):
        registry.delete("digits", version)
    assert verify_models(registry).problems == ()
    with pytest.raises(ModelNotFoundError, match="has never existed"):
        registry.delete("digits", 5)
    Path(registry.get("digits", 4).location).with_name("999999999").mkdir()
    assert [problem.model for problem in verify_models(registry, "digits").problems] == ["digits:999999999", "digits:5"]


def test_verify_finds_all_problems(registry: FolderRegistry, source: Path) -> None:
    """`verify` lists every file that is off, with what is wrong, and writes nothing."""
    model = registry.register("digits", source, ModelInfo(format="files"))
    flip(Path(model.location) / "model.skops")
    (Path(model.location) / "extra" / "labels.txt").unlink()
    _extra(Path(model.location))
    before = sorted(Path(model.location).rglob("*"))
    problems = {problem.file: problem.what for problem in verify_models(registry, "digits", 1).problems}
    assert problems.keys() == {"model.skops", "extra/labels.txt", "extra/more.txt"}
    assert model.files["model.skops"].sha256 in problems["model.skops"]
    assert sorted(Path(model.location).rglob("*")) == before


def test_a_number_is_tried_after_a_gap(registry: FolderRegistry, source: Path) -> None:
    """Numbers go on after the highest, also if somebody took a folder away by hand."""
    models = [registry.register("digits", source, ModelInfo(format="files")) for _ in range(6)]
    shutil.rmtree(models[2].location)
    assert registry.register("digits", source, ModelInfo(format="files")).version == 7
    assert registry.register("digits", source, ModelInfo(format="files")).version == 8
    registry.delete("digits", 8)
    shutil.rmtree(Path(models[0].location).with_name("8"))
    assert registry.register("digits", source, ModelInfo(format="files")).version == 9


def test_link_that_fails_after_it_worked(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that links and then reports that the name is taken yields one assignment, not two."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists")

    registry.register("digits", source, ModelInfo(format="files"))
    monkeypatch.setattr(os, "link", late)
    registry.assign("digits", "champion", 1, seen=())
    assert len(registry.aliases("digits")["champion"]) == 1
