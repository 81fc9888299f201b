"""A packaged model: it predicts in a process that has no mnistkit but the package's own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mnistkit.errors import IntegrityError, ModelNotFoundError, UnsafeModelError, UsageError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.serving.package import PackagedModel, PackageRegistry
from mnistkit.serving.packaging import PACKAGE_REQUIREMENTS, package_model
from support.serving import Register, rows

PROJECT = Path(__file__).parents[2]

SCORE = """
import json, sys
import score
score.init()
import mnistkit
print(json.dumps([mnistkit.__file__, score.run(sys.stdin.read())]))
"""


@pytest.fixture
def package(registry: FolderRegistry, register: Register, fitted: Any, spec: Any, tmp_path: Path) -> Path:
    """A packaged classifier of digits."""
    register(fitted, spec=spec)
    return package_model(registry, "digits", tmp_path / "package")


def environment() -> dict[str, str]:
    """This process's variables, less those that lead to the checkout or to the user's settings."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and not key.startswith("MNISTKIT_")}


def test_init_and_run_in_another_process(package: Path, fitted: Any, images: Any) -> None:
    """score.py predicts as Python does, with the package's own copy of mnistkit."""
    X = rows(images[:100])
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
        cwd=package,
        input=json.dumps({"data": X.tolist()}),
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    file, labels = json.loads(done.stdout)
    assert Path(file).is_relative_to(package)
    assert labels == fitted.predict(X).tolist()


def test_serve_in_another_process(package: Path, fitted: Any, images: Any) -> None:
    """serve.py serves the model, and ends on SIGTERM with 0."""
    process = subprocess.Popen(
        [sys.executable, "serve.py", "0"], cwd=package, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = urllib3.request("POST", f"{url}/score", json={"data": rows(images[:5]).tolist()})
        assert answer.json() == fitted.predict(rows(images[:5])).tolist()
        process.terminate()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_requirements_are_those_of_the_core_and_of_serving(package: Path) -> None:
    """requirements.txt pins what the core and serving need, and conda.yaml has the same."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    core = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    serve = re.search(r"^serve = \[(.*?)\]", text, re.MULTILINE)
    assert core
    assert serve
    needed = set(re.findall(r'"([a-z0-9-]+)>=', core[1] + serve[1]))
    assert needed | {"pillow", "scipy"} == set(PACKAGE_REQUIREMENTS)
    lines = (package / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines), lines
    conda = (package / "conda.yaml").read_text(encoding="utf-8")
    assert all(f"      - {line}\n" in conda for line in lines)
    assert not [file for file in package.rglob("*") if "$" in file.name or file.suffix == ".pyc"]


@pytest.mark.parametrize("damage", ["model/model.skops", "model/probe.npz", "version.json"])
def test_a_damaged_package_is_not_loaded(package: Path, damage: str) -> None:
    """A file that isn't the registered one is found before anything is loaded."""
    path = package / damage
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"size": ', b'"size": 1', 1) if damage == "version.json" else data[:-1] + b"x")
    with pytest.raises(IntegrityError, match="Make the package again"):
        PackagedModel(package)


def test_what_is_no_package(package: Path, registry: FolderRegistry, tmp_path: Path) -> None:
    """A folder without a package, another version, a folder in use and a change are refused in words."""
    with pytest.raises(ModelNotFoundError, match="is no package"):
        PackageRegistry(tmp_path)
    packaged = PackageRegistry(package)
    with pytest.raises(ModelNotFoundError, match="digits:1 alone"):
        packaged.get("digits", 2)
    for change in (
        lambda: packaged.delete("digits", 1),
        lambda: packaged.assign("digits", "champion", 1),
        lambda: packaged.register("digits", tmp_path, ModelInfo(format="skops")),
    ):
        with pytest.raises(UsageError, match="never changes"):
            change()
    with pytest.raises(UsageError, match="isn't an empty folder"):
        package_model(registry, "digits", package)


def test_a_pickle_is_packaged_only_on_request(
    registry: FolderRegistry, register: Callable[..., Any], fitted: Any, tmp_path: Path
) -> None:
    """A joblib model is refused, and leaves nothing; with allow_pickle the scripts of the package load it."""
    register(fitted, form="joblib")
    with pytest.raises(UnsafeModelError):
        package_model(registry, "digits", tmp_path / "package")
    assert not (tmp_path / "package").exists()
    folder = package_model(registry, "digits", tmp_path / "package", allow_pickle=True)
    assert "allow_pickle=True" in (folder / "score.py").read_text(encoding="utf-8")
    with pytest.raises(UnsafeModelError):
        PackagedModel(folder)


@pytest.mark.parametrize("name", ["../../stolen", "{absolute}", "model/../../secret", "a//b", "", "x\x00y", "C:/x"])
def test_a_package_reads_and_writes_within_its_folder(package: Path, tmp_path: Path, name: str) -> None:
    """A forged record lists files elsewhere, with their sizes and sha256s: nothing is copied from or to there."""
    secret = tmp_path / "secret"
    secret.write_text("canary")
    record = json.loads((package / "version.json").read_text(encoding="utf-8"))
    stolen = {"size": 6, "sha256": hashlib.sha256(b"canary").hexdigest()}
    record["files"][name.format(absolute=secret)] = stolen
    (package / "version.json").chmod(0o644)
    (package / "version.json").write_text(json.dumps(record), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match="damaged or forged"):
        PackagedModel(package)
    assert sorted(tmp_path.rglob("*")) == before
    assert secret.read_text() == "canary"


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
@pytest.mark.parametrize("file", ["version.json", "model/model.skops"])
@pytest.mark.parametrize("what", ["pipe", "sparse", "device"])
def test_a_package_of_strange_files_is_refused(package: Path, file: str, what: str) -> None:
    """At once: a pipe would wait, and a sparse file of 100 GB fill the memory."""
    path = package / file
    if what == "sparse":
        os.truncate(path, 100 << 30)
    else:
        path.unlink()
        os.mkfifo(path) if what == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises((IntegrityError, ModelNotFoundError)):
        PackagedModel(package)
