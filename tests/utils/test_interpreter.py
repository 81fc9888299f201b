"""Interpreters that import nothing of the working directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mnistkit.utils.interpreter import library_path, module_command, search_path


@pytest.mark.parametrize("version", [(3, 10), (3, 11)])
@pytest.mark.parametrize("safe_path", ["", "1"])
def test_a_module_runs_without_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], safe_path: str
) -> None:
    """Neither the module itself nor what it imports comes from the working directory, on any Python."""
    if version > sys.version_info[:2]:
        pytest.skip("this Python has no -P")
    for name in ("calendar", "argparse", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the working directory was run')\n")
    monkeypatch.setattr(sys, "version_info", version)
    command = module_command("calendar", "2026", "11", unbuffered=True)
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONSAFEPATH", safe_path)
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "November 2026" in ended.stdout


def test_the_twin_runs_the_file_of_the_working_directory(tmp_path: Path) -> None:
    """A plain ``-m`` runs it: the test above can fail."""
    (tmp_path / "calendar.py").write_text("print('mine')\n")
    ended = subprocess.run([sys.executable, "-m", "calendar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == "mine\n"


def test_the_paths_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs search where this process does; mnistkit's own processes leave out the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert search_path()[0] == str(tmp_path)
    assert str(tmp_path) not in library_path()
    assert set(library_path()) < set(search_path())
    source = next(entry for entry in search_path() if Path(entry, "mnistkit").is_dir())
    monkeypatch.chdir(source)
    assert source in library_path()


def test_the_command_line_as_a_module_ignores_the_working_directory(tmp_path: Path) -> None:
    """``python -m mnistkit`` imports nothing from there, as the script doesn't."""
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the working directory was run')\n")
    (tmp_path / "typer.py").write_text("raise SystemExit('a file of the working directory was run')\n")
    command = [sys.executable, "-m", "mnistkit", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
