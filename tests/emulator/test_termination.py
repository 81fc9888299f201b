"""Which children HyperDrive ends early."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.termination import Policy

SERIES = {"best": [0.5, 0.9], "good": [0.6, 0.85], "bad": [0.4, 0.5], "late": [0.1]}


def policy(name: str, **properties: Any) -> Policy:
    """A policy, as the SDK describes it."""
    return Policy.of({"name": name, "properties": properties})


def lost(given: Policy, *, maximize: bool = True) -> set[str]:
    """Which of the runs are to end."""
    return given.to_cancel(SERIES, SERIES, maximize=maximize)


def test_no_policy() -> None:
    """Without a policy all go on."""
    assert lost(Policy.of({"name": "Default"})) == set()


def test_bandit() -> None:
    """Bandit ends what is further from the best run at that interval than the slack, in either direction."""
    assert lost(policy("Bandit", slack_factor=0.1, evaluation_interval=2)) == {"bad"}
    assert lost(policy("Bandit", slack_amount=0.45, evaluation_interval=1)) == {"late"}
    assert lost(policy("Bandit", slack_amount=0.45, evaluation_interval=2)) == set()
    assert lost(policy("Bandit", slack_factor=0.1, evaluation_interval=2), maximize=False) == {
        "bad",
        "best",
        "good",
    }


def test_median_stopping() -> None:
    """Median stopping ends what was never as good as the median of all runs' averages."""
    assert lost(policy("MedianStopping", evaluation_interval=2)) == {"bad"}


def test_truncation_selection() -> None:
    """Truncation selection ends a percentage of the runs: the worst at that interval."""
    assert lost(policy("TruncationSelection", truncation_percentage=34, evaluation_interval=2)) == {"bad"}
    assert lost(policy("TruncationSelection", truncation_percentage=70, evaluation_interval=2)) == {"bad", "good"}
    assert lost(policy("TruncationSelection", truncation_percentage=20, evaluation_interval=2)) == set()


def test_delay() -> None:
    """Nothing ends before so many values are logged, nor between the intervals."""
    assert lost(policy("Bandit", slack_amount=0.1, delay_evaluation=3)) == set()
    assert "late" not in lost(policy("Bandit", slack_amount=0.0001, evaluation_interval=2))


def test_only_running_runs_end() -> None:
    """A run that has ended already isn't named again, but counts."""
    assert policy("MedianStopping", evaluation_interval=2).to_cancel(SERIES, ["good"], maximize=True) == set()
    assert policy("MedianStopping", evaluation_interval=2).to_cancel(SERIES, ["bad"], maximize=True) == {"bad"}


@pytest.mark.parametrize(
    "config",
    [
        {"name": "Mystery"},
        {"name": "Bandit", "properties": {"mood": 1}},
        {"name": "Bandit", "properties": {"evaluation_interval": 0}},
        {"name": "Bandit", "properties": {"evaluation_interval": "1"}},
        {"name": "Bandit", "properties": {"slack_factor": -0.1}},
        {"name": "Bandit", "properties": {"slack_factor": float("nan")}},
        {"name": "MedianStopping", "properties": {"slack_factor": 0.1}},
    ],
)
def test_other_policies_are_refused(config: dict[str, Any]) -> None:
    """Unknown policies, unknown properties and impossible values are refused."""
    with pytest.raises(Refusal) as caught:
        Policy.of(config)
    assert caught.value.status == 400
