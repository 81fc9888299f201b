"""The tutorial's own script, which knows no emulator, runs from its first line to its last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("azureml.opendatasets")
pytest.importorskip("azureml.train.estimator")
pytest.importorskip("h11")

SCRIPT = Path(__file__).with_name("tutorial_script.py")


def test_tutorial(tmp_path: Path) -> None:
    """Under ``mnistkit emulator exec`` it ends with its model registered, trained on the cluster."""
    emulator = [sys.executable, "-m", "mnistkit", "emulator", "exec", "--write-config", str(tmp_path)]
    done = subprocess.run(
        [*emulator, "--", sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert "creating a new compute target..." in lines
    assert "(2000, 784)" in lines
    assert "Status: Failed" not in done.stdout
    metrics = next(line for line in lines if line.startswith("{'regularization rate': 0.5, 'accuracy': "))
    assert float(metrics.rstrip("}").rpartition(" ")[2]) > 0.9
    assert "outputs/sklearn_mnist_model.pkl" in done.stdout
    assert lines[-1] == "sklearn_mnist\tsklearn_mnist:1\t1"
