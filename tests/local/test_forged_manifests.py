"""Manifests that somebody else wrote: no name in one leads out of the version's folder, and no size fills the disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.errors import IntegrityError, MnistkitError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import verify_models
from mnistkit.utils.files import FileInfo

Forge = Callable[[Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry with two models."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.bin").write_bytes(b"model")
    registry = FolderRegistry(tmp_path / "registry")
    for name in ("bad", "good"):
        registry.register(name, tmp_path / "files", ModelInfo(format="files"))
    return registry


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The folder of the version that is forged."""
    return tmp_path / "registry" / "models" / "bad" / "versions" / "1"


@pytest.fixture
def forge(version: Path) -> Forge:
    """Change the manifest."""

    def forge(change: Callable[[dict[str, Any]], None]) -> None:
        manifest = json.loads((version / "manifest.json").read_text(encoding="utf-8"))
        change(manifest)
        (version / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    return forge


@pytest.mark.parametrize(
    "name",
    ["../../../../../secret", "{absolute}", "a/../../x", "", ".", "a//b", "a/./b", "x\x00y", "C:\\x", "a\n"],
)
def test_a_name_that_leads_out_is_refused(registry: FolderRegistry, tmp_path: Path, forge: Forge, name: str) -> None:
    """With the size and sha256 of what is there: it is neither read nor written, and the other model is listed."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"canary")
    stolen = {"size": 6, "sha256": hashlib.sha256(b"canary").hexdigest()}
    forge(lambda manifest: manifest["files"].update({name.format(absolute=secret): stolen}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match="forged"):
        registry.get("bad", 1)
    assert registry.versions("bad") == ()
    assert registry.names() == ("bad", "good")
    assert len(registry.versions("good")) == 1
    assert any("bad:1" in str(problem) for problem in verify_models(registry).problems)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [-1, -(10**18)])
def test_a_negative_size_is_refused(registry: FolderRegistry, forge: Forge, size: int) -> None:
    """It would be taken off the sum of the sizes."""
    forge(lambda manifest: manifest["files"]["model.bin"].update(size=size))
    with pytest.raises(IntegrityError, match="forged"):
        registry.get("bad", 1)
    assert verify_models(registry).size >= 0


@pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="needs sparse files")
def test_a_hole_stays_one_in_a_copy(registry: FolderRegistry, tmp_path: Path, version: Path, forge: Forge) -> None:
    """A sparse file costs nothing to make, so that its copies must not fill the disk either; its bytes are the same."""
    size = 64 << 20
    os.truncate(version / "model.bin", size)
    with (version / "model.bin").open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(b"data")
    digest = hashlib.sha256((version / "model.bin").read_bytes()).hexdigest()
    forge(lambda manifest: manifest["files"].update({"model.bin": {"size": size, "sha256": digest}}))
    into = registry.download(registry.get("bad", 1), tmp_path / "into")
    copy = into / "model.bin"
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == digest
    assert copy.stat().st_size == size
    assert copy.stat().st_blocks * 512 <= 8 << 20
    info = registry.register("again", into, ModelInfo(format="files")).files["model.bin"]
    assert info == FileInfo(size, digest)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize("what", ["file", "link"])
def test_what_lies_among_the_aliases_stops_no_registration(registry: FolderRegistry, tmp_path: Path, what: str) -> None:
    """The alias of that name can't be read; the next version gets its number all the same."""
    registry.assign("bad", "champion", 1)
    odd = tmp_path / "registry" / "models" / "bad" / "aliases" / "odd"
    odd.write_text("x") if what == "file" else odd.symlink_to("/etc")
    assert registry.register("bad", tmp_path / "files", ModelInfo(format="files")).version == 2
    assert any("odd" in str(problem) for problem in verify_models(registry).problems)
    odd.unlink()
    assert [history[-1].version for history in registry.aliases("bad").values()] == [1]


def test_a_file_in_place_of_each_folder(registry: FolderRegistry, tmp_path: Path) -> None:
    """And a folder in place of each file: an error of ours, and the other model stays in use."""
    root = tmp_path / "registry" / "models" / "bad"
    for path in sorted(root.rglob("*"), reverse=True):
        kept = path.with_name(f"{path.name}.kept")
        path.rename(kept)
        path.mkdir() if kept.is_file() else path.write_text("x")
        for look in (lambda: registry.get("bad"), lambda: registry.versions("bad"), lambda: verify_models(registry)):
            with contextlib.suppress(MnistkitError):
                look()
        assert registry.get("good").version == 1
        assert "good" in registry.names()
        path.rmdir() if path.is_dir() else path.unlink()
        kept.rename(path)
    assert verify_models(registry).problems == ()
