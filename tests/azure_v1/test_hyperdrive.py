"""The real SDK runs sweeps by HyperDrive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("azureml.train.hyperdrive")
pytest.importorskip("h11")

from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace
from azureml.exceptions import TrainingException
from azureml.train.hyperdrive import (
    BanditPolicy,
    BayesianParameterSampling,
    GridParameterSampling,
    HyperDriveConfig,
    HyperDriveRun,
    PrimaryMetricGoal,
    RandomParameterSampling,
    choice,
    uniform,
)
from sdk_jobs import cluster, write

PATIENCE = 180.0
SCRIPT = """
import argparse, time
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--sleep", type=float, default=0)
options = parser.parse_args()
run = Run.get_context()
run.log("score", options.x)
run.flush()
time.sleep(options.sleep)
open("outputs/model.txt", "w").write(str(options.x))
"""
Submit = Callable[..., HyperDriveRun]


@pytest.fixture
def submit(workspace: Workspace) -> Submit:
    """Submits a sweep of that script."""
    folder, target = write(Path("src"), SCRIPT), cluster(workspace)

    def submit(sampling: Any, *arguments: Any, **options: Any) -> HyperDriveRun:
        configuration = ScriptRunConfig(
            str(folder),
            script="train.py",
            arguments=list(arguments),
            compute_target=target,
            environment=Environment("mine"),
        )
        asked = {"primary_metric_goal": PrimaryMetricGoal.MAXIMIZE, "max_total_runs": 4, **options}
        sweep = HyperDriveConfig(
            hyperparameter_sampling=sampling, primary_metric_name="score", run_config=configuration, **asked
        )
        return Experiment(workspace, "sweep").submit(sweep)

    return submit


def states(run: HyperDriveRun) -> list[str]:
    """The states of a sweep's children."""
    return sorted(child.get_status() for child in run.get_children())


def wait_for(run: HyperDriveRun, wanted: list[str]) -> None:
    """Wait until the children are in these states."""
    end = time.monotonic() + PATIENCE
    while states(run) != wanted:
        assert time.monotonic() < end, states(run)
        time.sleep(0.2)


def test_grid(submit: Submit) -> None:
    """The best child of a grid is found by its metric, and its output becomes a model."""
    sweep = submit(GridParameterSampling({"--x": choice(0.1, 0.9, 0.5)}), max_concurrent_runs=2)
    sweep.wait_for_completion()
    assert (sweep.get_status(), states(sweep)) == ("Completed", ["Completed"] * 3)
    best = sweep.get_best_run_by_primary_metric()
    assert best.get_metrics() == {"score": 0.9}
    assert best.get_details()["runDefinition"]["arguments"] == ["--x", "0.9"]
    ordered = sweep.get_children_sorted_by_primary_metric()
    assert [child["best_primary_metric"] for child in ordered] == [0.9, 0.5, 0.1]
    assert best.register_model("best", model_path="outputs/model.txt").run_id == best.id


def test_random(submit: Submit, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Random sampling draws as often as asked for; the parent has a log, and is found again as what it is."""
    sampling = RandomParameterSampling({"x": uniform(0, 1)})
    sweep = submit(sampling, max_total_runs=2, primary_metric_goal=PrimaryMetricGoal.MINIMIZE)
    sweep.wait_for_completion(show_output=True)
    assert "All children have ended." in capsys.readouterr().out
    [again] = Experiment(workspace, "sweep").get_runs()
    assert isinstance(again, HyperDriveRun)
    drawn = [json.loads(values)["x"] for values in again.get_hyperparameters().values()]
    assert len(drawn) == 2
    assert all(0 <= value <= 1 for value in drawn)
    assert again.get_best_run_by_primary_metric().get_metrics()["score"] == min(drawn)


def test_cancel(submit: Submit) -> None:
    """A canceled sweep cancels its children."""
    sweep = submit(GridParameterSampling({"--x": choice(1, 2, 3)}), "--sleep", 600, max_concurrent_runs=2)
    wait_for(sweep, ["Running", "Running"])
    sweep.cancel()
    sweep.wait_for_completion()
    assert (sweep.get_status(), states(sweep)) == ("Canceled", ["Canceled", "Canceled"])


def test_early_termination(submit: Submit) -> None:
    """A bandit policy ends children that fall behind."""
    policy = BanditPolicy(evaluation_interval=1, slack_amount=0.2)
    sweep = submit(GridParameterSampling({"--x": choice(0.1, 0.9)}), "--sleep", 600, policy=policy)
    wait_for(sweep, ["Canceled", "Running"])
    sweep.cancel()


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_bayesian_sampling_is_refused(submit: Submit) -> None:
    """What isn't emulated is refused, by its name, before anything is started."""
    with pytest.raises(TrainingException, match="BayesianOptimization"):
        submit(BayesianParameterSampling({"--x": uniform(0.1, 0.9)}), max_total_runs=20, max_concurrent_runs=2)
