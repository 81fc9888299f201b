"""Sweep jobs: trials are command jobs, tried and ended early by HyperDrive's own rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mnistkit.emulator.hyperparameters import configurations
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.hyperdrive import HyperDrive
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.sweep import Sweep
from mnistkit.emulator.termination import Policy
from mnistkit.emulator.v2.commands import expand_space
from mnistkit.emulator.v2.resources import seconds_of

__all__ = ["SweepJobs"]

_MAX_TRIALS, _MAX_CONCURRENT_TRIALS = 1000, 100
_MAX_SECONDS = 43200 * 60.0
_POLICY_KEYS = {
    "evaluationInterval": "evaluation_interval",
    "delayEvaluation": "delay_evaluation",
    "slackFactor": "slack_factor",
    "slackAmount": "slack_amount",
    "truncationPercentage": "truncation_percentage",
}
_TRIAL_KEYS = ("codeId", "environmentId", "environmentVariables", "distribution", "resources")
_SHARED_KEYS = ("computeId", "experimentName", "inputs", "outputs")


class SweepJobs:
    """Starts sweep jobs.

    Attributes:
        start_trial: Starts a job by its name, its properties and its parent's name.
    """

    def __init__(self, runs: Runs, hyperdrive: HyperDrive) -> None:
        self._runs, self._hyperdrive = runs, hyperdrive
        self.start_trial: Callable[[str, Mapping[str, Any], str | None], None] = _no_trial

    def start(self, name: str, experiment: str, properties: Mapping[str, Any], parent: str | None = None) -> None:
        """Start a sweep, whose run is there already.

        Raises:
            Refusal: 400: it can't be run here.
        """
        sweep = _sweep(name, experiment, properties)
        self._hyperdrive.run(sweep, lambda one, index, point: self._start(one, properties, index, point))

    def cancel(self, name: str) -> None:
        """Cancel a sweep and its trials; idempotent."""
        self._runs.move(name, "CancelRequested")

    def outputs(self, name: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return none, after a check of the sweep: its outputs are those of its trials."""
        _sweep(name, "", properties)
        return {}

    def _start(self, sweep: Sweep, properties: Mapping[str, Any], index: int, point: Mapping[str, Any]) -> str:
        name, trial = f"{sweep.run_id}_{index}", properties["trial"]
        sent = {key: trial[key] for key in _TRIAL_KEYS if trial.get(key) is not None}
        sent |= {key: properties[key] for key in _SHARED_KEYS if properties.get(key) is not None}
        sent |= {
            "jobType": "Command",
            "command": expand_space(trial["command"], point),
            "displayName": name,
            "limits": {"jobLimitsType": "Command", "timeout": (properties.get("limits") or {}).get("trialTimeout")},
            "tags": {"hyperparameters": json.dumps(point)},
        }
        try:
            self.start_trial(name, sent, sweep.run_id)
        except Refusal as refusal:
            if name not in self._runs:
                self._runs.create(sweep.experiment, name, parentRunId=sweep.run_id)
            self._runs.move(name, "Failed", error=refusal.message, code=refusal.code)
        return name


def _no_trial(name: str, properties: Mapping[str, Any], parent: str | None) -> None:  # noqa: ARG001 - as a starter
    raise Refusal(503, f"The trial {name!r} can't be started yet.")


def _sweep(name: str, experiment: str, properties: Mapping[str, Any]) -> Sweep:
    """Return the sweep that properties describe.

    Raises:
        Refusal: 400: it can't be run here.
    """
    check_types(properties, trial=dict, searchSpace=dict, objective=dict, samplingAlgorithm=dict, limits=dict)
    trial, objective = properties.get("trial") or {}, properties.get("objective") or {}
    if not trial.get("command"):
        raise Refusal(400, "The sweep has no trial with a command.")
    goal = str(objective.get("goal")).lower()
    if goal not in {"maximize", "minimize"} or not objective.get("primaryMetric"):
        raise Refusal(400, f"The objective has to have a primary metric and a goal, it is {objective!r}.")
    limits = properties.get("limits") or {}
    return Sweep(
        run_id=name,
        experiment=experiment,
        points=configurations(_generator(properties), _count(limits, "maxTotalTrials", _MAX_TRIALS)),
        at_once=_count(limits, "maxConcurrentTrials", _MAX_CONCURRENT_TRIALS),
        seconds=seconds_of(limits.get("timeout")) or _MAX_SECONDS,
        policy=Policy.of(_policy(properties.get("earlyTermination") or {})),
        metric=str(objective["primaryMetric"]),
        maximize=goal == "maximize",
        configuration={},
        snapshot_id=None,
        resume_from=(),
    )


def _generator(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the way of sampling as HyperDrive has it."""
    sampling = properties.get("samplingAlgorithm") or {}
    if str(sampling.get("rule") or "random").lower() != "random":
        raise NotEmulated("sweeps", f"Random sampling by the rule {sampling['rule']!r} isn't emulated.")
    seed = {} if sampling.get("seed") is None else {"seed": sampling["seed"]}
    kind = str(sampling.get("samplingAlgorithmType") or "Random")
    return {"name": kind, "parameter_space": properties.get("searchSpace"), "properties": seed}


def _policy(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the early termination as HyperDrive has it."""
    values = {name: sent[key] for key, name in _POLICY_KEYS.items() if sent.get(key)}
    return {"name": sent.get("policyType") or "default", "properties": values}


def _count(limits: Mapping[str, Any], key: str, most: int) -> int:
    value = limits.get(key) or most
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise Refusal(400, f"{key!r} is {value!r}: expected 1 to {most}.")
    return value
