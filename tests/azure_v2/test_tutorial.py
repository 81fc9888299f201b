"""The tutorial straight against azure-ai-ml, and on our API, run from their first line to their last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

SCRIPT = Path(__file__).with_name("tutorial_script.py")
EXAMPLE = Path(__file__).parents[2] / "examples" / "07_azure_v2.py"


def under_the_emulator(script: Path, folder: Path) -> str:
    """Return what a script prints under ``mnistkit emulator exec``; it has to succeed."""
    emulator = [sys.executable, "-m", "mnistkit", "emulator", "exec", "--write-config", str(folder)]
    done = subprocess.run(
        [*emulator, "--", sys.executable, str(script)],
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_sdk_alone(tmp_path: Path) -> None:
    """An unmodified script ends with its model registered, trained on the cluster."""
    pytest.importorskip("mlflow")
    lines = under_the_emulator(SCRIPT, tmp_path).splitlines()
    assert "creating a new compute target..." in lines
    assert "(2000, 784)" in lines
    assert "JobStatus.COMPLETED" in lines or "Completed" in lines
    accuracy = next(line for line in lines if line.startswith("Accuracy is "))
    assert float(accuracy.rpartition(" ")[2]) > 0.9
    assert "downloaded/artifacts/outputs/sklearn_mnist_model.pkl" in lines
    assert "downloaded/named-outputs/model/model.pkl" in lines
    assert lines[-1] == "sklearn_mnist\t1"


def test_our_example(tmp_path: Path) -> None:
    """The example trains two classifiers, registers and promotes the best, and predicts with it."""
    out = under_the_emulator(EXAMPLE, tmp_path)
    assert "sklearn_mnist\tsklearn_mnist:1\t1" in out
    assert "the classifier says" in out
