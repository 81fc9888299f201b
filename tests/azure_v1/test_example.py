"""The tutorial on our API runs against the emulator as its readers run it, with the real MNIST as the Open Dataset."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")

from mnistkit import load_dataset
from mnistkit.config import cache_folder
from mnistkit.data.fetching import dataset_folder
from mnistkit.plugins import data_source

EXAMPLE = Path(__file__).parents[2] / "examples" / "05_azure_tutorial.py"


@pytest.mark.mnist
def test_the_tutorial(tmp_path: Path) -> None:
    """It ends well with ``sklearn_mnist`` registered, under ``mnistkit emulator exec``."""
    load_dataset("mnist")  # into the folder that is served
    emulator = [sys.executable, "-m", "mnistkit", "emulator", "exec", "--write-config", "."]
    outcome = subprocess.run(
        [*emulator, "--data", dataset_folder(data_source("mnist")), "--", sys.executable, EXAMPLE],
        cwd=tmp_path,
        env={**os.environ, "MNISTKIT_CACHE": str(cache_folder())},  # the emulator's clients have another HOME
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for expected in ("Accuracy is 0.8", "'accuracy': 0.8", "sklearn_mnist:1", "the classifier says 7"):
        assert expected in outcome.stdout, outcome.stdout + outcome.stderr
