"""From submitting a trivial script to Completed: our backend next to the bare SDK, on one emulator.

Needs the extra ``emulator`` and the SDK, of either version: ``azure`` or ``azure-v1``. ``python
benchmarks/azure_submit.py [--quick]`` times v2 where that is installed, else v1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Result, compare, table

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.run import Run

__all__ = ["results"]

SCRIPT = "print('hello')\n"
_POLL_SECONDS = 0.1
_FINAL = frozenset({"Completed", "Failed", "Canceled"})


def results(*, quick: bool) -> Iterator[Result]:
    """The ways that the SDK has: for v2 its two ways of waiting, for v1 `ScriptRunConfig` and `Estimator`."""
    from mnistkit.emulator import AzureMLEmulator

    pairs = 3 if quick else 9
    with AzureMLEmulator() as emulator, tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        os.environ.update(emulator.environment())
        folder = Path(name, "script")
        folder.mkdir()
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
        config = emulator.write_config(Path(name))
        for what, bare, ours in _ways_v2(config, folder) if _has_v2() else _ways_v1(config, folder):
            yield compare(f"submit to Completed, {what}", ("the bare SDK", bare), ("AmlCompute", ours), n=pairs)


def _has_v2() -> bool:
    try:
        return importlib.util.find_spec("azure.ai.ml") is not None
    except ModuleNotFoundError:
        return False


def _ways_v1(config: Path, folder: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    from mnistkit.azureml import AmlCompute, connect

    workspace = connect(config)
    for way in ("script_run_config", "estimator"):
        ours = AmlCompute(workspace, submit_with=way)
        ours.ensure(timeout=60)
        yield f"v1, {way}", _bare(workspace, folder, way), _ours(ours, folder)


def _ways_v2(config: Path, folder: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    from mnistkit.azureml.v2 import AmlCompute, connect

    client = connect(config)
    ours = AmlCompute(client)
    ours.ensure(timeout=60)
    for way in ("jobs.stream", "jobs.get"):
        yield f"v2, {way}", _bare_v2(client, folder, way), _ours(ours, folder)


def _bare_v2(client: Any, folder: Path, way: str) -> Callable[[], None]:
    """As the SDK's documentation does it; both have an environment that is registered."""
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    environment = client.environments.create_or_update(Environment(name="bare", version="1", image="bare"))

    def submit() -> None:
        sent = command(code=str(folder), command="python train.py", environment=environment, compute="cpu-cluster")
        job = client.jobs.create_or_update(sent, experiment_name="bare")
        if way == "jobs.stream":
            with contextlib.redirect_stdout(io.StringIO()):
                client.jobs.stream(job.name)
        while (status := client.jobs.get(job.name).status) not in _FINAL:
            time.sleep(_POLL_SECONDS)
        if status != "Completed":
            raise RuntimeError(f"{job.name} is {status}")

    return submit


def _bare(workspace: Any, folder: Path, way: str) -> Callable[[], None]:
    """As the SDK's documentation does it, with what its defaults are; both have an environment that is registered."""
    from azureml.core import Environment, Experiment, ScriptRunConfig
    from azureml.core.compute import ComputeTarget
    from azureml.train.estimator import Estimator

    environment = Environment("bare").register(workspace)
    target = ComputeTarget(workspace, "cpu-cluster")
    experiment = Experiment(workspace, "bare")

    def submit() -> None:
        if way == "estimator":
            config = Estimator(
                str(folder), compute_target=target, entry_script="train.py", environment_definition=environment
            )
        else:
            config = ScriptRunConfig(str(folder), "train.py", compute_target=target, environment=environment)
        run = experiment.submit(config)
        run.wait_for_completion()
        if run.get_status() != "Completed":
            raise RuntimeError(f"{run.id} is {run.get_status()}")

    return submit


def _ours(backend: ComputeBackend, folder: Path) -> Callable[[], None]:
    from mnistkit.plugins import data_source

    data = data_source("digits")  # the script reads none, so none travels

    def submit() -> None:
        Run(backend, backend.submit(ScriptJob(folder), data)).result(120)

    return submit


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the SDK's
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two pairs: to see that it works")
    print(table(results(quick=parser.parse_args().quick)), file=sys.stdout)
