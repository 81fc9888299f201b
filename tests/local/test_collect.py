"""What a script leaves behind, and the folder it comes from: nothing leads out, hangs or fills the disk."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.jobs.source_code import script_digests
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.folder import scripts
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.scripts import collect
from mnistkit.runs.folder.snapshot import snapshot
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.utils.folders import found_files, regular_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")

SECRET = "canary-5f1c"
GENEROUS = 60.0


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run whose script has ended."""
    for part in ("outputs", "logs", "code/outputs", "code/logs"):
        (tmp_path / "run" / part).mkdir(parents=True)
    log_of(tmp_path / "run").write_text("the script's words\n")
    return tmp_path / "run"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's own folder, with a secret in it."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "id_rsa").write_text(SECRET)
    return folder


def log_of(run_folder: Path) -> Path:
    """Where a run's log is."""
    return run_folder / "logs" / "std_log.txt"


def collected(run_folder: Path) -> list[str]:
    """Collect, and return what the run holds then."""
    started = time.monotonic()
    collect(run_folder, log_of(run_folder))
    assert time.monotonic() - started < GENEROUS
    return [f"{part}/{file}" for part in ("outputs", "logs") for file, _ in regular_files(run_folder / part)]


def naive_collect(run_folder: Path) -> None:
    """What one writes first."""
    shutil.copytree(run_folder / "code" / "outputs", run_folder / "outputs", dirs_exist_ok=True)


def contents(folder: Path) -> str:
    """All that can be read in a folder, pipes and devices apart."""
    files = [path for path in folder.rglob("*") if stat.S_ISREG(path.stat().st_mode) and path.stat().st_size < 1 << 20]
    return "".join(path.read_text(errors="replace") for path in files)


def plant_links(run_folder: Path, home: Path) -> None:
    """Leave what leads to the secret among the outputs."""
    outputs = run_folder / "code" / "outputs"
    (outputs / "ok.txt").write_text("ok")
    (outputs / "link").symlink_to(home / "id_rsa")
    (outputs / "rootlink").symlink_to(home)
    os.link(home / "id_rsa", outputs / "hard")


