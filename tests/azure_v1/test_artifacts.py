"""The real SDK uploads files to runs, lists them, and downloads them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Experiment, Run, Workspace
from azureml.exceptions import AzureMLException, UserErrorException


@pytest.fixture
def run(workspace: Workspace) -> Run:
    """A run that goes on."""
    return Experiment(workspace, "digits").start_logging(snapshot_directory=None)


def test_files(run: Run, tmp_path: Path) -> None:
    """A file is uploaded, listed and downloaded, whatever way its path is written."""
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "empty").touch()
    run.upload_file("outputs/a.txt", str(tmp_path / "a.txt"))
    run.upload_file("./outputs/è 100%.txt", str(tmp_path / "a.txt"))
    run.upload_file("outputs/empty", str(tmp_path / "empty"))
    assert run.get_file_names() == ["outputs/a.txt", "outputs/empty", "outputs/è 100%.txt"]
    for name in run.get_file_names():
        run.download_file(name, str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == ("" if name.endswith("empty") else "one")


def test_folder(run: Run, tmp_path: Path) -> None:
    """A folder goes up and comes down as it was."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    for number in range(60):  # more than go up at once
        (source / "deep" / f"{number}.txt").write_text(str(number))
    run.upload_folder("model", str(source))
    run.download_files(prefix="model", output_directory=str(tmp_path / "target"), append_prefix=False)
    found = {path.name: path.read_text() for path in (tmp_path / "target").rglob("*.txt")}
    assert found == {f"{number}.txt": str(number) for number in range(60)}


def test_large_file(run: Run, tmp_path: Path) -> None:
    """A file that goes up in blocks is the same when it comes down."""
    data = os.urandom(70 << 20)
    (tmp_path / "large").write_bytes(data)
    run.upload_file("outputs/large", str(tmp_path / "large"))
    run.download_file("outputs/large", str(tmp_path / "back"), _validate_checksum=True)
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(data).digest()


def test_unknown_file(run: Run, tmp_path: Path) -> None:
    """A file that isn't there can't be downloaded, and the error says so."""
    with pytest.raises((AzureMLException, UserErrorException), match="outputs/none"):
        run.download_file("outputs/none", str(tmp_path / "back"))


def test_outputs_of_job(workspace: Workspace, tmp_path: Path) -> None:
    """What a job leaves in outputs and logs is kept, also what a failing one leaves, and what it uploads itself."""
    folder = jobs.write(
        tmp_path / "src",
        """
        import os
        from azureml.core import Run
        os.makedirs("outputs/deep")
        open("outputs/deep/model.txt", "w").write("weights")
        open("logs/notes.txt", "w").write("notes")
        open("elsewhere.txt", "w").write("not kept")
        os.symlink("/etc/hostname", "outputs/link")
        Run.get_context().upload_file("outputs/own.txt", "elsewhere.txt")
        raise SystemExit(5)
        """,
    )
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    assert jobs.wait(run) == "Failed"
    names = run.get_file_names()
    assert {"outputs/deep/model.txt", "outputs/own.txt", "logs/notes.txt", "user_logs/std_log.txt"} <= set(names)
    assert "elsewhere.txt" not in names
    run.download_file("outputs/deep/model.txt", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "weights"
    assert "exit code 5" in run.get_details()["error"]["error"]["message"]
