"""From submitting a trivial script to Completed: our backend next to the bare SDK, on one emulator.

Needs the extras ``azure-v1`` and ``emulator``: ``python benchmarks/azure_submit.py [--quick]``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Result, compare, table

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.run import Run

if TYPE_CHECKING:
    from mnistkit.azureml import AmlCompute

__all__ = ["results"]

SCRIPT = "print('hello')\n"


def results(*, quick: bool) -> Iterator[Result]:
    """Both ways of the SDK, `ScriptRunConfig` and the tutorial's `Estimator`."""
    from mnistkit.azureml import AmlCompute, connect
    from mnistkit.emulator import AzureMLEmulator

    with AzureMLEmulator() as emulator, tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        os.environ.update(emulator.environment())
        folder = Path(name, "script")
        folder.mkdir()
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
        workspace = connect(emulator.write_config(Path(name)))
        for way in ("script_run_config", "estimator"):
            ours = AmlCompute(workspace, submit_with=way)
            ours.ensure(timeout=60)
            yield compare(
                f"submit to Completed, {way}",
                ("the bare SDK", _bare(workspace, folder, way)),
                ("AmlCompute", _ours(ours, folder)),
                n=3 if quick else 9,
            )


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


def _ours(backend: AmlCompute, folder: Path) -> Callable[[], None]:
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
