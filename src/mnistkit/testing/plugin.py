"""The pytest plugin: fixtures for projects that use mnistkit. Nothing heavy is imported before a fixture is used.

While it is loaded, jobs run in the tests' own process unless something else is asked for: ``MNISTKIT_COMPUTE`` is set
to ``in-process`` where it isn't set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run with mnistkit installed imports this file
    from mnistkit.interfaces import DataSource

__all__ = ["mnistkit_home", "pytest_configure", "tiny_mnist"]


def pytest_configure() -> None:
    """Have jobs run in this process by default: quick to start, easy to debug."""
    os.environ.setdefault("MNISTKIT_COMPUTE", "in-process")


@pytest.fixture
def mnistkit_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that ``MNISTKIT_HOME`` names while the test runs: runs and models go there."""
    home = tmp_path / "mnistkit-home"
    monkeypatch.setenv("MNISTKIT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """A source of 300 + 100 digits in MNIST's shape, for any ``data=`` argument; made offline once per session."""
    from mnistkit.plugins import data_source
    from mnistkit.testing.data import write_tiny_mnist

    return data_source(f"idx:{write_tiny_mnist(tmp_path_factory.mktemp('tiny-mnist'))}")
