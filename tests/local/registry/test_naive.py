"""The suite of registries fails for a registry written in a hurry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.subprocesses import python_path

_NAIVE_SUITE = """
import pytest
from support.naive import NaiveRegistry
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
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        check=False,
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
        "test_threads_count",
        "test_what_is_missing",
    }, done.stdout
    assert outcomes["test_versions_count_from_one"] == "PASSED", done.stdout