def test_odd_files_are_refused_and_listed(run_folder: Path, home: Path) -> None:
    """Links, hard links, pipes, sockets and devices stay where they are, each with its reason in the log."""
    plant_links(run_folder, home)
    outputs = run_folder / "code" / "outputs"
    os.mkfifo(outputs / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        address = os.open(outputs, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{address}/socket" if Path("/proc/self/fd").exists() else str(outputs / "socket"))
        os.close(address)
    refused = {"link": "symbolic link", "rootlink": "symbolic link", "hard": "hard link", "fifo": "no regular file"}
    refused["socket"] = "no regular file"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.mknod(outputs / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
        refused["device"] = "no regular file"
    assert collected(run_folder) == ["outputs/ok.txt", "logs/std_log.txt"]
    log = log_of(run_folder).read_text()
    assert log.startswith("the script's words\n... ")
    assert f"... {len(refused)} of the script's files aren't kept" in log
    for name, problem in refused.items():
        assert f"'outputs/{name}' is a {problem}" in log or f"'outputs/{name}' is {problem}" in log
    assert (home / "id_rsa").read_text() == SECRET
    assert SECRET not in contents(run_folder / "outputs")


def test_a_naive_copy_takes_the_secret(run_folder: Path, home: Path) -> None:
    """The same tree makes a naive copy hand out the secret."""
    plant_links(run_folder, home)
    naive_collect(run_folder)
    assert SECRET in contents(run_folder / "outputs")


def lead_outputs_away(run: Path, home: Path) -> None:
    """Put a link in the place of the script's ``outputs``."""
    (run / "code" / "outputs").rmdir()
    (run / "code" / "outputs").symlink_to(home)


def lead_code_away(run: Path, home: Path) -> None:
    """Put a link in the place of the script's whole folder."""
    (home / "outputs").mkdir()
    (home / "id_rsa").rename(home / "outputs" / "id_rsa")
    shutil.rmtree(run / "code")
    (run / "code").symlink_to(home)


def lead_target_away(run: Path, home: Path) -> None:
    """Put a link in the place of the run's own ``outputs``."""
    (run / "code" / "outputs" / "planted").touch()
    (run / "outputs").rmdir()
    (run / "outputs").symlink_to(home)


def lead_part_of_target_away(run: Path, home: Path) -> None:
    """Put a link where a folder of the outputs will go."""
    (run / "code" / "outputs" / "below" / "deeper").mkdir(parents=True)
    (run / "code" / "outputs" / "below" / "deeper" / "planted").touch()
    (run / "outputs" / "below").symlink_to(home)


@pytest.mark.parametrize(
    "lead",
    [lead_outputs_away, lead_code_away, lead_target_away, lead_part_of_target_away],
    ids=lambda lead: lead.__name__,
)
def test_no_link_on_the_way_is_followed(run_folder: Path, home: Path, lead: Callable[[Path, Path], None]) -> None:
    """Wherever a link is put, nothing is taken from what it leads to, nothing put there, and the log says so."""
    lead(run_folder, home)
    before = sorted(home.rglob("*"))
    assert collected(run_folder) == ["logs/std_log.txt"]
    assert sorted(home.rglob("*")) == before
    assert "out of the run" in log_of(run_folder).read_text()


@pytest.mark.parametrize("name", ["a:b", "a\nb", "a\\b", "nul.txt", "a ", b"\xff", "a\x1b[31m"], ids=ascii)
def test_names_that_cannot_be_kept_are_refused(run_folder: Path, name: str | bytes) -> None:
    """A name that another system, or a terminal, would take for something else stays behind, and is shown as ASCII."""
    (run_folder / "code" / "outputs" / os.fsdecode(name)).touch()
    assert collected(run_folder) == ["logs/std_log.txt"]
    log = log_of(run_folder).read_text()
    assert f"{'outputs/' + os.fsdecode(name)!a} has a name that can't be kept" in log
    assert len(log.splitlines()) == 3


def test_the_log_stays_the_runs_own(run_folder: Path) -> None:
    """A script's ``logs/std_log.txt`` doesn't replace what it said; other files of ``logs`` are kept."""
    (run_folder / "code" / "logs" / "std_log.txt").write_text("forged")
    (run_folder / "code" / "logs" / "train.log").write_text("kept")
    assert collected(run_folder) == ["logs/std_log.txt", "logs/train.log"]
    assert log_of(run_folder).read_text().startswith("the script's words\n")
    assert "'logs/std_log.txt' has the name of the run's log" in log_of(run_folder).read_text()


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_log_that_was_replaced_neither_hangs_nor_is_followed(run_folder: Path, home: Path, kind: str) -> None:
    """Where the list can't be written to the log, it is left out."""
    log_of(run_folder).unlink()
    if kind == "pipe":
        os.mkfifo(log_of(run_folder))
    else:
        log_of(run_folder).symlink_to(home / "id_rsa")
    os.mkfifo(run_folder / "code" / "outputs" / "fifo")
    assert collected(run_folder) == []
    assert (home / "id_rsa").read_text() == SECRET


def test_what_is_too_deep_is_left(run_folder: Path) -> None:
    """A tree that is nested thousands of folders deep is cut off, without running out of stack or of files."""
    here = Path.cwd()
    os.chdir(run_folder / "code" / "outputs")
    try:
        Path("top").touch()
        for _ in range(3000):
            Path("d").mkdir()
            os.chdir("d")
        Path("bottom").touch()
    finally:
        os.chdir(here)
    try:
        assert collected(run_folder) == ["outputs/top", "logs/std_log.txt"]
        assert "lies more than 64 folders deep" in log_of(run_folder).read_text()
    finally:
        os.system(f"rm -rf '{run_folder}'")  # noqa: S605 - Python's own rmtree can't


def test_moderate_depth_is_kept(run_folder: Path) -> None:
    """Sixty folders are no reason to refuse a file."""
    folder = run_folder / "code" / "outputs" / Path(*["d"] * 60)
    folder.mkdir(parents=True)
    (folder / "file").touch()
    assert collected(run_folder)[0] == f"outputs/{'d/' * 60}file"


def test_a_folder_that_cannot_be_listed_is_named(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system refuses to show is listed as refused."""
    (run_folder / "code" / "outputs" / "closed").mkdir()
    (run_folder / "code" / "outputs" / "ok").touch()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert collected(run_folder) == ["outputs/ok", "logs/std_log.txt"]
    assert "'outputs/closed' can't be listed: Permission denied" in log_of(run_folder).read_text()


@pytest.mark.parametrize(("count", "limit"), [(1_500, 1_000), pytest.param(100_000, 10_000, marks=pytest.mark.slow)])
def test_the_number_of_files_is_limited(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, limit: int
) -> None:
    """As many files as a run keeps are taken; the log has the number of the others, and names a few."""
    assert scripts.MAX_FILES == 10_000
    monkeypatch.setattr(scripts, "MAX_FILES", limit)
    template = run_folder / "code" / "outputs"
    for i in range(count):
        os.close(os.open(template / f"{i:06}", os.O_CREAT | os.O_WRONLY))
    kept = collected(run_folder)
    assert len(kept) == scripts.MAX_FILES + 1
    assert kept[-2] == f"outputs/{scripts.MAX_FILES - 1:06}"
    log = log_of(run_folder).read_text()
    assert f"... {count - scripts.MAX_FILES} of the script's files aren't kept" in log
    assert len(log.splitlines()) == 23
    assert log.endswith(f"  and {count - scripts.MAX_FILES - 20} more\n")


def test_the_size_is_limited(run_folder: Path) -> None:
    """A hole of a terabyte is left, by its size alone; smaller files beside it are kept."""
    outputs = run_folder / "code" / "outputs"
    with (outputs / "hole").open("wb") as stream:
        stream.truncate(1 << 40)
    (outputs / "a").write_text("kept")
    (outputs / "z").write_text("kept")
    assert collected(run_folder) == ["outputs/a", "outputs/z", "logs/std_log.txt"]
    assert "'outputs/hole' is beyond the 10 GiB that a run keeps" in log_of(run_folder).read_text()


def test_sizes_add_up(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on all files together, those of ``logs`` included, to the byte."""
    monkeypatch.setattr(scripts, "MAX_COLLECTED_BYTES", 10)
    for file, size in {"outputs/a": 6, "outputs/b": 5, "outputs/c": 4, "logs/d": 1}.items():
        (run_folder / "code" / file).write_bytes(bytes(size))
    assert collected(run_folder) == ["outputs/a", "outputs/c", "logs/std_log.txt"]


def test_refusals_are_told_apart(tmp_path: Path) -> None:
    """What is found has an empty problem exactly if it is a regular file of its own."""
    (tmp_path / "tree" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "b" / "ok").touch()
    (tmp_path / "tree" / "link").symlink_to("b")
    found = [(file, problem) for file, _, problem in found_files(tmp_path / "tree")]
    assert found == [("link", "is a symbolic link"), ("b/ok", "")]
    (tmp_path / "away").symlink_to(tmp_path / "tree")
    assert list(found_files(tmp_path / "away")) == list(found_files(tmp_path / "missing")) == []


TREE = f"""
import os, sys
os.makedirs('outputs/deep')
open('outputs/deep/ok.txt', 'w').write('ok')
os.symlink(sys.argv[1], 'outputs/link')
os.link(sys.argv[1], 'outputs/hard')
os.mkfifo('outputs/fifo')
open('outputs/hole', 'w').truncate(1 << 40)
run = os.environ['MNISTKIT_RUN_FOLDER']
os.symlink(os.path.dirname(sys.argv[1]), run + '/outputs/home')
print('{SECRET[:6]} done')
"""


@pytest.mark.parametrize("backend", [InProcessCompute, ProcessCompute], ids=lambda backend: backend.__name__)
def test_every_backend_collects_alike(
    backend: type[FolderBackend], tiny_mnist: DataSource, tmp_path: Path, home: Path
) -> None:
    """Both backends keep the same files, list the same refusals, and hand out nothing else."""
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "train.py").write_text(TREE)
    compute = backend(tmp_path / "home")
    record = compute.submit(ScriptJob(str(tmp_path / "script"), arguments=(home / "id_rsa",)), tiny_mnist)
    run = Run(compute, record).wait(GENEROUS)
    assert run.state is RunState.COMPLETED, run.error
    assert run.files == ("outputs/deep/ok.txt", "logs/std_log.txt")
    assert "... 4 of the script's files aren't kept" in run.logs()
    for file in run.files:
        run.download(file, tmp_path / "into")
    assert SECRET not in contents(tmp_path / "into")


def test_a_scripts_folder_may_hold_odd_files(tmp_path: Path, home: Path) -> None:
    """Links, pipes, sockets and devices in it are neither copied nor read: for the run, and for what it depends on."""
    folder, run = tmp_path / "script", tmp_path / "runs" / "one"
    (folder / "pkg").mkdir(parents=True)
    run.mkdir(parents=True)
    (folder / "train.py").write_text("print()\n")
    (folder / "pkg" / "__init__.py").touch()
    (folder / "key").symlink_to(home / "id_rsa")
    (folder / "pkg" / "all").symlink_to(home)
    os.mkfifo(folder / "pkg" / "fifo")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.mknod(folder / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    snapshot(ScriptJob(str(folder)), run)
    assert sorted(script_digests(folder)) == ["pkg/__init__.py", "train.py"]
    assert [file for file, _ in regular_files(run / "code")] == ["train.py", "pkg/__init__.py"]
    assert not any(path.is_symlink() for path in run.rglob("*"))
