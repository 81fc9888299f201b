"""The command line on a Dask cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.dask_clusters import DaskCluster

pytest.importorskip("typer", reason="the extra 'cli' isn't installed")


def mnistkit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    code = "from mnistkit.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if name != "MNISTKIT_HOME"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_on_a_cluster(tmp_path: Path, cluster: DaskCluster) -> None:
    """A run is trained on the cluster that ``mnistkit.toml`` names, listed with its host, and ``doctor`` shows all."""
    settings = f'data = "digits"\ncompute = {{ backend = "dask", address = "{cluster.address}" }}\n'
    (tmp_path / "mnistkit.toml").write_text(settings)
    trained = mnistkit(tmp_path, "train")
    assert trained.returncode == 0, trained.stderr
    (run,) = json.loads(mnistkit(tmp_path, "runs", "list", "--json").stdout)
    assert "tcp://127.0.0.1" in run["host"]
    assert run["state"] == "Completed"
    assert "tcp://127.0.0.1" in mnistkit(tmp_path, "runs", "list").stdout
    found = {each["check"]: each for each in json.loads(mnistkit(tmp_path, "doctor", "--json").stdout)}
    assert found["dask"]["ok"]
    assert f"{cluster.address}: 2 workers with room for 2 runs; 0 running, 0 queued" in found["dask"]["detail"]
    workers = [each for name, each in found.items() if name.startswith("dask tcp://")]
    assert len(workers) == 2
    assert all(each["ok"] and "sklearn" in each["detail"] for each in workers)


def test_doctor_without_a_scheduler(tmp_path: Path) -> None:
    """An address where nobody listens is a finding that names it."""
    (tmp_path / "mnistkit.toml").write_text('compute = { backend = "dask", address = "tcp://127.0.0.1:1" }\n')
    outcome = mnistkit(tmp_path, "doctor", "--json")
    found = {each["check"]: each for each in json.loads(outcome.stdout)}
    assert not found["dask"]["ok"]
    assert "tcp://127.0.0.1:1" in found["dask"]["detail"]
    assert outcome.returncode != 0
