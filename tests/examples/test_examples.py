"""The examples run as their readers run them: from a folder of their own, by this interpreter, without a warning."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mnistkit.interfaces import DataSource
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.testing import DataSourceSuite

EXAMPLES = Path(__file__).parents[2] / "examples"

SAYS = {
    "01_quickstart.py": ("Completed", "'regularization rate': 0.5", "sklearn_mnist:1", "the classifier says"),
    "02_sweep_and_register_best.py": ("regularization rate", "sklearn_mnist:1 is the champion"),
    "03_your_own_script.py": ("Accuracy is 0.", "'accuracy': 0.", "sklearn_mnist:1", "OneVsRestClassifier"),
    "04_your_own_backend.py": ("('circle', 'square', 'triangle')", "Completed", "Predictions of shapes:1:"),
    "08_dask.py": ("on ", "127.0.0.1", "collected Completed", "sklearn_mnist:1"),
    "06_serve_and_ask.py": ("sklearn_mnist:2", "right by version 1: 0.", "right by version 2: 0.9"),
}
ELSEWHERE = {"05_azure_tutorial.py", "07_azure_v2.py"}  # tests/azure_v1 and tests/azure_v2 run them, where the SDKs are
REGISTERS = {"04_your_own_backend.py": "shapes"}


def run_example(name: str, folder: Path) -> str:
    """What the example prints, run in ``folder``; warnings are errors."""
    environment = {k: v for k, v in os.environ.items() if k not in {"MNISTKIT_HOME", "MNISTKIT_COMPUTE"}}
    outcome = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""
    return outcome.stdout


def test_every_example_is_run_here() -> None:
    """The examples that are run are those that there are."""
    assert {path.name for path in EXAMPLES.glob("0*.py")} == SAYS.keys() | ELSEWHERE


@pytest.mark.mnist
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    """An example ends well, says what it should, and registers a model in the folder it was run in."""
    text = run_example(name, tmp_path)
    for expected in SAYS[name]:
        assert expected in text
    model = REGISTERS.get(name, "sklearn_mnist")
    assert FolderRegistry(tmp_path / ".mnistkit").get(model).metrics["accuracy"] > 0.85


class TestShapes(DataSourceSuite):
    """The example of a backend keeps the contract that it tells its readers to keep."""

    @pytest.fixture
    def example(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The example as a module that other processes can import, too."""
        monkeypatch.syspath_prepend(EXAMPLES)
        return importlib.import_module("04_your_own_backend")

    @pytest.fixture
    def source(self, example: Any) -> DataSource:
        """The example's own source, small."""
        source: DataSource = example.Shapes(n_train=30, n_test=10)
        return source

    @pytest.fixture
    def another(self, example: Any) -> DataSource:
        """Other shapes."""
        source: DataSource = example.Shapes(seed=1, n_train=30, n_test=10)
        return source
