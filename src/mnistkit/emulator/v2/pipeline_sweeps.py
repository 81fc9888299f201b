"""Sweeps as steps of a pipeline: their nodes have YAML's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.routing import Refusal

__all__ = ["sweep_properties"]

_INPUT_PATTERN = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*\}\}")
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "choice": ("values",),
    "randint": ("upper",),
    "uniform": ("min_value", "max_value"),
    "loguniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "qlognormal": ("mu", "sigma", "q"),
}
_LIMIT_KEYS = {
    "max_total_trials": "maxTotalTrials",
    "max_concurrent_trials": "maxConcurrentTrials",
    "timeout": "timeout",
    "trial_timeout": "trialTimeout",
}
_POLICY_KEYS = {
    "evaluation_interval": "evaluationInterval",
    "delay_evaluation": "delayEvaluation",
    "slack_factor": "slackFactor",
    "slack_amount": "slackAmount",
    "truncation_percentage": "truncationPercentage",
}
_POLICIES = {
    "bandit": "Bandit",
    "median_stopping": "MedianStopping",
    "truncation_selection": "TruncationSelection",
}
_TRIAL_KEYS = ("command", "codeId", "environmentId", "environmentVariables", "distribution", "resources")


def sweep_properties(command: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a sweep job.

    Args:
        command: Those of its trials, as a command job.
        node: The step in the pipeline.

    Raises:
        Refusal: 400: its search space can't be read.
    """
    space = {name: _expression(name, each) for name, each in (node.get("search_space") or {}).items()}
    trial = {key: command[key] for key in _TRIAL_KEYS if command.get(key) is not None}
    trial["command"] = _INPUT_PATTERN.sub(
        lambda found: f"${{{{search_space.{found[1]}}}}}" if found[1] in space else found[0], trial["command"]
    )
    objective, sampling = node.get("objective") or {}, node.get("sampling_algorithm") or "random"
    kind = sampling.get("type") if isinstance(sampling, dict) else sampling
    about = {key: value for key, value in command.items() if key not in _TRIAL_KEYS}
    return {
        **about,
        "jobType": "Sweep",
        "inputs": {name: each for name, each in command["inputs"].items() if name not in space},
        "trial": trial,
        "searchSpace": space,
        "objective": {"goal": objective.get("goal"), "primaryMetric": objective.get("primary_metric")},
        "samplingAlgorithm": {"samplingAlgorithmType": str(kind).capitalize()},
        "limits": {new: node["limits"][old] for old, new in _LIMIT_KEYS.items() if (node.get("limits") or {}).get(old)},
        "earlyTermination": _policy(node.get("early_termination")),
    }


def _expression(name: str, about: object) -> list[Any]:
    kind = str(about.get("type") or "").lower() if isinstance(about, dict) else ""
    if not isinstance(about, dict) or kind not in _ARGUMENTS:
        raise Refusal(400, f"The search space of {name!r} can't be read: {about!r}.")
    return [kind, [about.get(key) for key in _ARGUMENTS[kind]]]


def _policy(sent: object) -> dict[str, Any]:
    if not isinstance(sent, dict):
        return {}
    kind = str(sent.get("type"))
    found = {new: sent[old] for old, new in _POLICY_KEYS.items() if sent.get(old)}
    return {"policyType": _POLICIES.get(kind, kind), **found}
