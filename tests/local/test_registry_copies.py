"""The folder registry after copies that were made while it was written, and with parts replaced by hand."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from mnistkit.errors import (
    IntegrityError,
    InvalidNameError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.local.registry import durable
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.promotion import promote, resolve_model
from mnistkit.registry.signing import Signature
from mnistkit.registry.verification import verify_models
from mnistkit.registry.version import ModelRef

FILES = ModelInfo(format="files")
posix = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a file to register."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    return tmp_path / "source"


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """An empty registry."""
    return FolderRegistry(tmp_path / "home")


def copied(tmp_path: Path, *first: str) -> FolderRegistry:
    """Copy the registry, but for the versions of ``digits`` that were read ``first``, before the others came."""
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    versions = tmp_path / "copy" / "models" / "digits" / "versions"
    for folder in versions.iterdir():
        if folder.name not in first:
            shutil.rmtree(folder)
    return FolderRegistry(tmp_path / "copy")


# --- copies taken while writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [(2,), (2, 1), (1, 3, 1), (3, 2)])
def test_a_number_that_an_alias_names_is_never_given_again(
    history: tuple[int, ...], registry: FolderRegistry, source: Path, tmp_path: Path
) -> None:
    """In a copy with newer aliases than versions a registration gets a number that no alias ever named."""
    for _ in range(max(history)):
        registry.register("digits", source, FILES)
    for version in history:
        registry.assign("digits", "champion", version)
    copy = copied(tmp_path, "1")
    model = copy.register("digits", source, FILES)
    assert model.version == max(history) + 1
    if history[-1] != 1:
        with pytest.raises(ModelNotFoundError, match="is missing"):
            resolve_model(copy, "digits@champion")


def test_what_a_copy_lacks_is_said_until_it_is_mended(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """Verification names the missing version before and after further registrations, until it is back or deleted."""
    for _ in range(2):
        registry.register("digits", source, FILES)
    registry.assign("digits", "champion", 2)
    registry.assign("digits", "champion", 1)  # only the history names version 2 now
    copy = copied(tmp_path, "1")
    assert [problem.model for problem in verify_models(copy).problems] == ["digits:2"]
    assert copy.register("digits", source, FILES).version == 3
    assert [problem.model for problem in verify_models(copy).problems] == ["digits:2"]
    shutil.copytree(tmp_path / "home/models/digits/versions/2", tmp_path / "copy/models/digits/versions/2")
    assert verify_models(copy).problems == ()
    shutil.rmtree(tmp_path / "copy/models/digits/versions/2")
    copy.delete("digits", 2)
    assert verify_models(copy).problems == ()


def test_a_number_that_a_signature_names_is_never_given_again(
    registry: FolderRegistry, source: Path, tmp_path: Path
) -> None:
    """A version that was signed keeps its number in a copy that lacks it."""
    registry.register("digits", source, FILES)
    registry.attach_signature(registry.register("digits", source, FILES), Signature("0" * 16, "x"))
    copy = copied(tmp_path, "1")
    assert copy.register("digits", source, FILES).version == 3


def test_a_copy_without_any_version_is_verified(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A model of which only the aliases were copied has no name, and verification finds it all the same."""
    registry.register("digits", source, FILES)
    registry.assign("digits", "champion", 1)
    copy = copied(tmp_path)
    assert copy.names() == ()
    assert {problem.model for problem in verify_models(copy).problems} == {"digits:1", "digits"}
    assert copy.register("digits", source, FILES).version == 2


def test_an_unreadable_assignment_blocks_no_registration(registry: FolderRegistry, source: Path) -> None:
    """A damaged assignment is its alias's problem: the next version is registered, the alias points nowhere."""
    model = registry.register("digits", source, FILES)
    registry.assign("digits", "champion", 1)
    (Path(model.location).parents[1] / "aliases" / "champion" / "000000000001.json").write_bytes(b"[" * 100_000)
    assert registry.register("digits", source, FILES).version == 2
    with pytest.raises(IntegrityError, match="champion"):
        resolve_model(registry, "digits@champion")


# --- parts that were replaced ----------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("part", ["versions", "deleted", "aliases", "signatures", ""])
@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_verification_sees_what_names_leave_out(
    kind: str, part: str, registry: FolderRegistry, source: Path, tmp_path: Path
) -> None:
    """A folder of a model that was replaced is a problem by the model's name; the others are verified all the same."""
    if kind != "link" and not part:
        pytest.skip("a file beside the models is no model")
    for name in ("digits", "letters"):
        model = registry.register(name, source, FILES)
        registry.register(name, source, FILES)
        registry.assign(name, "champion", 1)
        registry.attach_signature(model, Signature("0" * 16, "x"))
        registry.delete(name, 2)
    path = tmp_path / "home" / "models" / "digits" / part
    path.rename(tmp_path / "away")
    if kind == "link":
        path.symlink_to(tmp_path / "away")
    elif kind == "file":
        path.write_bytes(b"")
    else:
        os.mkfifo(path)
    assert "letters" in registry.names()
    for verification in (verify_models(registry), verify_models(registry, "digits")):
        assert {problem.model for problem in verification.problems} == {"digits"}
        assert str(path) in verification.problems[0].what
    assert verify_models(registry).versions >= 1


