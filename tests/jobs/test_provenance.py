"""Where a run came from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.interfaces import DataSource
from mnistkit.jobs import provenance
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.serialization import from_json, to_json

JOB = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"max_iter": 20}), seed=7)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason for a test to fail."""
    monkeypatch.setattr(provenance, "_PATIENCE", 20.0)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one committed file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "train.py")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True
    ).stdout


def test_commit_and_changes_are_fresh(repository: Path) -> None:
    """The commit is the present one, and changes of tracked files count at once; untracked files don't."""
    clean = Provenance.of(JOB, repository)
    assert clean.commit == git(repository, "rev-parse", "HEAD").strip()
    assert clean.is_dirty is False
    (repository / "new.txt").write_text("untracked")
    assert Provenance.of(JOB, repository).is_dirty is False
    (repository / "train.py").write_text("print(2)\n")
    assert Provenance.of(JOB, repository).is_dirty is True
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-am", "second")
    again = Provenance.of(JOB, repository)
    assert again.is_dirty is False
    assert again.commit not in {None, clean.commit}


def test_folders_inside_a_repository_count(repository: Path) -> None:
    """The working directory may be any folder of the repository."""
    (repository / "deep" / "er").mkdir(parents=True)
    assert Provenance.of(JOB, repository / "deep" / "er").commit == Provenance.of(JOB, repository).commit


def test_without_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a repository, in one without a commit, and without git, commit and changes are None."""
    assert (Provenance.of(JOB, tmp_path).commit, Provenance.of(JOB, tmp_path).is_dirty) == (None, None)
    git(tmp_path, "init", "--quiet")
    assert (Provenance.of(JOB, tmp_path).commit, Provenance.of(JOB, tmp_path).is_dirty) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Provenance.of(JOB, tmp_path).commit is None


@pytest.mark.skipif(os.name == "nt", reason="needs a shell script")
def test_a_git_that_hangs_is_left(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that doesn't answer is given up, and costs its patience only."""
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 600\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "_PATIENCE", 0.05)
    start = time.monotonic()
    assert Provenance.of(JOB, repository).commit is None
    assert time.monotonic() - start < 30


@pytest.mark.skipif(os.name == "nt", reason="needs a shell script")
def test_no_hook_of_a_repository_runs(repository: Path) -> None:
    """A repository's file system monitor, which could be any program, isn't started."""
    hook, sign = repository / "hook.sh", repository / "ran"
    hook.write_text(f"#!/bin/sh\ntouch {sign}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    assert Provenance.of(JOB, repository).is_dirty is False
    assert not sign.exists()
    git(repository, "status")
    assert sign.exists(), "the test's hook is no hook"


def test_the_working_directory_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory that was removed is no error."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    try:
        folder.rmdir()
    except OSError:
        pytest.skip("this system keeps working directories")
    assert Provenance.of(JOB).commit is None


def test_it_is_kept_with_the_run(tiny_mnist: DataSource, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """A run's record has commit, command, platform, versions and seed; another process reads the same."""
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", ["train.py", "--regularization", "0.5"])
    run = Trainer.local(data=tiny_mnist).train(LogisticRegression(max_iter=20), seed=3)
    kept = run.record.provenance
    assert kept is not None
    assert kept.commit == git(repository, "rev-parse", "HEAD").strip()
    assert (kept.is_dirty, kept.command, kept.seed) == (False, ("train.py", "--regularization", "0.5"), 3)
    assert kept.versions == library_versions()
    assert kept.platform
    assert Trainer.local(data=tiny_mnist).run(run.id).record.provenance == kept
    assert from_json(to_json(kept), Provenance, "here") == kept


def test_scripts_have_one_too(tiny_mnist: DataSource, tmp_path: Path) -> None:
    """A script's run says where it was submitted from; its seed is its own."""
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "train.py").write_text("")
    backend = InProcessCompute(tmp_path / "home")
    record = backend.submit(ScriptJob(str(tmp_path / "script")), tiny_mnist)
    assert record.provenance is not None
    assert record.provenance.seed is None
    Trainer(data=tiny_mnist, compute=backend, models=Trainer.local().models).run(record.id).wait()


def test_older_records_load(tiny_mnist: DataSource) -> None:
    """A record and a job without provenance and fingerprint, as earlier releases wrote them, are read."""
    trainer = Trainer.local(data=tiny_mnist)
    run = trainer.train(LogisticRegression(max_iter=20))
    for file, key in (("record.json", "provenance"), ("job.json", "fingerprint")):
        path = Path(run.record.url, file)
        content = json.loads(path.read_text())
        assert content.pop(key)
        path.write_text(json.dumps(content))
    record = trainer.run(run.id).record
    assert record.provenance is None
    assert record.job.fingerprint is None
    assert record.state == run.state


def test_a_registered_model_leads_to_it(tiny_mnist: DataSource) -> None:
    """From a model's run id one gets to the provenance."""
    trainer = Trainer.local(data=tiny_mnist)
    model = trainer.register(trainer.train(LogisticRegression(max_iter=20)), "m")
    assert isinstance(model, ModelVersion)
    assert model.run_id is not None
    assert trainer.run(model.run_id).record.provenance is not None
