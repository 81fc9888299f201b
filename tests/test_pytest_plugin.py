"""The pytest plugin in a project of its own: it changes the environment only where its fixtures are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_TESTS = """
import os

def variables():
    return {name: value for name, value in os.environ.items() if name.startswith("MNISTKIT_")}

def test_without_a_fixture():
    assert variables() == {}

def test_with_a_home(mnistkit_home):
    assert variables() == {"MNISTKIT_HOME": str(mnistkit_home), "MNISTKIT_COMPUTE": "in-process"}

def test_with_a_home_and_a_choice(monkeypatch, request):
    monkeypatch.setenv("MNISTKIT_COMPUTE", "process")
    home = request.getfixturevalue("mnistkit_home")
    assert variables() == {"MNISTKIT_HOME": str(home), "MNISTKIT_COMPUTE": "process"}

def test_afterwards():
    assert variables() == {}
"""


def test_the_plugin_leaves_the_environment_alone(tmp_path: Path) -> None:
    """Tests without its fixtures see no variable of mnistkit; the home's fixture sets two and takes them back."""
    (tmp_path / "test_project.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MNISTKIT_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_project.py"]
    outcome = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout
    assert "4 passed" in outcome.stdout