@posix
def test_a_format_file_that_is_a_pipe_is_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A pipe in place of ``format.json`` is an error at once: nothing waits for a writer."""
    registry.register("digits", source, FILES)
    (tmp_path / "home" / "format.json").unlink()
    os.mkfifo(tmp_path / "home" / "format.json")
    with pytest.raises(StorageError, match=r"format\.json"):
        registry.get("digits")


# --- numbers and sizes -----------------------------------------------------------------------------------------------


def test_numbers_that_can_not_be_listed_are_refused(registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A version that no list would show can't be had, deleted or made: after 999999999 there is no number left."""
    model = registry.register("digits", source, FILES)
    versions = Path(model.location).parent
    shutil.copytree(versions / "1", versions / "1000000000")
    for call in (registry.get, registry.delete, lambda n, v: registry.assign(n, "champion", v), registry.inspect):
        with pytest.raises(ModelNotFoundError):
            call("digits", 1_000_000_000)
    (versions / "1").rename(versions / "999999999")
    assert registry.numbers("digits") == (999_999_999,)
    with pytest.raises(StorageError, match="no version number left"):
        registry.register("digits", source, FILES)
    assert registry.numbers("digits") == (999_999_999,)
    assert list((tmp_path / "home" / ".staging").iterdir()) == []


def test_assignments_that_can_not_be_listed_are_refused(registry: FolderRegistry, source: Path) -> None:
    """An assignment whose number no list would show is refused, and the history stays."""
    model = registry.register("digits", source, FILES)
    registry.assign("digits", "champion", 1)
    folder = Path(model.location).parents[1] / "aliases" / "champion"
    (folder / "000000000001.json").rename(folder / "000999999999.json")
    with pytest.raises(StorageError, match="no number left"):
        registry.assign("digits", "champion", 1, reason="again")
    assert len(registry.aliases("digits")["champion"]) == 1


def test_records_are_read_in_linear_time(tmp_path: Path) -> None:
    """A record takes time in proportion to its size: four times the size less than ten times the time."""
    took = []
    for megabytes in (12, 48):
        (tmp_path / "record.json").write_bytes(b" " * (megabytes << 20))
        start = time.perf_counter()
        assert len(durable.read_regular(tmp_path / "record.json")) == megabytes << 20
        took.append(time.perf_counter() - start)
    assert took[1] < max(10 * took[0], 1)


@pytest.mark.parametrize("part", ["versions/1/manifest.json", "aliases/champion/000000000001.json"])
def test_sparse_records_are_refused(part: str, registry: FolderRegistry, source: Path, tmp_path: Path) -> None:
    """A record of 100 GB that takes no room on the disk is refused by its size, without reading it."""
    registry.register("digits", source, FILES)
    registry.register("letters", source, FILES)
    registry.assign("digits", "champion", 1)
    os.truncate(tmp_path / "home" / "models" / "digits" / part, 100 << 30)
    start = time.perf_counter()
    problems = verify_models(registry).problems
    assert [problem.model for problem in problems] in (["digits:1"], ["digits"])
    assert "Larger than" in problems[0].what
    assert registry.versions("letters")
    assert registry.register("digits", source, FILES).version == 2
    assert time.perf_counter() - start < 5


def test_what_could_not_be_read_again_is_not_written(registry: FolderRegistry, source: Path) -> None:
    """A description or a reason that is larger than what is read is a usage error, and nothing is written."""
    with pytest.raises(UsageError, match="67108864"):
        registry.register("digits", source, ModelInfo(format="files", description="x" * (64 << 20)))
    registry.register("digits", source, FILES)
    for reason in ("x" * (1 << 20), "\ud800"):
        with pytest.raises(UsageError, match="reason"):
            registry.assign("digits", "champion", 1, reason=reason)
    assert dict(registry.aliases("digits")) == {}


@posix
def test_deeply_nested_folders_are_verified_and_deleted(registry: FolderRegistry, source: Path) -> None:
    """A version into which 3,000 nested folders were put is a problem, not a crash, and can be deleted."""
    model = registry.register("digits", source, FILES)
    here = os.getcwd()  # noqa: PTH109 - no path is long enough
    try:
        os.chdir(model.location)
        for _ in range(3000):
            os.mkdir("d")  # noqa: PTH102 - the same
            os.chdir("d")
    finally:
        os.chdir(here)
    assert {problem.model for problem in verify_models(registry).problems} == {"digits:1"}
    registry.delete("digits", 1)
    assert [path.name for path in Path(model.location).iterdir()] == ["manifest.json"]


# --- the reserved alias ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", ["latest", "Latest", "LATEST"])
def test_latest_is_no_alias(alias: str, registry: FolderRegistry, source: Path) -> None:
    """``latest`` is taken for the newest version: it is no alias, and the message names what to write instead."""
    registry.register("digits", source, FILES)
    for call in (
        lambda: promote(registry, "digits", alias),
        lambda: registry.assign("digits", alias, 1),
        lambda: resolve_model(registry, f"digits@{alias}"),
        lambda: ModelRef.parse(f"digits@{alias}"),
    ):
        with pytest.raises(InvalidNameError, match="reserved: NAME alone is the newest"):
            call()
    assert dict(registry.aliases("digits")) == {}
